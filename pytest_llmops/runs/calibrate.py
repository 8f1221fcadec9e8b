"""Ask a judge about answers that people have labelled, twice, and say how well it agrees."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from pytest_llmops.calls.exchange import Caller, EmbeddingRequest, Request, Response
from pytest_llmops.errors import CallError, JudgeError, LlmopsError, MisuseError
from pytest_llmops.golden.labels import Labelled, Labels
from pytest_llmops.runs.agreement import Verdict, agreed
from pytest_llmops.runs.calibration import Calibration
from pytest_llmops.scorers.score import AnyScorer, PairScorer, Score

AGAIN: Final = 1000
"""Added to the number of each repeat when a judge is asked again: more than any judge asks for by itself."""


@dataclass(frozen=True, slots=True)
class Retest:
    """Ask for another answer to each question; a `Caller`, so that no judge need know of it."""

    caller: Caller

    async def acall(self, request: Request) -> Response:
        """Return an answer that is not the first one."""
        return await self.caller.acall(replace(request, repeat=request.repeat + AGAIN))

    async def aembed(self, request: EmbeddingRequest) -> tuple[tuple[float, ...], ...]:
        """Return the vectors of the request's texts."""
        return await self.caller.aembed(request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Be what asking a judge about labelled answers gave."""

    calibration: Calibration
    reasons: Mapping[str, str]
    """Why answers got no verdict, by their ids."""


async def calibrate(
    judge: AnyScorer,
    labels: Labels,
    caller: Caller,
    *,
    judged_by: str,
    model: str,
    max_error_share: float,
) -> Asked:
    """Return how well a judge agrees with the labels; all questions are asked side by side.

    Args:
        judge: who is asked: of one answer, or of a pair.
        labels: answers and what people say of them.
        caller: who asks.
        judged_by: what it judges by, for people.
        model: `provider:model` of the judge, for people.
        max_error_share: share of answers that may be lost to faults of the provider.

    Raises:
        MisuseError: a label is not on the judge's scale, the judge cannot read a row, or too much was lost.
    """
    metric = judge.metric
    _check_labels(judge, labels)
    found = await asyncio.gather(*(_asked(judge, row, caller) for row in labels))
    reasons = {
        row.case.id: str(got) for row, got in zip(labels, found, strict=True) if isinstance(got, LlmopsError)
    }
    lost = [got for got in found if isinstance(got, CallError)]
    if len(lost) > max_error_share * len(labels):
        raise MisuseError(
            f"{len(lost)} of {len(labels)} labelled answers could not be judged, so nothing is stored. "
            f"The first reason: {lost[0]}"
        )
    verdicts = [got for got in found if isinstance(got, Verdict)]
    calibration = Calibration(
        version=metric.version,
        judge=judged_by,
        model=model,
        kind=labels.kind,
        labels_digest=labels.digest,
        judged=len(verdicts),
        failures=tuple(reasons),
        labels={row.key: row.label for row in labels},
    )
    return Asked(calibration=agreed(calibration, verdicts, metric), reasons=reasons)


async def _asked(judge: AnyScorer, row: Labelled, caller: Caller) -> Verdict | LlmopsError:
    """Return the verdict, or why there is none."""
    try:
        score = await _score(judge, row, caller)
    except (CallError, JudgeError) as error:
        return error
    if score.value is None:
        return JudgeError(score.error or "no score")
    try:
        again = await _score(judge, row, Retest(caller))
    except (CallError, JudgeError):
        return Verdict(row, score, None)
    return Verdict(row, score, again.value)


async def _score(judge: AnyScorer, row: Labelled, caller: Caller) -> Score:
    answer = Response(text=row.output, model="")
    if isinstance(judge, PairScorer):
        return await judge.prefer(row.case, answer, Response(text=row.other or "", model=""), caller)
    return await judge.score(row.case, answer, caller)


def _check_labels(judge: AnyScorer, labels: Labels) -> None:
    pairs = isinstance(judge, PairScorer)
    if pairs != (labels.kind == "pairwise"):
        wanted = "pairs: rows with `output` and `other`" if pairs else "single answers: rows without `other`"
        raise MisuseError(f"{labels.name}: this judge is calibrated with labels of {wanted}.")
    low, high = judge.metric.limits
    for row in labels if labels.kind == "score" else ():
        if not low <= row.label <= high:
            raise MisuseError(
                f"{labels.name}: the label {row.label:g} of {row.case.id!r} is not on the judge's scale, "
                f"{low:g} to {high:g}. Name the scale that people used with --scale."
            )
