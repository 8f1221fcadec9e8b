"""Weigh one metric of one test: from paired cases to evidence, or to the reason why there is none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from pytest_llmops.runs.comparison import MetricComparison
from pytest_llmops.runs.labelled import human_change
from pytest_llmops.runs.pairing import PairedCase, score_of
from pytest_llmops.runs.record import Header
from pytest_llmops.runs.rows import Row, rows_of, unusable, worse_cases
from pytest_llmops.scorers.score import Metric
from pytest_llmops.settings import DEFAULT_MARGIN
from pytest_llmops.stats.power import Need
from pytest_llmops.stats.verdict import MIN_UNITS, Evidence, Verdict
from pytest_llmops.stats.weigh import Sample

RATIO_MARGIN = 0.10
"""The largest relative rise of seconds or dollars that is acceptable where no margin is set."""

_LEAST_RATIO = 1e-9
"""Stands for 0 seconds or dollars, which have no logarithm."""

_LARGEST_LOG = 700.0
"""Of a greater logarithm nothing but infinity would be left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Be one metric before the correction for all metrics: evidence, or a verdict without it."""

    comparison: MetricComparison
    evidence: Evidence | None = None
    sample: Sample | None = None
    limit: float = 0.0
    """The margin in the units of the evidence."""

    @property
    def tested(self) -> bool:
        """Tell whether there is a p-value that may turn the build red."""
        return self.evidence is not None and self.evidence.units >= MIN_UNITS


def not_comparable(baseline: Header, metric: Metric) -> str:
    """Return why stored scores of `metric` cannot be compared with today's; "" where they can.

    The reason ends with what to do about it.
    """
    stored = baseline.metrics.get(metric.name)
    cure = "--llmops-rescore scores the stored outputs again"
    if stored is None:
        return f"the baseline holds no score of it; {cure}"
    if stored.version == metric.version:
        return ""
    changed = "the test's body has changed" if metric.name == "passed" else "it measures differently now"
    return f"{changed}; {cure}"


def margin_of(metric: Metric, margins: Mapping[str, float]) -> float:
    """Return the largest acceptable change for the worse, in score units; for a ratio the relative rise."""
    default = RATIO_MARGIN if metric.kind == "ratio" else margins.get("", DEFAULT_MARGIN)
    share = margins.get(metric.name, default)
    return share if metric.range is None else share * (metric.range[1] - metric.range[0])


def limit_of(metric: Metric, margin: float) -> float:
    """Return the margin in the units in which evidence is given: natural logarithms for ratios."""
    return math.log1p(margin) if metric.kind == "ratio" else margin


def weigh_metric(
    baseline: Header,
    candidate: Header,
    cases: Sequence[PairedCase],
    plain: MetricComparison,
    *,
    alpha: float,
) -> Weighed:
    """Return what the paired cases say of one metric, before the correction for all metrics.

    Args:
        baseline: header of the stored run.
        candidate: header of the run beside it.
        cases: the paired cases, or those of a slice.
        plain: the metric with its margin, and nothing found yet.
        alpha: risk of a false alarm, one-sided.
    """
    metric = plain.metric
    if metric.name not in candidate.metrics:
        return Weighed(comparison=replace(plain, reason="this run no longer measures it"))
    if plain.gated and metric.volatile and (reason := _timed_before(cases)):
        return Weighed(comparison=replace(plain, reason=reason))
    rescored = any(metric.name in result.stored_scores for case in cases for result in case.candidate)
    reason = "" if rescored else not_comparable(baseline, metric) or _unsteady(cases, metric)
    rows = [] if reason else rows_of(cases, metric, rescored=rescored)
    reason = reason or unusable(rows, metric)
    if reason:
        return Weighed(comparison=replace(plain, reason=reason))
    if not rows:
        return Weighed(comparison=replace(plain, verdict=Verdict.TOO_FEW, reason="no case is paired"))
    described = _described(plain, rows)
    if not metric.volatile and all(row.case.replayed and _alike(row) for row in rows):
        return Weighed(comparison=replace(described, verdict=Verdict.UNCHANGED))
    if plain.calibration is not None:
        described = replace(described, human=human_change(rows, plain.calibration, metric))
    from pytest_llmops.stats.weigh import weigh

    sample = sample_of(rows, metric)
    evidence = weigh(sample, alpha=alpha)
    return Weighed(
        comparison=_measured(described, evidence),
        evidence=evidence,
        sample=sample,
        limit=limit_of(metric, plain.margin),
    )


def need_of(item: Weighed) -> Need | None:
    """Return what would settle the verdict: more cases or more repeats."""
    from pytest_llmops.stats.noise import components
    from pytest_llmops.stats.power import needed

    sample, evidence = item.sample, item.evidence
    if sample is None or evidence is None:
        return None
    noise = components(sample.baseline, sample.candidate, spread=evidence.sd, span=sample.span)
    return needed(
        noise,
        margin=item.limit,
        cases=evidence.cases,
        baseline_repeats=repeats_of(sample.baseline),
        candidate_repeats=repeats_of(sample.candidate),
        alpha=evidence.alpha,
    )


def repeats_of(side: Sequence[Sequence[float]]) -> int:
    """Return how many answers a case has, their harmonic mean where cases differ."""
    return round(len(side) / math.fsum(1 / len(scores) for scores in side))


def sample_of(rows: Sequence[Row], metric: Metric) -> Sample:
    """Return the scores of the rows so that more is better; seconds and dollars as their logarithm."""
    return Sample(
        baseline=_oriented(metric, [row.before for row in rows]),
        candidate=_oriented(metric, [row.after for row in rows]),
        clusters=_clusters(rows),
        span=1.0 if metric.range is None else metric.range[1] - metric.range[0],
        pass_fail=metric.kind == "pass_fail",
    )


def _oriented(metric: Metric, side: list[Sequence[float]]) -> list[Sequence[float]]:
    if metric.kind == "ratio":
        side = [tuple(math.log(max(value, _LEAST_RATIO)) for value in values) for values in side]
    if not metric.higher_is_better:
        return [tuple(-value for value in values) for values in side]
    if set(map(type, chain.from_iterable(side))) <= {float}:
        return side
    # Stored scores may be whole numbers, or true.
    return [tuple(map(float, values)) for values in side]


def _clusters(rows: Sequence[Row]) -> list[str] | None:
    """Return the unit of each case; None where each is its own."""
    if all(row.case.candidate[0].cluster is None for row in rows):
        return None
    return [row.case.unit for row in rows]


def _unsteady(cases: Sequence[PairedCase], metric: Metric) -> str:
    """Return a reason where the very same answer has another score than the stored one."""
    if metric.volatile:
        return ""
    for case in cases:
        for stored, result in case.twins:
            same = stored.output == result.output and stored.status == result.status
            if same and score_of(stored, metric) != score_of(result, metric):
                return (
                    f"the same answer to case {case.case_id!r} now has another score, so something that the "
                    "test uses has changed; --llmops-rescore scores the stored outputs again"
                )
    return ""


def _alike(row: Row) -> bool:
    """Tell whether each score has the same share of the repeats on both sides."""
    before, after = row.before, row.after
    return before == after or sorted([*before] * len(after)) == sorted([*after] * len(before))


def _timed_before(cases: Sequence[PairedCase]) -> str:
    """Return a reason where times of today would be compared with times of another day."""
    reused = sum(result.reused for case in cases for result in (*case.baseline, *case.candidate))
    if not reused:
        return ""
    return (
        f"{reused:,} answers are from an earlier session, and so is the time they took; "
        "--llmops-cache=refresh asks both sides again"
    )


def _described(plain: MetricComparison, rows: Sequence[Row]) -> MetricComparison:
    before = math.fsum(row.old for row in rows) / len(rows)
    after = math.fsum(row.new for row in rows) / len(rows)
    clusters = _clusters(rows)
    return replace(
        plain,
        cases=len(rows),
        units=len(rows) if clusters is None else len(set(clusters)),
        baseline=before,
        candidate=after,
        change=after - before,
        worse=worse_cases(rows, plain.metric),
        labels=_labels(rows, plain.metric),
    )


def _labels(rows: Sequence[Row], metric: Metric) -> dict[str, int]:
    found = (result.scores.get(metric.name) for row in rows for result in row.case.candidate)
    return dict(Counter(score.label for score in found if score is not None and score.label))


def _measured(described: MetricComparison, evidence: Evidence) -> MetricComparison:
    metric = described.metric
    # Of a few units the interval may be wider than any change can be.
    span = math.inf if metric.range is None else metric.range[1] - metric.range[0]
    low, high = max(evidence.low, -span), min(evidence.high, span)
    ends = (low, high) if metric.higher_is_better else (-high, -low)
    change = evidence.change if metric.higher_is_better else -evidence.change
    ratio = metric.kind == "ratio"
    low, high, change, smallest = (
        math.expm1(min(value, _LARGEST_LOG)) if ratio else value for value in (*ends, change, evidence.mde80)
    )
    return replace(
        described,
        units=evidence.units,
        change=change,
        low=low,
        high=high,
        p=evidence.p_drop,
        smallest_seen=smallest,
    )
