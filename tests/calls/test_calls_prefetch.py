from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.calls.prefetch import LoopThread, Prefetch


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread()
    yield loop
    loop.close()


class Jobs:
    """Make jobs that note their start and wait until they are let go."""

    def __init__(self, loop: LoopThread, count: int) -> None:
        self.loop = loop
        self.started: list[int] = []
        self.ended: list[int] = []
        self.free = [threading.Event() for _ in range(count)]
        self.faults: dict[int, Exception] = {}

    def all(self) -> list[Callable[[], Coroutine[Any, Any, int]]]:
        return [partial(self.job, index) for index in range(len(self.free))]

    async def job(self, index: int) -> int:
        self.started.append(index)
        try:
            while not self.free[index].is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.001)
            if index in self.faults:
                raise self.faults[index]
        finally:
            self.ended.append(index)
        return index * 10

    def let_go(self, *indices: int) -> None:
        for index in indices:
            self.free[index].set()

    def settled(self) -> list[int]:
        """Return what has started, once all that was submitted has had its turn."""
        self.loop.run(asyncio.sleep(0))
        return self.started


def test_a_loop_thread_runs_and_returns(loop: LoopThread) -> None:
    async def name() -> str:
        return threading.current_thread().name

    assert loop.run(name()) == "llmops-calls"


def test_exceptions_come_through(loop: LoopThread) -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        loop.run(fail())


def test_waiting_for_itself_is_refused(loop: LoopThread) -> None:
    async def inner() -> None: ...

    async def outer() -> None:
        loop.run(inner())

    with pytest.raises(RuntimeError, match="await it instead"):
        loop.run(outer())


def test_closing_cancels_and_waits_for_what_runs() -> None:
    loop, ended = LoopThread(), threading.Event()
    running = threading.Event()

    async def forever() -> None:
        try:
            running.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.set()

    future = loop.submit(forever())
    running.wait()
    loop.close()

    assert ended.is_set()
    assert future.cancelled()
    assert "llmops-calls" not in {thread.name for thread in threading.enumerate()}
    loop.close()


def test_a_closed_thread_takes_nothing() -> None:
    loop = LoopThread()
    loop.close()

    with pytest.raises(RuntimeError, match="closed"):
        loop.submit(asyncio.sleep(0))


def test_the_look_ahead_is_bounded_and_moves(loop: LoopThread) -> None:
    jobs = Jobs(loop, 10)
    prefetch = Prefetch(loop, jobs.all(), ahead=lambda: 3)
    assert jobs.settled() == [0, 1, 2]
    jobs.let_go(0, 1)

    assert prefetch.result(0) == 0
    assert jobs.settled() == [0, 1, 2, 3]
    assert prefetch.result(1) == 10
    assert jobs.settled() == [0, 1, 2, 3, 4]
    prefetch.stop()


def test_a_result_waits_for_its_own_job_only(loop: LoopThread) -> None:
    jobs = Jobs(loop, 4)
    prefetch = Prefetch(loop, jobs.all(), ahead=lambda: 4)
    jobs.let_go(2)

    assert prefetch.result(2) == 20
    assert jobs.ended == [2]
    prefetch.stop()


def test_a_result_that_is_asked_for_again_is_made_again(loop: LoopThread) -> None:
    jobs = Jobs(loop, 2)
    jobs.let_go(0)
    prefetch = Prefetch(loop, jobs.all(), ahead=lambda: 0)

    assert [prefetch.result(0), prefetch.result(0)] == [0, 0]
    assert jobs.settled() == [0, 0]


def test_workers_look_ahead_over_their_own_items(loop: LoopThread) -> None:
    jobs = Jobs(loop, 12)
    jobs.let_go(*range(12))
    prefetch = Prefetch(loop, jobs.all(), ahead=lambda: 2, first=1, stride=3)
    assert jobs.settled() == [1, 4]

    # An item of another worker was given to this one.
    assert prefetch.result(5) == 50
    assert jobs.settled() == [1, 4, 5, 7, 10]
    assert prefetch.result(0) == 0
    assert jobs.settled() == [1, 4, 5, 7, 10, 0]


@given(count=st.integers(0, 12), ahead=st.integers(0, 5), data=st.data())
def test_never_more_than_ahead_beyond_the_highest(
    shared: LoopThread, count: int, ahead: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, 4))
    first = data.draw(st.integers(0, stride - 1))
    asked = data.draw(st.lists(st.integers(0, count - 1), max_size=8, unique=True)) if count else []
    jobs = Jobs(shared, count)
    jobs.let_go(*range(count))
    prefetch = Prefetch(shared, jobs.all(), ahead=lambda: ahead, first=first, stride=stride)

    for number in range(len(asked) + 1):
        highest = max(asked[:number], default=-1)
        beyond = [index for index in range(first, count, stride) if index > highest][:ahead]
        assert set(beyond) == {index for index in jobs.settled() if index > highest}
        if number < len(asked):
            assert prefetch.result(asked[number]) == asked[number] * 10
    assert len(jobs.started) == len(set(jobs.started))


@pytest.fixture(scope="module")
def shared() -> Iterator[LoopThread]:
    loop = LoopThread()
    yield loop
    loop.close()


def test_a_fault_is_raised_and_a_rerun_asks_again(loop: LoopThread) -> None:
    jobs = Jobs(loop, 3)
    jobs.let_go(0, 1, 2)
    jobs.faults = {1: KeyError("x")}
    prefetch = Prefetch(loop, jobs.all(), ahead=lambda: 3)

    assert prefetch.result(0) == 0
    with pytest.raises(KeyError, match="x"):
        prefetch.result(1)
    jobs.faults = {}
    assert prefetch.result(1) == 10


def test_stopping_cancels_the_look_ahead_and_results_can_still_be_asked(loop: LoopThread) -> None:
    jobs = Jobs(loop, 6)
    jobs.let_go(0)
    prefetch = Prefetch(loop, jobs.all(), ahead=lambda: 3)
    assert prefetch.result(0) == 0
    jobs.settled()
    prefetch.stop()
    jobs.settled()
    assert sorted(jobs.ended) == [0, 1, 2, 3]

    jobs.let_go(1, 5)
    assert [prefetch.result(0), prefetch.result(1), prefetch.result(5)] == [0, 10, 50]
    assert jobs.settled()[4:] == [0, 1, 5]


def test_faults_nobody_asks_for_are_silent(loop: LoopThread, caplog: pytest.LogCaptureFixture) -> None:
    jobs = Jobs(loop, 3)
    jobs.faults = {1: KeyError("x"), 2: KeyError("y")}
    jobs.let_go(0, 1, 2)
    prefetch = Prefetch(loop, jobs.all(), ahead=lambda: 3)
    assert prefetch.result(0) == 0
    jobs.settled()
    prefetch.stop()
    del prefetch
    loop.close()

    assert caplog.records == []


def test_it_works_inside_a_running_loop(loop: LoopThread) -> None:
    jobs = Jobs(loop, 3)
    jobs.let_go(0, 1, 2)

    async def main() -> list[int]:
        prefetch = Prefetch(loop, jobs.all(), ahead=lambda: 2)
        return [prefetch.result(index) for index in range(3)]

    assert asyncio.run(main()) == [0, 10, 20]


@pytest.mark.asyncio
async def test_it_works_under_pytest_asyncio(loop: LoopThread) -> None:
    async def own() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert loop.run(own()) is not asyncio.get_running_loop()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_works_under_anyio(loop: LoopThread, anyio_backend: str) -> None:
    jobs = Jobs(loop, 1)
    jobs.let_go(0)

    assert Prefetch(loop, jobs.all(), ahead=lambda: 1).result(0) == 0


def test_the_look_ahead_starts_no_job_that_may_not_start(loop: LoopThread) -> None:
    jobs, allowed = Jobs(loop, 8), {0, 1, 3}
    jobs.let_go(*range(8))
    prefetch = Prefetch(loop, jobs.all(), ahead=lambda: 4, may_start=lambda index: index in allowed)
    assert jobs.settled() == [0, 1, 3]

    # A job that was held back starts as soon as it may, in its turn.
    allowed.update({2, 5})
    assert prefetch.result(0) == 0
    assert jobs.settled() == [0, 1, 3, 2]
    assert prefetch.result(1) == 10
    assert jobs.settled() == [0, 1, 3, 2, 5]


def test_what_is_asked_for_starts_whether_it_may_or_not(loop: LoopThread) -> None:
    jobs = Jobs(loop, 4)
    jobs.let_go(*range(4))
    prefetch = Prefetch(loop, jobs.all(), ahead=lambda: 4, may_start=lambda index: False)
    assert jobs.settled() == []
    assert [prefetch.result(2), prefetch.result(0)] == [20, 0]
    assert jobs.settled() == [2, 0]


def test_a_job_that_runs_is_not_asked_about_again(loop: LoopThread) -> None:
    asked: list[int] = []
    jobs = Jobs(loop, 4)
    jobs.let_go(*range(4))

    def may_start(index: int) -> bool:
        asked.append(index)
        return True

    prefetch = Prefetch(loop, jobs.all(), ahead=lambda: 2, may_start=may_start)
    assert [prefetch.result(index) for index in range(4)] == [0, 10, 20, 30]
    assert asked == [0, 1, 2, 3]
