"""Kill processes that make calls, at random moments; `python -m benchmarks.reliability kills` kills 1,000."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.reliability.kills import Asker, kill_askers
from benchmarks.reliability.stopped import Way, stop_sessions

SEED = 5


def test_no_answer_that_was_told_of_is_lost_by_kills(tmp_path: Path) -> None:
    found = kill_askers(tmp_path, kills=12, seed=SEED, lives=6)

    assert (found.killed, found.files) == (12, 2)
    assert (found.lost, found.unreadable) == ([], [])
    assert found.kept > 0


@pytest.mark.parametrize("arguments", [(), ("-n2",)], ids=["plain", "n2"])
def test_a_killed_session_loses_no_case_that_it_reported(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    way = Way(number=signal.SIGKILL, to_all=True, arguments=arguments, latest=0.3)
    found = stop_sessions(tmp_path, way, stops=2, seed=SEED, cases=60)

    assert found.good(way), found
    assert found.kept > 0


def test_an_answer_that_was_taken_away_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "local" / "cache.sqlite"
    told = []
    for session in ("first", "second"):
        asker = Asker(path, session)
        asker.ask(0, 20)
        told.append(asker.ended())
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM answers WHERE rowid = 1")
            connection.commit()

    first, second = told
    assert {text for word, text in first if word == "kept"} == {str(number) for number in range(20)}
    # That is how the command finds what was lost.
    assert [word for word, _ in second].count("called") == 1
