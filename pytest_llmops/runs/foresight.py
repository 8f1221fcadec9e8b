"""Foresee what a test will call, and what its comparison could see, from the stored baseline's own noise."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_llmops.runs.pairing import scores_of
from pytest_llmops.runs.record import Run
from pytest_llmops.runs.weighing import limit_of, margin_of, repeats_of
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.power import Need


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricForesight:
    """Be what the comparison of one metric could see."""

    metric: Metric
    cases: int
    """Cases that would be paired."""
    margin: float
    smallest_seen: float
    """The smallest change for the worse that would be seen 4 times in 5, in score units."""
    need: Need
    """What would see a change as large as the margin."""
    assumed: bool
    """The baseline answered each case once, so its noise is taken at its worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Be one test before it is run."""

    test_key: str
    model: str
    cases: int
    repeats: int
    answers: int
    """Answers to ask for, those of a live control and of a canary among them."""
    known: int
    """Answers that are there already, or that are asked for once for many."""
    judged: int
    """Most calls to judges for the answers that are not there yet."""
    stored: bool
    """There is a stored baseline, whose noise tells what could be seen."""
    tokens: tuple[int, int] | None
    """Tokens in and out of the answers to ask for, by the stored run's; None where it does not say."""
    cost: float | None
    """US dollars of the same; None where the price is unknown."""
    metrics: tuple[MetricForesight, ...]


def foresee_metrics(
    baseline: Run,
    cases: Collection[str],
    metrics: Sequence[Metric],
    *,
    repeats: int,
    margins: Mapping[str, float],
    alpha: float = 0.05,
) -> Iterator[MetricForesight]:
    """Yield what the comparison of each metric could see.

    Args:
        baseline: the stored run.
        cases: ids of the cases that would be paired.
        metrics: the gated metrics that can be compared.
        repeats: answers a case of the run to come.
        margins: shares of a metric's range by metric name; the one under "" is for all others.
        alpha: risk of a false alarm, one-sided.
    """
    paired = [results for case_id, results in baseline.by_case().items() if case_id in cases]
    for metric in metrics:
        scores = [found for results in paired if (found := scores_of(results, metric))]
        usable = not any(metric.refusal(value) for values in scores for value in values)
        if scores and usable and metric.range is not None:
            yield _foreseen(metric, scores, repeats, margin_of(metric, margins), alpha)


def spent_before(baseline: Run, calls: int) -> tuple[tuple[int, int] | None, float | None]:
    """Return the tokens in and out and the dollars of so many calls, by what the stored answers took."""
    results = [result for result in baseline.results if result.usage.input_tokens is not None]
    if not results:
        return None, None
    share = calls / len(results)
    given = sum(result.usage.input_tokens or 0 for result in results)
    made = sum(result.usage.output_tokens or 0 for result in results)
    costs = [result.cost for result in results if result.cost is not None]
    price = share * math.fsum(costs) if len(costs) == len(results) else None
    return (round(share * given), round(share * made)), price


def _foreseen(
    metric: Metric, scores: Sequence[Sequence[float]], repeats: int, margin: float, alpha: float
) -> MetricForesight:
    from pytest_llmops.stats.planning import foreseen, planned
    from pytest_llmops.stats.power import needed

    assert metric.range is not None
    low, high = metric.range
    turned = scores if metric.higher_is_better else [[-value for value in values] for values in scores]
    worst, span = (low if metric.higher_is_better else -high), high - low
    noise = planned(turned, drop=limit_of(metric, margin), worst=worst, span=span)
    return MetricForesight(
        metric=metric,
        cases=len(scores),
        margin=margin,
        smallest_seen=foreseen(turned, candidate_repeats=repeats, worst=worst, span=span, alpha=alpha),
        need=needed(
            noise,
            margin=limit_of(metric, margin),
            cases=len(scores),
            baseline_repeats=repeats_of(turned),
            candidate_repeats=repeats,
            alpha=alpha,
        ),
        assumed=noise.assumed,
    )
