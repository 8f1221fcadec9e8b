"""Stop sessions at random moments; `python -m benchmarks.reliability signals` stops 200."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.reliability.signals import ORDERLY
from benchmarks.reliability.stopped import Way, held, running, stop_sessions
from pytest_llmops.calls.ledger import Ledger

SEED = 5


@pytest.mark.parametrize("way", ORDERLY, ids=[way.named for way in ORDERLY])
def test_a_stopped_session_keeps_what_it_reported_and_leaves_nothing(tmp_path: Path, way: Way) -> None:
    way = replace(way, latest=0.3)
    found = stop_sessions(tmp_path, way, stops=1, seed=SEED, cases=60)

    assert found.good(way), found
    assert found.statuses == {128 + way.number: 1}


def test_what_stays_behind_is_found(tmp_path: Path) -> None:
    path = tmp_path / ".llmops" / "local" / "cache.sqlite"
    ledger = Ledger(path, session="s")
    ledger.claim("key")
    assert held(tmp_path) == {"claims": 1, "owners": 1}
    ledger.close()
    assert held(tmp_path) == {}

    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    ) as child:
        assert running(child.pid) == [child.pid]
        child.communicate(b"end\n")
    assert running(child.pid) == []
