"""Tell what makes the differences of cases differ: noise of single answers, or an effect that varies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llmops.stats.weigh import LARGEST, RESOLUTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Hold what makes the differences of cases differ: variances, in score units squared (Miller 2024)."""

    effect: float
    """Spread of the true change over cases, which no repeat reduces."""
    baseline: float
    """Spread of single baseline answers to one case."""
    candidate: float
    """Spread of single candidate answers to one case."""
    assumed: bool
    """The data could not tell noise from anything else."""

    def sd(self, baseline_repeats: float, candidate_repeats: float) -> float:
        """Return the standard deviation of a case's difference, in score units."""
        noise = self.baseline / baseline_repeats + self.candidate / candidate_repeats
        return math.sqrt(self.effect + noise)


def components(
    baseline: Sequence[Sequence[float]],
    candidate: Sequence[Sequence[float]],
    *,
    spread: float | None = None,
    span: float = 1.0,
) -> Noise:
    """Return what the paired answers say of noise and of the spread of the effect.

    The noise of a side is pooled from the cases it answered more than once; a side without any borrows the
    other's. Where neither has any, all of the spread counts as noise. Where nothing differs at all, it is as
    if one answer on either side had differed by the whole range.

    Args:
        baseline: scores of each case, one a repeat.
        candidate: the same cases in the same order.
        spread: standard deviation of the differences where clusters made it another than that of the cases.
        span: width of the metric's range.

    Raises:
        ValueError: there is no case, or the message names the index of the case that cannot be used.
    """
    check_scores(baseline, "baseline")
    check_scores(candidate, "candidate")
    differences = [mean(after) - mean(before) for before, after in zip(baseline, candidate, strict=True)]
    total = variance(differences) if spread is None else spread * spread
    before, after = within_cases(baseline), within_cases(candidate)
    if max(total, before or 0.0, after or 0.0) <= (RESOLUTION * span) ** 2:
        return unseen(baseline, candidate, span)
    if before is None and after is None:
        return Noise(effect=0.0, baseline=total / 2, candidate=total / 2, assumed=True)
    one = after or 0.0 if before is None else before
    other = one if after is None else after
    share = one * share_left(baseline) + other * share_left(candidate)
    return Noise(effect=max(0.0, total - share), baseline=one, candidate=other, assumed=False)


def unseen(baseline: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]], span: float) -> Noise:
    """Return what to assume where nothing differs: as if one answer had by the whole range."""
    before, after = (span * span / sum(map(len, side)) for side in (baseline, candidate))
    return Noise(effect=0.0, baseline=before, candidate=after, assumed=True)


def within_cases(side: Sequence[Sequence[float]]) -> float | None:
    """Return the pooled variance of answers to the same case, None where none was answered twice."""
    freedom = sum(len(scores) - 1 for scores in side)
    return math.fsum(map(_squares, side)) / freedom if freedom else None


def share_left(side: Sequence[Sequence[float]]) -> float:
    """Return the mean over cases of the share of an answer's noise that is left in the case's mean."""
    return math.fsum(1 / len(scores) for scores in side) / len(side)


def variance(values: Sequence[float]) -> float:
    """Return the unbiased variance; 0 for a single number."""
    return _squares(values) / (len(values) - 1) if len(values) > 1 else 0.0


def _squares(values: Sequence[float]) -> float:
    middle = mean(values)
    return math.fsum((value - middle) ** 2 for value in values)


def mean(values: Sequence[float]) -> float:
    """Return the mean of at least one number."""
    return math.fsum(values) / len(values)


def check_scores(side: Sequence[Sequence[float]], name: str) -> None:
    """Refuse a side without cases, and scores that are no usable numbers.

    Raises:
        ValueError: the message names the index of the case.
    """
    if not side:
        raise ValueError(f"There is no {name} case.")
    for index, scores in enumerate(side):
        # Written so that NaN fails too.
        if not scores or not all(abs(score) < LARGEST for score in scores):
            raise ValueError(f"Case {index} has no usable {name} answer: {scores}.")
