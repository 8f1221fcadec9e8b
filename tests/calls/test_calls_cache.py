from __future__ import annotations

import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.calls.cache import Cache, Hit
from pytest_llmops.calls.database import VERSION
from pytest_llmops.calls.exchange import Response, Timing, Usage
from pytest_llmops.calls.ledger import Ledger

ANSWER = Response(
    text="Hi \ud800 \u2028",
    model="m-1",
    finish_reason="stop",
    tool_calls=({"id": "c1", "function": {"name": "f", "arguments": "{}"}},),
    usage=Usage(input_tokens=3, output_tokens=None),
    timing=Timing(seconds=1.5),
    request_id="req-1",
)

WRITER = """
import sys
from pathlib import Path
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.exchange import Response
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
cache = Cache(path, session="s")
for number in range(count):
    cache.put(f"{name}-{number}", Response(text=f"{name} {number}", model="m"))
cache.close()
sys.exit(bool(cache.warnings))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "local" / "cache.sqlite"


def put(path: Path, *keys: str, session: str = "one") -> None:
    cache = Cache(path, session=session)
    for key in keys:
        cache.put(key, ANSWER)
    cache.close()


def get(path: Path, key: str, **options: bool) -> Hit | None:
    cache = Cache(path, session="one", **options)
    try:
        return cache.get(key)
    finally:
        cache.close()


def change(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_an_answer_comes_back_whole(path: Path) -> None:
    put(path, "k")

    assert get(path, "k") == Hit(response=ANSWER, this_session=True)
    assert get(path, "other") is None


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    cache = Cache(tmp_path_factory.mktemp("kept") / "cache.sqlite", session="one")
    yield cache
    cache.close()


@given(text=st.text(), seconds=st.floats(0, 1e6))
def test_any_answer_comes_back(kept: Cache, text: str, seconds: float) -> None:
    answer = Response(text=text, model="m", timing=Timing(seconds=seconds))
    kept.put("k", answer)

    assert kept.get("k") == Hit(response=answer, this_session=True)


def test_looking_makes_nothing(path: Path) -> None:
    assert get(path, "k") is None
    assert not path.parent.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no modes")
def test_the_folder_is_for_its_owner_alone(path: Path) -> None:
    put(path, "k")

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_write_is_seen_by_others_at_once(path: Path) -> None:
    writer, reader = Cache(path, session="one"), Cache(path, session="two")
    assert reader.get("k") is None
    writer.put("k", ANSWER)

    assert reader.get("k") == Hit(response=ANSWER, this_session=False)
    writer.close()
    reader.close()


def test_a_later_answer_replaces(path: Path) -> None:
    put(path, "k", session="two")
    put(path, "k", session="one")

    assert get(path, "k") == Hit(response=ANSWER, this_session=True)


def test_fresh_only_sees_its_own_session(path: Path) -> None:
    put(path, "old", session="two")
    put(path, "new", session="one")

    assert get(path, "old", fresh_only=True) is None
    assert get(path, "new", fresh_only=True) == Hit(response=ANSWER, this_session=True)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE answers SET response = replace(response, 'Hi', 'Ho') WHERE key = 'a'",
        "UPDATE answers SET response = x'fffe' WHERE key = 'a'",
        "UPDATE answers SET response = 5 WHERE key = 'a'",
        "UPDATE answers SET checksum = '' WHERE key = 'a'",
        # A sound answer to another question.
        "UPDATE answers SET (response, checksum) = (SELECT response, checksum FROM answers WHERE key = 'b')"
        " WHERE key = 'a'",
    ],
)
def test_a_damaged_row_is_a_miss_with_one_warning(path: Path, damage: str) -> None:
    put(path, "a", "b")
    change(path, damage)
    cache = Cache(path, session="one")

    assert [cache.get("a"), cache.get("a")] == [None, None]
    assert len(cache.warnings) == 1
    assert "damaged" in cache.warnings[0]
    assert cache.get("b") is not None
    cache.put("a", ANSWER)
    assert cache.get("a") == Hit(response=ANSWER, this_session=True)
    cache.close()


def test_a_file_of_another_version_is_left_alone(path: Path) -> None:
    put(path, "k")
    change(path, f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()

    assert get(path, "k") is None
    put(path, "k")

    assert get(path, "k") is not None
    assert path.read_bytes() == before
    assert path.with_stem(f"cache-{VERSION}").is_file()


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\x00" + b"\xff" * 4000])
def test_a_file_that_is_no_database_is_told_once_and_does_not_stop(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    cache = Cache(path, session="one")

    assert cache.get("k") is None
    cache.put("k", ANSWER)
    assert cache.get("k") == Hit(response=ANSWER, this_session=True)
    assert len(cache.warnings) == 1
    assert "delete the file" in cache.warnings[0]
    assert path.read_bytes() == content
    cache.close()


def test_a_folder_that_cannot_be_made_does_not_stop(tmp_path: Path) -> None:
    (tmp_path / "local").write_text("in the way")
    cache = Cache(tmp_path / "local" / "cache.sqlite", session="one")
    cache.put("k", ANSWER)

    assert cache.get("k") is not None
    assert len(cache.warnings) == 1
    cache.close()


def test_many_processes_lose_nothing(path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(name), "250"]) for name in range(8)
    ]

    assert [writer.wait() for writer in writers] == [0] * 8
    cache = Cache(path, session="s")
    for name in range(8):
        for number in range(250):
            hit = cache.get(f"{name}-{number}")
            assert hit is not None
            assert hit.response.text == f"{name} {number}"
    assert cache.warnings == []
    cache.close()


def test_the_file_is_kept_in_wal_mode(path: Path) -> None:
    put(path, "k")
    connection = sqlite3.connect(path)

    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_what_was_put_outlives_a_killed_process(path: Path) -> None:
    code = WRITER.replace("cache.close()", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    subprocess.run([sys.executable, "-c", code, str(path), "w", "20"], check=False)
    cache = Cache(path, session="s")

    assert [cache.get(f"w-{number}") is not None for number in range(20)] == [True] * 20
    cache.close()


@pytest.mark.parametrize("seed", range(40))
def test_a_file_damaged_anywhere_serves_no_wrong_answer_and_stops_nothing(path: Path, seed: int) -> None:
    cache = Cache(path, session="s")
    for number in range(60):
        cache.put(str(number), Response(text=f"word {number} " * 100, model="m"))
    cache.close()
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    start, length = chance.randrange(len(data)), chance.choice([1, 100, 4096])
    data[start : start + length] = chance.randbytes(min(length, len(data) - start))
    path.write_bytes(data)

    again, ledger = Cache(path, session="t"), Ledger(path, session="t")
    for number in range(60):
        hit = again.get(str(number))
        assert hit is None or hit.response.text == f"word {number} " * 100
        if hit is None:
            ledger.claim(str(number))
            again.put(str(number), Response(text="new", model="m"))
            ledger.release(str(number))
            assert again.get(str(number)) == Hit(response=Response(text="new", model="m"), this_session=True)
    assert len(again.warnings) <= 2
    assert len(ledger.warnings) <= 1
    again.close()
    ledger.close()
