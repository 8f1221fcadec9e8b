"""Hold the board: all processes of a session see each result once, and a broken file stops no run."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from runs_built import KEY, result

from pytest_llmops.calls.database import Database
from pytest_llmops.runs.board import DAY, Board
from pytest_llmops.runs.record import CaseResult
from pytest_llmops.scorers.score import Score

HERE = Path(__file__).parent
Opening = Callable[..., Board]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "local" / "cache.sqlite"


@pytest.fixture
def opening(path: Path) -> Iterator[Opening]:
    boards: list[Board] = []

    def opened(session: str = "s", where: Path = path) -> Board:
        boards.append(Board(where, session=session))
        return boards[-1]

    yield opened
    for board in boards:
        board.close()


def posted(number: int, **more: object) -> CaseResult:
    return result(number, {"passed": 1.0}, **more)  # type: ignore[arg-type]


def ids(found: list[tuple[CaseResult, list[CaseResult]]]) -> list[str]:
    return [each.case_id for each, _ in found]


def test_two_boards_see_each_others_posts_once(opening: Opening) -> None:
    one, other = opening(), opening()
    one.post(posted(1))
    other.post(posted(2))
    assert ids(one.new(KEY)) == ids(other.new(KEY)) == ["case-001", "case-002"]
    assert one.new(KEY) == other.new(KEY) == []
    other.post(posted(3))
    assert ids(one.new(KEY)) == ["case-003"]
    assert ids(other.new(KEY)) == ["case-003"]


def test_what_decides_comes_back_and_texts_do_not(opening: Opening) -> None:
    told = posted(
        1,
        tags=("x",),
        cluster="talk",
        repeat=2,
        status="bad_answer",
        detail="cut off",
        expected={"a": 1},
        stored_scores={"passed": (Score(value=0.5),)},
        reused=True,
    )
    beside = posted(1, asked="control")
    opening().post(told, [beside])
    ((found, others),) = opening().new(KEY)
    assert found == replace(told, inputs={}, expected=None, output=None, detail="")
    assert others == [replace(beside, inputs={}, output=None)]


def test_any_text_comes_back(opening: Opening) -> None:
    text = "\ud800 \udfff \x00 \u2028 größe"
    scores = {"passed": Score(value=1.0, reason=text)}
    told = replace(posted(1), case_id=text, cluster=text, tags=(text,), scores=scores)
    opening().post(told)
    ((found, _),) = opening().new(KEY)
    assert found == replace(told, inputs={}, output=None)


def test_tests_are_kept_apart(opening: Opening) -> None:
    board = opening()
    board.post(posted(1))
    board.post(posted(2, test_key="other"))
    assert ids(board.new("other")) == ["case-002"]
    board.post(posted(3))
    assert ids(board.new(KEY)) == ["case-001", "case-003"]
    assert board.new("unknown") == []


def test_other_sessions_are_not_seen(opening: Opening) -> None:
    opening("yesterday").post(posted(1))
    assert opening("today").new(KEY) == []


def test_nothing_is_made_before_the_first_post(opening: Opening, path: Path) -> None:
    assert opening().new(KEY) == []
    assert not path.exists()
    opening().post(posted(1))
    assert path.exists()


def test_processes_see_each_other(opening: Opening, path: Path) -> None:
    board = opening()
    children = [
        subprocess.Popen(
            [sys.executable, str(HERE / "runs_poster.py"), str(path), session, first, "20"],
            stderr=subprocess.PIPE,
            text=True,
        )
        for session, first in (("s", "0"), ("s", "20"), ("other", "40"))
    ]
    seen: list[str] = []
    while any(child.poll() is None for child in children):
        seen += ids(board.new(KEY))
    found = [*board.new(KEY)]
    seen += ids(found)
    for child in children:
        assert child.communicate()[1] == ""
    assert sorted(seen) == [f"case-{number:03}" for number in range(40)]
    for first in (0, 20):
        own = [name for name in seen if first <= int(name[5:]) < first + 20]
        assert own == sorted(own)


def test_results_of_days_ago_are_removed(opening: Opening, path: Path) -> None:
    opening("old").post(posted(1))
    database = Database(path)
    database.change("UPDATE results SET created = ?", time.time() - DAY - 60)
    opening("recent").post(posted(2))
    database.change("UPDATE results SET created = ? WHERE session = 'recent'", time.time() - DAY + 600)
    opening("today").post(posted(3))
    assert sorted(database.rows("SELECT session FROM results")) == [("recent",), ("today",)]
    database.close()


def test_a_file_that_is_no_database_stops_nothing(opening: Opening, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 100)
    before = path.read_bytes()
    board = opening()
    assert board.new(KEY) == []
    board.post(posted(1))
    assert ids(board.new(KEY)) == ["case-001"]
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_stops_nothing(opening: Opening, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    board = opening(where=tmp_path / "file" / "cache.sqlite")
    board.post(posted(1))
    assert ids(board.new(KEY)) == ["case-001"]


def test_a_file_that_is_damaged_on_the_way_stops_nothing(opening: Opening, path: Path) -> None:
    board = opening()
    board.post(posted(1))
    board.close()
    path.write_bytes(b"x" * path.stat().st_size)
    for beside in path.parent.glob("*-wal"):
        beside.unlink()
    assert board.new(KEY) == []
    board.post(posted(2))
    assert ids(board.new(KEY)) == ["case-002"]


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", "[1]", '[{"test_key": 1}]', "\udcff", "[null]"])
@pytest.mark.parametrize("kind", ["TEXT", "BLOB"])
def test_a_damaged_row_is_passed_over(opening: Opening, path: Path, note: str, kind: str) -> None:
    board = opening()
    for number in (1, 2, 3):
        board.post(posted(number))
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            f"UPDATE results SET note = CAST(? AS {kind}) WHERE rowid = 2",
            (note.encode("utf-8", "surrogateescape"),),
        )
    connection.close()
    assert ids(board.new(KEY)) == ["case-001", "case-003"]
    assert board.new(KEY) == []
