"""Measure one case: ask the model, score the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_llmops.calls.exchange import Caller, Request, Response
from pytest_llmops.errors import BadAnswerError, MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.runs.record import CaseResult
from pytest_llmops.scorers.score import PairScorer, Score, Scorer
from pytest_llmops.scorers.side_by_side import side_by_side


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Be one answer with its scores, or the reason why the answer is unusable."""

    response: Response | None
    bad_answer: BadAnswerError | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)


async def measure(
    case: Case,
    request: Request,
    scorers: Sequence[Scorer],
    caller: Caller,
    *,
    ask: Callable[[Request], Awaitable[Response]] | None = None,
) -> Measured:
    """Ask, and score the answer.

    Args:
        case: the golden row.
        request: what to ask.
        scorers: what to score the answer with.
        caller: who asks for the scorers.
        ask: who asks for the answer; `caller` where None.

    Raises:
        CallError: the model or a judge could not be asked.
        JudgeError: a judge gave no valid verdict.
        MisuseError: a scorer gave what is no score of its metric.
    """
    try:
        response = await (ask or caller.acall)(request)
    except BadAnswerError as error:
        return Measured(response=None, bad_answer=error)
    scores = await side_by_side([_scored(scorer, case, response, caller) for scorer in scorers])
    named = {scorer.metric.name: score for scorer, score in zip(scorers, scores, strict=True)}
    return Measured(response=response, scores=named)


async def rescore(
    case: Case, stored: Sequence[CaseResult], scorers: Sequence[Scorer], caller: Caller
) -> dict[str, tuple[Score, ...]]:
    """Return today's scores of the baseline's outputs of a case, by metric.

    Raises:
        CallError: a judge could not be asked.
        JudgeError: a judge gave no valid verdict.
        MisuseError: a scorer gave what is no score of its metric.
    """
    scores: dict[str, tuple[Score, ...]] = {}
    for scorer in scorers:
        metric = scorer.metric
        scores[metric.name] = tuple(
            [
                await _scored(scorer, case, result.response, caller)
                if result.response is not None
                else Score(value=metric.worst, passed=False, reason=result.detail)
                for result in stored
            ]
        )
    return scores


async def prefer(
    case: Case, measured: Measured, beside: Measured, scorers: Sequence[PairScorer], caller: Caller
) -> dict[str, Score]:
    """Return the scores of an answer beside the baseline's, by metric; one without an answer is worse.

    Raises:
        CallError: a judge could not be asked.
        JudgeError: a judge gave no valid verdict.
    """
    ours, stored = measured.response, beside.response
    if ours is not None and stored is not None:
        scores = await side_by_side([scorer.prefer(case, ours, stored, caller) for scorer in scorers])
        return {scorer.metric.name: score for scorer, score in zip(scorers, scores, strict=True)}
    value = float(ours is not None) - float(stored is not None)
    reason = "neither side has a usable answer" if not value else "only one side has a usable answer"
    return {scorer.metric.name: scorer.metric.score(value, reason=reason) for scorer in scorers}


async def _scored(scorer: Scorer, case: Case, response: Response, caller: Caller) -> Score:
    score = await scorer.score(case, response, caller)
    refusal = "" if score.value is None else scorer.metric.refusal(score.value)
    if refusal:
        raise MisuseError(f"The metric {scorer.metric.name!r} gave {refusal}.")
    if score.value is None or type(score.value) is float:
        return score
    # True is a score that people give, and a number that they read.
    return replace(score, value=float(score.value))
