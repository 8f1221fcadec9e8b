"""Run one suite with and without workers of xdist: the same calls, the same stored bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reliability.workers import FAILING, Session, session
from benchmarks.server import serving

CASES = 2 * FAILING

NAMES = {"plain": None, "n0": 0, "n2": 2}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Session]:
    with serving() as server:
        return {
            name: session(tmp_path_factory.mktemp(name), server, count, cases=CASES)
            for name, count in NAMES.items()
        }


@pytest.mark.parametrize("name", NAMES)
def test_each_case_is_asked_for_once_and_kept(sound: dict[str, Session], name: str) -> None:
    found = sound[name]
    assert found.ended.status == 0, found.ended.output
    assert set(found.asked.values()) == {1}
    assert (found.requests, found.kept) == (CASES, CASES)


def test_a_baseline_has_the_same_bytes_with_workers_and_without(sound: dict[str, Session]) -> None:
    stored = [found.stored for found in sound.values()]
    assert stored[0]
    assert stored == [stored[0]] * len(NAMES)


def test_workers_make_as_many_calls_where_some_fail(tmp_path: Path) -> None:
    asked = []
    for name in ("n0", "n2"):
        with serving() as server:
            asked.append(session(tmp_path / name, server, NAMES[name], cases=CASES, fails=True).asked)

    assert asked[0] == asked[1]
    # One fatal, one bad answer: neither is asked again, by nobody.
    assert asked[0].total() == CASES
