"""Put answers into one file from many processes at once."""

from __future__ import annotations

from pathlib import Path

from benchmarks.reliability.writers import write


def test_what_many_processes_put_is_all_kept(tmp_path: Path) -> None:
    found = write(tmp_path, processes=4, puts=250)

    assert (found.kept, found.right) == (1000, 1000)
    assert found.warnings == []
