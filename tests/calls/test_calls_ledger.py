from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llmops.calls.ledger import Ledger, Turn
from pytest_llmops.calls.owner import EXPIRY
from pytest_llmops.calls.pace import Pace
from pytest_llmops.calls.process import Process
from pytest_llmops.calls.shared_book import DAY
from pytest_llmops.calls.tally import Tally

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CLAIMER = """
import sys
from pathlib import Path
from pytest_llmops.calls.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), session="s")
print([key for key in sys.argv[2:] if ledger.claim(key)], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "local" / "cache.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path, session="s")
    yield ledger
    ledger.close()


@pytest.fixture
def other(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path, session="t")
    yield ledger
    ledger.close()


def change(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def spend(ledger: Ledger, spent: Tally) -> None:
    turn = ledger.turn("p", Pace(slots=2, most=2), None)
    assert isinstance(turn, Turn)
    ledger.ended(turn, spent)


def claimer(path: Path, *keys: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CLAIMER, str(path), *keys],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == str(list(keys))
    return child


def test_one_claims_and_all_others_wait(ledger: Ledger, other: Ledger) -> None:
    assert ledger.claim("k")
    assert not other.claim("k")
    assert not ledger.claim("k")
    assert other.claim("another")


def test_a_released_claim_is_free(ledger: Ledger, other: Ledger) -> None:
    ledger.claim("k")
    other.release("k")
    assert not other.claim("k")
    ledger.release("k")
    assert other.claim("k")


def test_closing_gives_up_all_claims(ledger: Ledger, other: Ledger) -> None:
    ledger.claim("k")
    ledger.close()

    assert other.claim("k")


@on_linux
def test_a_claim_of_a_killed_process_is_taken_over(ledger: Ledger, path: Path) -> None:
    with claimer(path, "k") as child:
        assert not ledger.claim("k")
        child.kill()
        # Not yet waited for, the dead child is still listed.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert ledger.claim("k")
    assert not Ledger(path, session="t").claim("k")


@on_linux
def test_of_many_that_see_the_dead_owner_one_takes_over(path: Path) -> None:
    keys = [str(number) for number in range(200)]
    with claimer(path, *keys) as child:
        child.kill()
    ledgers = [Ledger(path, session="s") for _ in range(4)]

    def take(ledger: Ledger) -> list[str]:
        return [key for key in keys if ledger.claim(key)]

    with ThreadPoolExecutor(4) as threads:
        taken = [key for part in threads.map(take, ledgers) for key in part]
    for ledger in ledgers:
        ledger.close()
    assert sorted(taken) == sorted(keys)


@on_linux
def test_a_process_id_used_again_is_not_trusted(ledger: Ledger, other: Ledger, path: Path) -> None:
    ledger.claim("k")
    change(path, "UPDATE owners SET started = started || '0'")

    assert other.claim("k")


def test_a_claim_without_a_sign_of_life_is_void(ledger: Ledger, other: Ledger, path: Path) -> None:
    ledger.claim("k")
    change(path, "UPDATE owners SET beat = beat - ?", EXPIRY + 1)
    ledger.beat()
    assert not other.claim("k")
    change(path, "UPDATE owners SET beat = beat - ?", EXPIRY + 1)
    assert other.claim("k")
    other.beat()
    # Neither a late sign of life nor a late release of the old owner counts.
    ledger.release("k")
    assert not ledger.claim("k")


def test_a_process_elsewhere_is_trusted_until_it_is_silent(ledger: Ledger, other: Ledger, path: Path) -> None:
    ledger.claim("k")
    change(path, "UPDATE owners SET place = 'another machine', pid = 1, started = 'x'")
    assert not other.claim("k")
    change(path, "UPDATE owners SET beat = beat - ?", EXPIRY + 1)
    assert other.claim("k")


@on_linux
def test_a_process_knows_itself_and_the_dead() -> None:
    this = Process.this()
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()

    assert not this.is_gone()
    assert Process(place=this.place, pid=child.pid, started=this.started).is_gone()
    assert not Process(place="", pid=child.pid, started="").is_gone()


def test_counting_makes_no_file_before_the_first_count(ledger: Ledger, path: Path) -> None:
    assert ledger.tally() == Tally()
    ledger.saved({})
    ledger.close()
    assert not path.parent.exists()


SPENT = st.builds(
    Tally,
    calls=st.integers(0, 9),
    failed=st.integers(0, 1),
    input_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(0, 10**6),
    cost=st.integers(0, 4).map(float),
    unpriced=st.integers(0, 1),
    seconds=st.integers(0, 4).map(float),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("tally") / "cache.sqlite"
    foreign = Ledger(path, session="foreign")
    spend(foreign, Tally(calls=1000))
    yield path
    foreign.close()


@settings(max_examples=40)
@given(spent=st.lists(st.tuples(st.booleans(), SPENT), max_size=6))
def test_the_tally_adds_up_over_processes(shared: Path, spent: list[tuple[bool, Tally]]) -> None:
    session = uuid.uuid4().hex
    one, two = Ledger(shared, session=session), Ledger(shared, session=session)
    for first, each in spent:
        spend(one if first else two, each)

    assert one.tally() == two.tally() == sum((each for _, each in spent), Tally())
    one.close()
    two.close()


def test_a_saved_answer_counts_once_in_a_session(ledger: Ledger, other: Ledger, path: Path) -> None:
    again = Ledger(path, session="s")
    ledger.saved({"a": 1.0, "b": 0.5})
    again.saved({"b": 0.5, "c": 0.0})
    other.saved({"a": 1.0})

    assert ledger.tally() == again.tally() == Tally(saved=3, saved_cost=1.5)
    assert other.tally() == Tally(saved=1, saved_cost=1.0)
    again.close()


def test_old_saved_answers_are_forgotten(ledger: Ledger, path: Path) -> None:
    ledger.saved({"a": 1.0})
    change(path, "UPDATE saved SET created = created - ?", DAY + 1)
    ledger.saved({"b": 0.0})

    assert ledger.tally() == Tally(saved=1)


def test_counts_outlive_the_ledger(ledger: Ledger, path: Path) -> None:
    spend(ledger, Tally(calls=2, cost=0.5))
    ledger.close()

    assert ledger.tally() == Tally(calls=2, cost=0.5)


def test_a_file_that_cannot_be_used_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "local").write_text("in the way")
    ledger = Ledger(tmp_path / "local" / "cache.sqlite", session="s")

    assert ledger.claim("k")
    spend(ledger, Tally(calls=1))
    assert ledger.tally() == Tally(calls=1)
    assert len(ledger.warnings) == 1
    ledger.close()
