"""Run calls ahead of the tests that need them, on an event loop of their own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")

LOOK = 1.0
"""Seconds of waiting for a result without a look around: a signal that comes just before is seen then."""


def always(index: int) -> bool:  # noqa: ARG001 - stands for a look-up
    """Return True: nothing holds the look-ahead back."""
    return True


def nothing() -> int:
    """Return 0: no job is started ahead."""
    return 0


def _result(future: Future[T], waiting: Callable[[], object] = nothing) -> T:
    while True:
        try:
            return future.result(timeout=LOOK)
        except TimeoutError:
            # Else it is what the job itself raised.
            if future.done():
                raise
            waiting()


class LoopThread:
    """Run coroutines in a daemon thread, whatever event loops the main thread runs."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._main, name="llmops-calls", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` and return its future.

        Raises:
            RuntimeError: the thread is closed.
        """
        if self._closed:
            work.close()
            raise RuntimeError("The thread for model calls is closed.")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` and return its result; an interrupt cancels it.

        Raises:
            RuntimeError: the caller is a coroutine of this very thread, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("A coroutine among the model calls cannot wait for one; await it instead.")
        future = self.submit(work)
        try:
            return _result(future)
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel what runs, wait until it has ended, and end the thread."""
        if self._closed:
            return
        self._closed = True
        self._loop.call_soon_threadsafe(self._stopped.set)
        while self._thread.is_alive():
            self._thread.join(LOOK)

    def _main(self) -> None:
        # The runner cancels and awaits all tasks, and closes the loop.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._wait())

    async def _wait(self) -> None:
        await self._stopped.wait()


class Prefetch(Generic[T]):
    """Start jobs a bounded way ahead of the tests that ask for their results.

    Belongs to the thread of the tests; only the jobs run on `loop`.

    Args:
        loop: where jobs run.
        jobs: make the coroutines, in the order of the coming items.
        ahead: says how many jobs may be started beyond the highest one asked for.
        first: the first index to look ahead to: worker i of n takes i...
        stride: ...and every n-th after it. Any index can be asked for.
        waiting: called about every second in which a result is waited for.
        may_start: tells whether the look-ahead may start a job yet.
    """

    def __init__(
        self,
        loop: LoopThread,
        jobs: Sequence[Callable[[], Coroutine[Any, Any, T]]],
        *,
        ahead: Callable[[], int],
        first: int = 0,
        stride: int = 1,
        waiting: Callable[[], object] = nothing,
        may_start: Callable[[int], bool] = always,
    ) -> None:
        self._loop = loop
        self._jobs = jobs
        self._ahead = ahead
        self._own = range(first, len(jobs), stride)
        self._waiting = waiting
        self._may_start = may_start
        self._position = 0
        """How many of our own jobs are behind us, or at most as far as the one asked for."""
        self._next = 0
        """How many of our own jobs the look-ahead has come by."""
        self._held: list[int] = []
        """Jobs that it came by and that might not start yet."""
        self._futures: dict[int, Future[T]] = {}
        self._look_ahead()

    def result(self, index: int) -> T:
        """Return the result of the job at `index`, and wait for no other.

        A job that is asked for again starts anew, as plugins that rerun tests want it.

        Raises:
            Exception: what the job raised.
        """
        future = self._started(index)
        while self._position < len(self._own) and self._own[self._position] <= index:
            self._position += 1
        self._look_ahead()
        try:
            return _result(future, self._waiting)
        except BaseException:
            future.cancel()
            raise
        finally:
            # Nobody needs it twice, and a hundred thousand of them are a burden.
            self._futures.pop(index, None)

    def stop(self) -> None:
        """Cancel what runs ahead; results can still be asked for."""
        self._ahead = nothing
        running = [index for index, future in self._futures.items() if not future.done()]
        for index in running:
            self._futures.pop(index).cancel()

    def finish(self) -> None:
        """Start nothing more, and wait for what runs ahead."""
        self._ahead = nothing
        for future in self._futures.values():
            # Nobody here has asked for it: what went wrong is told to whoever does.
            with contextlib.suppress(Exception, CancelledError):
                _result(future)

    def _look_ahead(self) -> None:
        self._held = [index for index in self._held if not self._begun(index)]
        self._next = max(self._next, self._position)
        end = min(len(self._own), self._position + self._ahead())
        for index in self._own[self._next : end]:
            if not self._begun(index):
                self._held.append(index)
        self._next = max(self._next, end)

    def _begun(self, index: int) -> bool:
        """Start a job if it may start, and tell whether it has; one behind us needs no start."""
        if self._position and index <= self._own[self._position - 1]:
            return True
        if index in self._futures or self._may_start(index):
            self._started(index)
            return True
        return False

    def _started(self, index: int) -> Future[T]:
        if index not in self._futures:
            self._futures[index] = self._loop.submit(self._jobs[index]())
        return self._futures[index]
