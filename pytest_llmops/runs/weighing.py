"""Weigh one metric of one test: from paired cases to evidence, or to the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_llmops.runs.comparison import CaseChange, MetricComparison
from pytest_llmops.runs.pairing import PairedCase, score_of, stored_scores
from pytest_llmops.runs.record import Header
from pytest_llmops.scorers.score import Metric
from pytest_llmops.settings import DEFAULT_MARGIN
from pytest_llmops.stats.verdict import MIN_UNITS, Evidence, Verdict

RATIO_MARGIN = 0.10
"""The largest relative rise of seconds or dollars that is acceptable where no margin is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Be one metric before the correction for all metrics: evidence, or a verdict without it."""

    comparison: MetricComparison
    evidence: Evidence | None = None
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


def weigh_metric(
    baseline: Header,
    candidate: Header,
    cases: Sequence[PairedCase],
    metric: Metric,
    *,
    margin: float,
    alpha: float,
) -> Weighed:
    """Return what the paired cases say of one metric, before the correction for all metrics."""
    plain = MetricComparison(metric=metric, verdict=Verdict.NOT_COMPARABLE, margin=margin)
    if metric.name not in candidate.metrics:
        return Weighed(comparison=replace(plain, reason="this run no longer measures it"))
    rescored = any(metric.name in result.stored_scores for case in cases for result in case.candidate)
    reason = "" if rescored else not_comparable(baseline, metric)
    if not reason and not rescored:
        reason = _unsteady(cases, metric)
    if reason:
        return Weighed(comparison=replace(plain, reason=reason))
    rows = _rows(cases, metric, rescored=rescored)
    return _evidence(plain, rows, alpha)


_Row = tuple[PairedCase, list[float], list[float]]


def _rows(cases: Sequence[PairedCase], metric: Metric, *, rescored: bool) -> list[_Row]:
    rows = []
    for case in cases:
        before = stored_scores(case, metric, rescored=rescored)
        found = [score_of(result, metric) for result in case.candidate]
        after = [value for value in found if value is not None]
        if before and after:
            rows.append((case, before, after))
    return rows


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


def _evidence(plain: MetricComparison, rows: Sequence[_Row], alpha: float) -> Weighed:
    metric = plain.metric
    if not rows:
        return Weighed(comparison=replace(plain, verdict=Verdict.TOO_FEW, reason="no case is paired"))
    described = _described(plain, rows)
    if not metric.volatile and all(case.replayed and set(b) == set(a) for case, b, a in rows):
        return Weighed(comparison=replace(described, verdict=Verdict.UNCHANGED))
    from pytest_llmops.stats.weigh import Sample, weigh

    clusters = [case.candidate[0].cluster for case, _, _ in rows]
    sample = Sample(
        baseline=[[_oriented(metric, value) for value in before] for _, before, _ in rows],
        candidate=[[_oriented(metric, value) for value in after] for _, _, after in rows],
        clusters=[
            f"cluster {cluster}" if cluster is not None else f"case {case.case_id}"
            for cluster, (case, _, _) in zip(clusters, rows, strict=True)
        ]
        if any(cluster is not None for cluster in clusters)
        else None,
        span=1.0 if metric.range is None else metric.range[1] - metric.range[0],
        pass_fail=metric.kind == "pass_fail",
    )
    evidence = weigh(sample, alpha=alpha)
    limit = math.log1p(plain.margin) if metric.kind == "ratio" else plain.margin
    return Weighed(comparison=_measured(described, evidence, limit), evidence=evidence, limit=limit)


def _oriented(metric: Metric, value: float) -> float:
    """Return the score so that more is better; seconds and dollars as their logarithm."""
    number = math.log(max(value, 1e-9)) if metric.kind == "ratio" else value
    return number if metric.higher_is_better else -number


def _described(plain: MetricComparison, rows: Sequence[_Row]) -> MetricComparison:
    before = math.fsum(_mean(b) for _, b, _ in rows) / len(rows)
    after = math.fsum(_mean(a) for _, _, a in rows) / len(rows)
    return replace(
        plain,
        cases=len(rows),
        units=len({case.candidate[0].cluster or f"\0{case.case_id}" for case, _, _ in rows}),
        baseline=before,
        candidate=after,
        change=after - before,
        worse=_worse(plain.metric, rows),
    )


def _measured(described: MetricComparison, evidence: Evidence, limit: float) -> MetricComparison:
    metric = described.metric
    ends = (evidence.low, evidence.high) if metric.higher_is_better else (-evidence.high, -evidence.low)
    change = evidence.change if metric.higher_is_better else -evidence.change
    ratio = metric.kind == "ratio"
    low, high, change, smallest = (
        math.expm1(value) if ratio else value for value in (*ends, change, evidence.mde80)
    )
    return replace(
        described,
        units=evidence.units,
        change=change,
        low=low,
        high=high,
        p=evidence.p_drop,
        smallest_seen=smallest,
        cases_needed=evidence.cases_needed(limit),
    )


def _worse(metric: Metric, rows: Sequence[_Row]) -> tuple[CaseChange, ...]:
    sign = 1 if metric.higher_is_better else -1
    fallen = [
        (sign * (_mean(after) - _mean(before)), case, before, after)
        for case, before, after in rows
        if sign * (_mean(after) - _mean(before)) < 0
    ]
    fallen.sort(key=lambda item: (item[0], item[1].case_id))
    return tuple(_case_change(metric, case, before, after) for _, case, before, after in fallen)


def _case_change(
    metric: Metric, case: PairedCase, before: Sequence[float], after: Sequence[float]
) -> CaseChange:
    def value(index: int) -> float:
        score = score_of(case.candidate[index], metric)
        return math.inf if score is None else score if metric.higher_is_better else -score

    # Of several repeats the worst one shows best what went wrong.
    shown = case.candidate[min(range(len(case.candidate)), key=value)]
    score = shown.scores.get(metric.name)
    return CaseChange(
        case_id=case.case_id,
        inputs=shown.inputs,
        expected=shown.expected,
        baseline_score=_mean(before),
        candidate_score=_mean(after),
        baseline_output=case.baseline[0].output,
        candidate_output=shown.output,
        reason=shown.detail or (score.reason if score else ""),
        nodeid=shown.nodeid,
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
