"""Weigh paired answers: choose the test and the interval that suit them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_llmops.stats.intervals import Interval, agreed, guarded_t, mover
from pytest_llmops.stats.paired import unconditional_p
from pytest_llmops.stats.relabel import Tails, Unit, relabelled
from pytest_llmops.stats.verdict import Evidence

RESOLUTION = 1e-12
"""Differences within this share of the metric's range are rounding errors."""

LARGEST = 1e100
"""A score beyond this would overflow when it is raised to the third power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Hold the paired answers of one metric, turned so that more is better."""

    baseline: Sequence[Sequence[float]]
    """Scores of each case, one a run, runs in the same order in all cases."""
    candidate: Sequence[Sequence[float]]
    """The same cases in the same order; the number of runs may differ."""
    clusters: Sequence[str | None] | None = None
    """Name of each case's cluster, None for a case that stands alone."""
    span: float = 1.0
    """Width of the metric's range; 1.0 for log ratios."""
    pass_fail: bool = False
    """Scores are passes and failures, 1 apart."""


def weigh(sample: Sample, *, alpha: float = 0.05) -> Evidence:
    """Return what the paired answers say of one metric.

    Passes and failures that were answered once and stand alone get the exact test of McNemar's question; all
    else is relabelled. The interval and the p-values never contradict each other.

    Args:
        sample: at least one case.
        alpha: the risk of a false alarm that is accepted, one-sided.

    Raises:
        ValueError: there is no case, or the message names the index of the case that cannot be weighed.
    """
    _check(sample, alpha)
    resolution = RESOLUTION * sample.span
    changes = [
        _difference(baseline, candidate, resolution)
        for baseline, candidate in zip(sample.baseline, sample.candidate, strict=True)
    ]
    units = list(_units(sample))
    sizes = [unit.cases for unit in units]
    totals = [_difference(unit.baseline, unit.candidate, resolution) for unit in units]
    answered_once = all(len(unit.baseline) == len(unit.candidate) == unit.cases == 1 for unit in units)
    if sample.pass_fail and answered_once and all(change in (-1, 0, 1) for change in changes):
        tails, interval = _exact(changes, alpha)
    else:
        tails = relabelled(units, resolution=resolution)
        interval = guarded_t(totals, sizes, span=sample.span, alpha=alpha)
    low, high = agreed(interval, p_drop=tails.drop, p_rise=tails.rise, alpha=alpha)
    mean = math.fsum(changes) / len(changes)
    return Evidence(
        cases=len(changes),
        units=len(units),
        change=mean,
        low=low,
        high=high,
        p_drop=tails.drop,
        p_rise=tails.rise,
        sd=_spread(totals, sizes),
    )


def _spread(totals: Sequence[float], sizes: Sequence[int]) -> float:
    """Return the standard deviation that gives the standard error of the mean when divided by sqrt(cases).

    For units of one case that is the ordinary one; clusters whose cases move together have more.
    """
    count, cases = len(totals), sum(sizes)
    mean = math.fsum(totals) / cases
    squares = math.fsum((total - size * mean) ** 2 for total, size in zip(totals, sizes, strict=True))
    return math.sqrt(squares / cases * count / (count - 1)) if count > 1 else 0.0


def _check(sample: Sample, alpha: float) -> None:
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 0.5.")
    if not 0 < sample.span < LARGEST:
        raise ValueError(f"The span is {sample.span}; it must be a finite number above 0.")
    cases = len(sample.baseline)
    if not cases:
        raise ValueError("There is no case to weigh.")
    counted = {"candidate": len(sample.candidate)}
    if sample.clusters is not None:
        counted["clusters"] = len(sample.clusters)
    for name, count in counted.items():
        if count != cases:
            raise ValueError(
                f"baseline holds {cases} cases and {name} {count}: case {min(cases, count)} lacks its pair."
            )
    for index, sides in enumerate(zip(sample.baseline, sample.candidate, strict=True)):
        for name, answers in zip(("baseline", "candidate"), sides, strict=True):
            if not answers:
                raise ValueError(f"Case {index} has no {name} answer.")
            # Written so that NaN fails too.
            if not all(abs(answer) < LARGEST for answer in answers):
                raise ValueError(f"Case {index} has a {name} score that is no usable number: {answers}.")


def _difference(baseline: Sequence[float], candidate: Sequence[float], resolution: float) -> float:
    change = math.fsum(candidate) / len(candidate) - math.fsum(baseline) / len(baseline)
    return change if abs(change) > resolution else 0.0


def _units(sample: Sample) -> Iterator[Unit]:
    clusters: dict[str, list[int]] = {}
    for index, name in enumerate(sample.clusters or [None] * len(sample.baseline)):
        if name is None:
            yield _unit(sample, [index])
        else:
            clusters.setdefault(name, []).append(index)
    for members in clusters.values():
        yield _unit(sample, members)


def _unit(sample: Sample, members: Sequence[int]) -> Unit:
    return Unit(
        baseline=_run_totals([sample.baseline[index] for index in members]),
        candidate=_run_totals([sample.candidate[index] for index in members]),
        cases=len(members),
    )


def _run_totals(answers: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the sum over cases of each run; a score that a run lacks is the mean of the others."""
    if len(answers) == 1:
        return tuple(float(answer) for answer in answers[0])
    runs = max(map(len, answers))
    full = [[*scores, *[math.fsum(scores) / len(scores)] * (runs - len(scores))] for scores in answers]
    return tuple(math.fsum(run) for run in zip(*full, strict=True))


def _exact(changes: Sequence[float], alpha: float) -> tuple[Tails, Interval]:
    losses, gains = sum(change < 0 for change in changes), sum(change > 0 for change in changes)
    cases = len(changes)
    tails = Tails(
        unconditional_p(losses=losses, gains=gains, cases=cases),
        unconditional_p(losses=gains, gains=losses, cases=cases),
    )
    return tails, mover(losses=losses, gains=gains, cases=cases, alpha=alpha)
