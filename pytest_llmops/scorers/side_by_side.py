"""Await several things at once where that is possible."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def side_by_side(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results in order; all work has ended when this returns or raises the first error.

    Without a running event loop nothing can wait, and one is done after the other.
    """
    if len(works) < 2 or not _loop_runs():
        return await _one_by_one(works)
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _one_by_one(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    try:
        return [await work for work in works]
    finally:
        for work in works:
            # What the first error left undone would be reported as forgotten.
            work.close()
