"""Do at once what many tasks ask for in the same turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")


class Together(Generic[A, R]):
    """Gather what is asked for in one turn of the loop; belongs to one event loop.

    Answers come in waves, and each would wait for a transaction of its own.

    Args:
        work: does all of it, and returns as many results in the same order.
    """

    def __init__(self, work: Callable[[Sequence[A]], Sequence[R]]) -> None:
        self._work = work
        self._asked: list[tuple[A, asyncio.Future[R]]] = []

    def ask(self, value: A) -> asyncio.Future[R]:
        """Return what will hold the result; it is worked out even where nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()
        self._asked.append((value, result))
        if len(self._asked) == 1:
            loop.call_soon(self._run)
        return result

    def _run(self) -> None:
        asked, self._asked = self._asked, []
        try:
            results = self._work([value for value, _ in asked])
        except Exception as error:
            for _, result in asked:
                if not result.done():
                    result.set_exception(error)
            return
        for (_, result), found in zip(asked, results, strict=True):
            if not result.done():
                result.set_result(found)
