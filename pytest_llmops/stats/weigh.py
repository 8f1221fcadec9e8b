"""Weigh paired answers: choose the test and the interval that suit them."""

from __future__ import annotations

import math
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from itertools import chain
from numbers import Real
from typing import TYPE_CHECKING

from pytest_llmops.stats.intervals import Interval, agreed, guarded_t, mover
from pytest_llmops.stats.paired import unconditional_p
from pytest_llmops.stats.relabel import Tails, relabelled
from pytest_llmops.stats.units import flat, grouped, run_counts
from pytest_llmops.stats.verdict import Evidence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESOLUTION = 1e-12
"""Differences within this share of the metric's range are rounding errors."""

SMALLEST = 1e-150
"""Squares of a smaller span would be nothing."""

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
    import numpy as np

    _check(sample, alpha)
    resolution = RESOLUTION * sample.span
    groups = grouped(*_units(sample))
    totals = np.concatenate([group.differences(resolution) for group in groups])
    sizes = np.concatenate([group.cases for group in groups])
    cases = len(sample.baseline)
    answered_once = len(totals) == cases and all(group.shape == (1, 1) for group in groups)
    if sample.pass_fail and answered_once and set(totals.tolist()) <= {-1.0, 0.0, 1.0}:
        tails, interval = _exact(totals, alpha)
    else:
        tails = relabelled(groups, resolution=resolution)
        interval = guarded_t(totals, sizes, span=sample.span, alpha=alpha)
    low, high = agreed(interval, p_drop=tails.drop, p_rise=tails.rise, alpha=alpha)
    mean = math.fsum(totals.tolist()) / cases
    return Evidence(
        cases=cases,
        units=len(totals),
        change=mean,
        low=low,
        high=high,
        p_drop=tails.drop,
        p_rise=tails.rise,
        sd=_spread(totals - sizes * mean, cases),
        alpha=alpha,
    )


def _spread(errors: NDArray[np.float64], cases: int) -> float:
    """Return the standard deviation that gives the standard error of the mean when divided by sqrt(cases).

    For units of one case that is the ordinary one; clusters whose cases move together have more.
    """
    units = len(errors)
    squares = math.fsum((errors * errors).tolist())
    return math.sqrt(squares / cases * units / (units - 1)) if units > 1 else 0.0


def _check(sample: Sample, alpha: float) -> None:
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 0.5.")
    if not SMALLEST <= sample.span < LARGEST:
        raise ValueError(f"The span is {sample.span}; it must lie between {SMALLEST:g} and {LARGEST:g}.")
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
    if all(_usable(side, sample.pass_fail) for side in (sample.baseline, sample.candidate)):
        return
    for index, sides in enumerate(zip(sample.baseline, sample.candidate, strict=True)):
        for name, answers in zip(("baseline", "candidate"), sides, strict=True):
            _check_case(index, name, answers, pass_fail=sample.pass_fail)


def _usable(side: Sequence[Sequence[float]], pass_fail: bool) -> bool:
    """Tell at once whether all cases can be weighed; which one cannot takes a closer look."""
    import numpy as np

    try:
        counts = run_counts(side)
        kinds = set(map(type, chain.from_iterable(side)))
        if not counts.all() or not all(_is_number(kind, pass_fail) for kind in kinds):
            return False
        return bool((np.abs(flat(side)) < LARGEST).all())
    except (TypeError, OverflowError):
        return False


def _is_number(kind: type, pass_fail: bool) -> bool:
    # Among scores True is a mistake: nothing says which end of the range it would be.
    return issubclass(kind, Real) and (pass_fail or not issubclass(kind, bool))


def _check_case(index: int, name: str, answers: Sequence[float], *, pass_fail: bool) -> None:
    if not isinstance(answers, Sized):
        raise ValueError(f"Case {index} has no list of {name} scores: {answers!r}.")
    if not len(answers):
        raise ValueError(f"Case {index} has no {name} answer.")
    # Written so that NaN fails too.
    if not all(_is_number(type(answer), pass_fail) and abs(answer) < LARGEST for answer in answers):
        raise ValueError(f"Case {index} has a {name} score that is no usable number: {answers!r}.")


def _units(
    sample: Sample,
) -> tuple[Sequence[Sequence[float]], Sequence[Sequence[float]], Sequence[int] | None]:
    """Return the totals of each unit in each run, of both sides, and its number of cases."""
    clusters: dict[object, list[int]] = {}
    for index, name in enumerate(sample.clusters or ()):
        clusters.setdefault(index if name is None else name, []).append(index)
    if len(clusters) == len(sample.clusters or ()):
        return sample.baseline, sample.candidate, None
    baseline, candidate = (
        [_run_totals([side[index] for index in members]) for members in clusters.values()]
        for side in (sample.baseline, sample.candidate)
    )
    return baseline, candidate, list(map(len, clusters.values()))


def _run_totals(answers: Sequence[Sequence[float]]) -> Sequence[float]:
    """Return the sum over cases of each run; a score that a run lacks is the mean of the others."""
    if len(answers) == 1:
        return answers[0]
    runs = max(map(len, answers))
    full = [[*scores, *[math.fsum(scores) / len(scores)] * (runs - len(scores))] for scores in answers]
    return [math.fsum(run) for run in zip(*full, strict=True)]


def _exact(changes: NDArray[np.float64], alpha: float) -> tuple[Tails, Interval]:
    losses, gains, cases = int((changes < 0).sum()), int((changes > 0).sum()), len(changes)
    tails = Tails(
        unconditional_p(losses=losses, gains=gains, cases=cases),
        unconditional_p(losses=gains, gains=losses, cases=cases),
    )
    return tails, mover(losses=losses, gains=gains, cases=cases, alpha=alpha)
