"""Look into, prune and check the file of answers, alone and beside processes that use it."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from pytest_llmops.calls.answers_file import find_file
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.database import VERSION
from pytest_llmops.calls.exchange import Response, Usage
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.prices import Price, Prices
from pytest_llmops.calls.prune import Pruned, Rule, prune
from pytest_llmops.calls.survey import Checkup, survey, verify
from pytest_llmops.errors import MisuseError

DAY = 86400.0

USER = """
import sys
from pathlib import Path
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.exchange import Response
from pytest_llmops.calls.ledger import Ledger
path = Path(sys.argv[1])
cache, ledger = Cache(path, session="running"), Ledger(path, session="running")
cache.put("mine", Response(text="x", model="m"))
assert ledger.claim("old-claimed")
print("ready", flush=True)
sys.stdin.readline()
cache.put("mine too", Response(text="x", model="m"))
print(cache.get("mine") is not None, *cache.warnings, *ledger.warnings, flush=True)
ledger.close()
cache.close()
"""

WRITER = """
import sys
from pathlib import Path
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.exchange import Response
cache = Cache(Path(sys.argv[1]), session=sys.argv[2])
for number in range(200):
    cache.put(f"{sys.argv[2]}-{number}", Response(text=f"{number}" * 200, model="m"))
    assert cache.get(f"{sys.argv[2]}-{number}") is not None
assert cache.warnings == [], cache.warnings
cache.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "local" / "cache.sqlite"


def put(path: Path, *keys: str, model: str = "m", text: str = "yes", age: float = 0.0) -> None:
    with closing(Cache(path, session=f"{model} {age}")) as cache:
        for key in keys:
            usage = Usage(input_tokens=1000, output_tokens=100)
            cache.put(key, Response(text=text, model=model, usage=usage))
    change(path, "UPDATE answers SET created = created - ? WHERE session = ?", age, f"{model} {age}")


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def keys(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM answers ORDER BY key")]


@contextmanager
def running(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a session in a process of its own, with one answer that it put and one claim that it holds."""
    command = [sys.executable, "-W", "error", "-c", USER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
        assert child.communicate("go on\n")[0] == "True\n"
        assert child.returncode == 0


def test_the_survey_counts_by_model_and_says_what_the_answers_would_cost_again(path: Path) -> None:
    put(path, "a", "b", model="dear", age=DAY)
    put(path, "c", model="unheard of")
    with closing(Cache(path, session="s")) as cache:
        cache.put("d", Response(text="no tokens told", model="dear"))
    change(path, "UPDATE answers SET response = x'7b7d' WHERE key = 'c'")
    with closing(Ledger(path, session="s")) as ledger:
        ledger.claim("e")
        found = survey(path)

    assert (found.answers, found.damaged, found.claims) == (3, 1, 1)
    (share,) = found.models
    assert (share.model, share.answers, share.tokens) == ("dear", 3, (2000, 200))
    prices = Prices({"dear": Price(input=1.0, output=10.0)})
    assert share.cost_again(prices, "openai") == (pytest.approx(0.004), 1)
    assert found.span is not None
    assert found.span[1] - found.span[0] == pytest.approx(DAY, abs=60)
    assert found.size >= path.stat().st_size > share.size > 0
    assert survey(path).claims == 0


def test_an_age_and_a_model_say_which_answers_go(path: Path) -> None:
    put(path, "old a", model="a", age=40 * DAY)
    put(path, "old b", model="b", age=40 * DAY)
    put(path, "new a", model="a")
    rule = Rule(before=time.time() - 30 * DAY, model="a")

    assert prune(path, rule, dry_run=True) == Pruned(removed=1, kept=0, freed=0, in_use=False)
    assert keys(path) == ["new a", "old a", "old b"]
    assert prune(path, rule).removed == 1
    assert keys(path) == ["new a", "old b"]
    assert prune(path, Rule(before=rule.before)).removed == 1
    assert prune(path, Rule(model="a")).removed == 1
    assert keys(path) == []
    put(path, "x", model="model")
    with pytest.raises(MisuseError, match="Did you mean 'model'"):
        prune(path, Rule(model="modle"))


def test_a_largest_size_takes_the_oldest_and_the_file_shrinks_to_it(path: Path) -> None:
    for age in range(8):
        put(path, *(f"{age}-{number:02}" for number in range(25)), text="word " * 500, age=age * DAY)
    before = path.stat().st_size
    done = prune(path, Rule(max_size=before // 2))

    left = keys(path)
    assert path.stat().st_size <= before // 2
    assert done == Pruned(removed=200 - len(left), kept=0, freed=before - path.stat().st_size, in_use=False)
    # No more than needed, and the newest are the ones that stay.
    assert 80 <= len(left) <= 100
    oldest = max(int(key[0]) for key in left)
    assert {int(key[0]) for key in left} == set(range(oldest + 1))
    assert prune(path, Rule(max_size=before)).removed == 0


def test_all_answers_go_and_their_room_comes_back(path: Path) -> None:
    put(path, *map(str, range(100)), text="word " * 500)
    done = prune(path, Rule())
    assert (done.removed, keys(path)) == (100, [])
    assert done.freed > 200_000
    assert path.stat().st_size < 100_000


def test_a_running_session_keeps_its_answers_and_the_file(path: Path) -> None:
    put(path, "old", "old-claimed", text="word " * 500, age=DAY)
    put(path, *(f"older {number}" for number in range(50)), text="word " * 500, age=3 * DAY)
    with running(path):
        done = prune(path, Rule())
        assert (done.removed, done.kept, done.in_use) == (51, 2, True)
        assert keys(path) == ["mine", "old-claimed"]
    assert keys(path) == ["mine", "mine too", "old-claimed"]
    assert prune(path, Rule()) == Pruned(removed=3, kept=0, freed=pytest.approx(0, abs=1e6), in_use=False)
    assert path.stat().st_size < 100_000


def test_pruning_and_writing_processes_do_not_disturb_each_other(path: Path) -> None:
    put(path, *map(str, range(300)), text="word " * 100, age=DAY)
    rule = Rule(before=time.time() - DAY / 2)
    children = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", WRITER, str(path), name]) for name in "ab"
    ]
    removed = 0
    while any(child.poll() is None for child in children):
        removed += prune(path, rule).removed
        survey(path)
        assert verify(path).damaged == []
    assert [child.returncode for child in children] == [0, 0]
    removed += prune(path, rule).removed
    assert removed == 300
    assert verify(path) == Checkup(sound=400, damaged=[], faults=[])


def test_damaged_answers_are_named_and_only_they_are_removed(path: Path) -> None:
    put(path, "a", "b", "c", "d")
    change(path, "UPDATE answers SET response = cast(response AS TEXT) WHERE key = 'b'")
    change(path, "UPDATE answers SET key = 'e' WHERE key = 'c'")

    assert verify(path) == Checkup(sound=2, damaged=["b", "e"], faults=[])
    assert verify(path, repair=True).damaged == ["b", "e"]
    assert verify(path) == Checkup(sound=2, damaged=[], faults=[])
    assert keys(path) == ["a", "d"]


def test_what_sqlite_finds_wrong_is_told(path: Path) -> None:
    put(path, *map(str, range(50)))
    change(path, "PRAGMA user_version")
    with closing(sqlite3.connect(path)) as connection:
        # The index of the keys forgets one of them.
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE '%autoindex_answers%'")
        number, size = page.fetchone()[0], connection.execute("PRAGMA page_size").fetchone()[0]
    data = bytearray(path.read_bytes())
    start = (number - 1) * size
    # Bytes 3 and 4 of a page count its cells.
    data[start + 3 : start + 5] = (int.from_bytes(data[start + 3 : start + 5]) - 1).to_bytes(2)
    path.write_bytes(data)
    assert any("index" in fault for fault in verify(path).faults)


@pytest.mark.parametrize("seed", range(40))
def test_a_file_damaged_anywhere_is_worked_with_or_told_in_one_message(path: Path, seed: int) -> None:
    put(path, *map(str, range(60)), text="word " * 200)
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    start = chance.randrange(len(data))
    length = chance.choice([1, 100, 4096])
    data[start : start + length] = chance.randbytes(min(length, len(data) - start))
    path.write_bytes(data)
    for work in (survey, verify, lambda file: prune(file, Rule(max_size=10_000))):
        with suppress(MisuseError):
            file = find_file(path)
            work(file)
            assert file == path


def test_no_file_or_an_empty_one_holds_no_answers(path: Path) -> None:
    assert find_file(path) is None
    path.parent.mkdir()
    path.touch()
    assert find_file(path) is None


def test_a_file_of_another_version_is_left_to_it_and_the_one_beside_it_used(path: Path) -> None:
    path.parent.mkdir()
    change(path, "PRAGMA user_version = 1")
    with pytest.raises(MisuseError, match=f"another version of pytest-llmops .form 1, here {VERSION}"):
        find_file(path)
    put(path.with_stem(f"cache-{VERSION}"), "a")
    assert find_file(path) == path.with_stem(f"cache-{VERSION}")


@pytest.mark.parametrize("content", [b"not a database at all, but quite long" * 50, b"short"])
def test_a_file_that_is_not_sqlite_is_one_clear_message(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(MisuseError, match=r"cache\.sqlite is not a SQLite file\. Delete it"):
        find_file(path)


def test_a_folder_in_the_place_of_the_file_is_one_clear_message(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(MisuseError, match=r"cache\.sqlite cannot be opened\. Mend the permissions"):
        find_file(path)


READER = """
import os, sys
from pathlib import Path
from pytest_llmops.calls.prune import Rule, prune
from pytest_llmops.calls.survey import survey, verify
path = Path(sys.argv[1])
# Whoever is root may write everywhere, so the reader becomes somebody else.
if os.geteuid() == 0:
    os.setuid(65534)
print(survey(path).answers, verify(path).sound)
for work in (lambda: prune(path, Rule()), lambda: verify(path, repair=True)):
    try:
        work()
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of folders work otherwise there")
def test_what_may_only_be_read_is_read_and_not_changed() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "local" / "cache.sqlite"
        put(path, "a", "b", "c")
        change(path, "UPDATE answers SET checksum = x'00' WHERE key = 'c'")
        path.chmod(0o444)
        path.parent.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", READER, str(path)], capture_output=True, text=True, check=False
        )
        path.parent.chmod(0o755)
        told = f"MisuseError {path} cannot be changed. Mend the permissions of the file and of its folder"
        lines = done.stdout.splitlines()
        assert lines[:1] == ["2 2"], done.stderr
        assert [line.startswith(told) for line in lines[1:]] == [True, True], lines
        assert keys(path) == ["a", "b", "c"]
