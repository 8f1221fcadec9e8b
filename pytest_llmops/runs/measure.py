"""Measure one case: ask the model, score the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_llmops.calls.exchange import Caller, Request, Response
from pytest_llmops.errors import BadAnswerError
from pytest_llmops.golden.case import Case
from pytest_llmops.runs.record import CaseResult
from pytest_llmops.scorers.score import Score, Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Be one answer with its scores, or the reason why the answer is unusable."""

    response: Response | None
    bad_answer: BadAnswerError | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    stored_scores: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    """Today's scores of the baseline's stored outputs, by metric."""


async def measure(
    case: Case,
    request: Request,
    scorers: Sequence[Scorer],
    caller: Caller,
    *,
    stored: Sequence[CaseResult] = (),
    rescorers: Sequence[Scorer] = (),
) -> Measured:
    """Ask, score the answer, and score stored answers again where that is wanted.

    Args:
        case: the golden row.
        request: what to ask.
        scorers: what to score the answer with.
        caller: who asks.
        stored: the baseline's results of the case.
        rescorers: what to score the stored outputs with.

    Raises:
        CallError: the model or a judge could not be asked.
        JudgeError: a judge gave no valid verdict.
    """
    stored_scores = await _rescore(case, stored, rescorers, caller)
    try:
        response = await caller.acall(request)
    except BadAnswerError as error:
        return Measured(response=None, bad_answer=error, stored_scores=stored_scores)
    scores = {scorer.metric.name: await scorer.score(case, response, caller) for scorer in scorers}
    return Measured(response=response, scores=scores, stored_scores=stored_scores)


async def _rescore(
    case: Case, stored: Sequence[CaseResult], scorers: Sequence[Scorer], caller: Caller
) -> dict[str, tuple[Score, ...]]:
    scores: dict[str, tuple[Score, ...]] = {}
    for scorer in scorers:
        metric = scorer.metric
        scores[metric.name] = tuple(
            [
                await scorer.score(case, result.response, caller)
                if result.response is not None
                else Score(value=metric.worst, passed=False, reason=result.detail)
                for result in stored
            ]
        )
    return scores
