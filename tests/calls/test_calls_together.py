from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.database import MOST_ROWS
from pytest_llmops.calls.exchange import Response
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.once import Once
from pytest_llmops.calls.together import Together


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "cache.sqlite", session="s")
    yield ledger
    ledger.close()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    cache = Cache(tmp_path / "cache.sqlite", session="s")
    yield cache
    cache.close()


class Squares:
    """Square numbers, and refuse to square 13."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        if 13 in numbers:
            raise ValueError("13")
        return [number**2 for number in numbers]


async def gathered(together: Together[int, int], *numbers: int) -> list[int | BaseException]:
    return await asyncio.gather(*map(together.ask, numbers), return_exceptions=True)


def test_what_is_asked_for_in_one_turn_is_done_at_once() -> None:
    squares = Squares()
    together = Together(squares)

    async def work() -> tuple[list[int | BaseException], ...]:
        return await gathered(together, 3, 1, 2), await gathered(together, 4)

    assert asyncio.run(work()) == ([9, 1, 4], [16])
    assert squares.asked == [[3, 1, 2], [4]]


def test_an_error_reaches_all_who_asked_and_nobody_after_them() -> None:
    together = Together(Squares())

    async def work() -> tuple[list[int | BaseException], ...]:
        return await gathered(together, 13, 1), await gathered(together, 2)

    failed, after = asyncio.run(work())
    assert [str(error) for error in failed] == ["13", "13"]
    assert after == [4]


def test_who_no_longer_waits_disturbs_nobody() -> None:
    squares = Squares()
    together = Together(squares)

    async def work() -> int:
        together.ask(1).cancel()
        return await together.ask(2)

    assert asyncio.run(work()) == 4
    assert squares.asked == [[1, 2]]


def test_many_answers_are_kept_and_found_in_their_order(cache: Cache, ledger: Ledger) -> None:
    keys = [f"key-{number}" for number in range(2 * MOST_ROWS + 1)]
    assert all(ledger.claim_all(keys))
    assert cache.get_all(keys) == [None] * len(keys)
    cache.put_all([(key, Response(text=key, model="m")) for key in keys], claimed_by=ledger.owner)
    found = cache.get_all(["unknown", *reversed(keys)])
    assert [hit.response.text if hit else None for hit in found] == [None, *reversed(keys)]
    # The claims went with it.
    assert all(ledger.claim_all(keys))


def test_of_many_claims_those_of_others_are_not_ours(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger(tmp_path / "cache.sqlite", session="t")
    assert other.claim_all(["b", "d"]) == [True, True]
    assert ledger.claim_all(["a", "b", "c", "d"]) == [True, False, True, False]
    other.close()
    assert ledger.claim_all(["b", "d"]) == [True, True]


def test_a_call_that_is_cancelled_at_its_claim_leaves_none(cache: Cache, tmp_path: Path) -> None:
    class Cancelling(Ledger):
        """Cancel the first call between its claim and its making."""

        def claim_all(self, keys: Sequence[str]) -> list[bool]:
            if tasks:
                tasks.pop().cancel()
            return super().claim_all(keys)

    tasks: list[asyncio.Task[Response]] = []
    ledger = Cancelling(tmp_path / "cache.sqlite", session="s")
    once = Once(cache, ledger)

    async def make() -> Response:
        return Response(text="made", model="m")

    async def work() -> str:
        tasks.append(asyncio.create_task(once.answer("k", make, named="m")))
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        again = await asyncio.wait_for(once.answer("k", make, named="m"), 10)
        await once.aclose()
        return again.text

    assert asyncio.run(work()) == "made"
    ledger.close()
