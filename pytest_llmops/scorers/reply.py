"""Ask a judge, and take its reply for a verdict only where it is exactly one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from pytest_llmops.calls.exchange import Caller, Request, Response
from pytest_llmops.errors import BadAnswerError, JudgeError
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.score import Metric

T = TypeVar("T")

QUOTED: Final = 200
"""Characters of a judge's reply that an error quotes."""


async def verdict_of(
    request: Request, caller: Caller, read: Callable[[str], T], *, metric: Metric, case: Case
) -> tuple[Response, T]:
    """Return a judge's reply, and the verdict in it.

    Args:
        request: the question.
        caller: who asks it.
        read: returns the verdict of a reply's text; raises a ValueError where it holds none.
        metric: what is judged.
        case: whose answer is judged.

    Raises:
        JudgeError: the reply is not exactly one valid verdict.
        CallError: the judge could not be asked.
    """
    judge = f"The judge {metric.name!r} ({request.named}) gave no valid verdict on the case {case.id!r}"
    try:
        reply = await caller.acall(request)
    except BadAnswerError as error:
        # A judge that refuses or is cut off has judged nothing: its fault must not score the answer.
        raise JudgeError(f"{judge}: {error}") from error
    try:
        return reply, read(reply.text)
    except ValueError as error:
        raise JudgeError(f"{judge}: {error}. It replied: {reply.text[:QUOTED]!r}") from None
