"""Slots and budget are shared by all processes of a session."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llmops.calls.budget import Budget, Spent
from pytest_llmops.calls.ledger import Ledger, Turn
from pytest_llmops.calls.line import Line
from pytest_llmops.calls.pace import Pace
from pytest_llmops.calls.tally import Tally
from pytest_llmops.errors import BudgetError, FatalCallError

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

HOLDER = """
import sys
from pathlib import Path
from pytest_llmops.calls.budget import Budget
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.pace import Pace
ledger = Ledger(Path(sys.argv[1]), session="s", budget=Budget(cost=1.0))
print(ledger.turn("p", Pace(2, 2), 0.75) is not None, flush=True)
sys.stdin.read()
"""

TWO = Pace(slots=2, most=2)

Open = Callable[..., Ledger]


def test_a_session_of_one_process_keeps_its_book_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "local" / "cache.sqlite"
    ledger = Ledger(path, session="s", budget=Budget(calls=2, cost=2.0, seconds=9.0), alone=True)
    assert ledger.tally() == Tally()
    assert ledger.seconds_left() == 9.0
    first = taken(ledger, 1.5)
    assert ledger.turn("p", TWO, 1.0) is None
    ledger.answered(first, Tally(calls=1, cost=0.5, seconds=0.1))
    ledger.turned_away(taken(ledger, 1.0), Tally(calls=1), 0.0)
    ledger.fail("k", FatalCallError("No."))
    ledger.saved({"a": 0.5, "b": 0.0})
    ledger.saved({"a": 0.5})

    assert str(ledger.failure("k", since=0.0)) == "No."
    assert ledger.failure("other", since=0.0) is None
    with pytest.raises(BudgetError, match="--llmops-max-calls=2 is reached"):
        ledger.turn("p", TWO, 0.1)
    assert ledger.tally() == Tally(calls=2, failed=1, cost=0.5, seconds=0.1, saved=2, saved_cost=0.5)
    # Its claims are for all to see.
    assert not path.exists()
    assert ledger.claim("k")
    assert not Ledger(path, session="t").claim("k")
    ledger.close()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    ledgers = []

    def open_one(session: str = "s", **limits: float) -> Ledger:
        budget = Budget(**limits)  # type: ignore[arg-type]
        ledgers.append(Ledger(tmp_path / "local" / "cache.sqlite", session=session, budget=budget))
        return ledgers[-1]

    yield open_one
    for ledger in ledgers:
        ledger.close()


def taken(ledger: Ledger, most: float | None = None) -> Turn:
    turn = ledger.turn("p", TWO, most)
    assert isinstance(turn, Turn)
    return turn


def test_slots_are_those_of_all_processes(opened: Open) -> None:
    one, two = opened(), opened()
    first = taken(one)
    taken(two)

    assert one.turn("p", TWO, None) is None
    assert two.turn("p", TWO, None) is None
    # Another provider and another session have slots of their own.
    assert isinstance(one.turn("q", TWO, None), Turn)
    assert isinstance(opened("t").turn("p", TWO, None), Turn)
    one.answered(first, Tally(calls=1, seconds=0.1))
    assert isinstance(two.turn("p", TWO, None), Turn)


@on_linux
def test_a_slot_and_money_of_a_killed_process_are_given_back_and_spent(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "local" / "cache.sqlite"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        ledger = opened(cost=1.0)
        assert ledger.turn("p", TWO, 0.5) is None
        child.kill()
    # The call may have been answered: what was put aside for it counts as spent.
    assert ledger.turn("p", TWO, 0.5) is None
    with pytest.raises(BudgetError, match=r"--llmops-max-cost=1 is reached: \$0.7500 is spent"):
        ledger.turn("p", TWO, 0.5)
    assert ledger.tally() == Tally(calls=1, unpriced=1, cost=0.75)
    assert isinstance(ledger.turn("p", TWO, 0.25), Turn)


def test_calls_under_way_count_for_the_most_calls(opened: Open) -> None:
    one, two = opened(calls=2), opened(calls=2)
    taken(one)
    one.ended(taken(two), Tally(calls=1))

    with pytest.raises(BudgetError, match="--llmops-max-calls=2 is reached"):
        two.turn("p", TWO, None)


def test_money_put_aside_comes_back_when_a_call_was_cheaper(opened: Open) -> None:
    ledger = opened(cost=1.0)
    first = taken(ledger, 0.8)
    # It may cost less in the end: this is a wait and no refusal.
    assert ledger.turn("p", TWO, 0.8) is None
    ledger.answered(first, Tally(calls=1, cost=0.1, seconds=0.1))
    second = taken(ledger, 0.8)
    ledger.answered(second, Tally(calls=1, cost=0.3, seconds=0.1))

    with pytest.raises(BudgetError, match=r"\$0.4000 is spent, and the next call can cost \$0.8000"):
        ledger.turn("p", TWO, 0.8)
    assert isinstance(ledger.turn("p", TWO, 0.6), Turn)


def test_an_unknown_price_cannot_be_held_to_a_budget(opened: Open) -> None:
    with pytest.raises(BudgetError, match="add it under `prices`"):
        opened(cost=1.0).turn("p", TWO, None)


def test_time_counts_from_the_first_call(opened: Open) -> None:
    ledger = opened(seconds=30.0)
    assert ledger.seconds_left() == 30.0
    ledger.ended(taken(ledger), Tally(calls=1))
    left = ledger.seconds_left()
    assert left is not None
    assert 0 < left < 30

    budget = Budget(seconds=30)
    assert budget.refusal(Spent(seconds=29.9), 0.0) == ""
    assert budget.refusal(Spent(seconds=30.0), 0.0) == "--llmops-max-seconds=30 is reached"


MONEY = st.integers(0, 40).map(lambda cents: cents / 8)


@settings(max_examples=60)
@given(budget=MONEY, calls=st.lists(st.tuples(MONEY, st.floats(0, 1), st.booleans()), max_size=30))
def test_money_is_never_overspent(
    tmp_path_factory: pytest.TempPathFactory, budget: float, calls: list[tuple[float, float, bool]]
) -> None:
    """Calls of two processes cost any part of what was put aside, and end in any order."""
    path = tmp_path_factory.mktemp("money") / "cache.sqlite"
    limit = Budget(cost=budget or 0.125)
    ledgers = [Ledger(path, session="s", budget=limit) for _ in range(2)]
    open_turns: list[tuple[Turn, float]] = []
    for most, part, ends in calls:
        for ledger in ledgers:
            try:
                turn = ledger.turn("p", Pace(slots=9, most=9), most)
            except BudgetError:
                continue
            if isinstance(turn, Turn):
                open_turns.append((turn, most * part))
        if ends and open_turns:
            turn, cost = open_turns.pop(0)
            ledgers[0].ended(turn, Tally(calls=1, cost=cost))
    for turn, cost in open_turns:
        ledgers[0].ended(turn, Tally(calls=1, cost=cost))

    assert ledgers[0].tally().cost <= (limit.cost or 0) + 1e-9
    for ledger in ledgers:
        ledger.close()


def test_turns_come_in_the_order_of_asking_and_the_urgent_first(opened: Open) -> None:
    ledger = opened()
    line = Line(ledger, "p", Pace(slots=1, most=1))
    order: list[str] = []

    async def call(name: str, *, urgent: bool = False) -> None:
        turn = await line.enter(None, urgent=urgent)
        order.append(name)
        await asyncio.sleep(0)
        ledger.ended(turn, Tally(calls=1))
        line.leave()

    async def main() -> None:
        names = [call("a"), call("b"), call("c"), call("again", urgent=True)]
        await asyncio.gather(*names)

    asyncio.run(main())
    # The first two were at the counter and its head already.
    assert order == ["a", "again", "b", "c"] or order == ["a", "b", "again", "c"]


def test_who_is_cancelled_in_line_holds_up_nobody(opened: Open) -> None:
    ledger = opened()
    line = Line(ledger, "p", Pace(slots=1, most=1))

    async def main() -> None:
        turn = await line.enter(None)
        tasks = [asyncio.create_task(line.enter(None)) for _ in range(4)]
        await asyncio.sleep(0)
        for task in tasks[:3]:
            task.cancel()
        ledger.ended(turn, Tally(calls=1))
        line.leave()
        assert isinstance(await tasks[3], Turn)
        assert [task.cancelled() for task in tasks[:3]] == [True] * 3

    asyncio.run(main())
