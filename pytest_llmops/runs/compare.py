"""Compare runs with their baselines: Run x Run -> Comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.calibration import Calibration
from pytest_llmops.runs.causes import causes_of
from pytest_llmops.runs.comparison import Comparison, MetricComparison, Pairing, Stop, TestComparison
from pytest_llmops.runs.gate import Gate
from pytest_llmops.runs.pairing import PairedCase, pair, too_few_paired
from pytest_llmops.runs.record import Run
from pytest_llmops.runs.weighing import Weighed, margin_of, need_of, weigh_metric
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.verdict import Verdict, decide

_BETTER_THAN_INCONCLUSIVE = {
    Verdict.WITHIN_MARGIN,
    Verdict.IMPROVED,
    Verdict.NO_REGRESSION,
    Verdict.UNCHANGED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Be one test's run beside its stored one."""

    baseline: Run
    candidate: Run
    baseline_prompt: Prompt | None
    candidate_prompt: Prompt
    stop: Stop | None = None
    """When the test ended, where it might have stopped early."""
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    """How well judges agree with people, by their versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Be what the user decided about verdicts."""

    margins: Mapping[str, float]
    """Shares of a metric's range by metric name; the one under "" is for all others."""
    alpha: float
    """Risk of a false alarm for the whole session, one-sided."""
    gate: Gate = field(default_factory=Gate)
    slices: tuple[str, ...] = ()
    """Tags inside which the comparison is repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighing:
    """Be one test before the correction for all metrics."""

    match: Match
    pairing: Pairing
    cases: Sequence[PairedCase]
    metrics: Sequence[Weighed]
    slices: Sequence[Weighed]

    @property
    def family(self) -> list[Weighed]:
        """Return what shares alpha with the other tests of the session."""
        return [item for item in (*self.metrics, *self.slices) if item.tested and item.comparison.gated]


def compare(name: str, matches: Sequence[Match], rules: Rules) -> Comparison:
    """Return what the runs of a session show against the baseline `name`, one match a test."""
    weighings = [_weighing(match, rules) for match in matches]
    family = [item for weighing in weighings for item in weighing.family]
    together = [item for weighing in weighings if weighing.match.stop is None for item in weighing.family]
    corrected = _corrected(together, among=len(family))
    return Comparison(
        baseline_name=name,
        alpha=rules.alpha,
        family=len(family),
        tests=tuple(_test(weighing, corrected, rules.alpha) for weighing in weighings),
    )


def _corrected(together: Sequence[Weighed], *, among: int) -> dict[int, float]:
    """Return the corrected p-values by the identity of what was weighed.

    Where others of the session may stop early, each has its own equal part of the risk beforehand: then so
    have these.
    """
    from pytest_llmops.stats.family import holm

    p_values = [item.evidence.p_drop for item in together if item.evidence]
    equally = [min(1.0, among * p) for p in p_values]
    adjusted = equally if among > len(together) else holm(p_values) or []
    return {id(item): p for item, p in zip(together, adjusted, strict=True)}


def _weighing(match: Match, rules: Rules) -> _Weighing:
    candidate, not_run = match.candidate, frozenset[str]()
    if match.stop is not None:
        # Answers that were under way when the test ended count on no side, or the stop would be biased.
        not_run = match.stop.planned - match.stop.cases
        results = tuple(result for result in candidate.results if result.case_id not in not_run)
        candidate = replace(candidate, results=results)
    cases, pairing = pair(match.baseline, candidate, not_run=not_run)
    metrics = [_weighed(match, cases, metric, rules) for metric in _metrics(match)]
    tagged = {tag: [case for case in cases if tag in case.candidate[0].tags] for tag in _tags(rules)}
    return _Weighing(
        match=match,
        pairing=pairing,
        cases=cases,
        metrics=metrics,
        slices=[
            _weighed(match, members, item.comparison.metric, rules, tag)
            for tag, members in tagged.items()
            if members
            for item in metrics
            if item.comparison.verdict is not Verdict.NOT_COMPARABLE
            or item.evidence
            or rules.gate.covers(item.comparison.metric, tag)
        ],
    )


def _tags(rules: Rules) -> list[str]:
    return list(dict.fromkeys((*rules.slices, *rules.gate.tags)))


def _weighed(
    match: Match, cases: Sequence[PairedCase], metric: Metric, rules: Rules, tag: str = ""
) -> Weighed:
    plain = MetricComparison(
        metric=metric,
        verdict=Verdict.NOT_COMPARABLE,
        gated=rules.gate.covers(metric, tag),
        tag=tag,
        margin=margin_of(metric, rules.margins),
        calibration=match.calibrations.get(metric.version) if metric.judged else None,
    )
    alpha = match.stop.level if match.stop and plain.gated else rules.alpha
    return weigh_metric(match.baseline.header, match.candidate.header, cases, plain, alpha=alpha)


def _metrics(match: Match) -> list[Metric]:
    """Return the metrics of both sides: one that is gone must not vanish without a word."""
    ours = match.candidate.header.metrics
    gone = [metric for name, metric in match.baseline.header.metrics.items() if name not in ours]
    return [*ours.values(), *gone]


def _test(weighing: _Weighing, corrected: Mapping[int, float], alpha: float) -> TestComparison:
    match, pairing = weighing.match, weighing.pairing
    before, after = match.baseline.header, match.candidate.header

    def judged(items: Sequence[Weighed]) -> tuple[MetricComparison, ...]:
        return tuple(_judge(item, corrected.get(id(item)), weighing, alpha) for item in items)

    return TestComparison(
        test_key=after.test_key,
        baseline=before,
        candidate=after,
        baseline_prompt=match.baseline_prompt,
        candidate_prompt=match.candidate_prompt,
        causes=causes_of(
            before, after, old=match.baseline_prompt, new=match.candidate_prompt, pairing=pairing
        ),
        pairing=pairing,
        metrics=judged(weighing.metrics),
        slices=judged(weighing.slices),
        stop=match.stop,
        # A stored run has none; a live control may.
        unmeasured=sum(result.lost for run in (match.baseline, match.candidate) for result in run.results),
        replayed=bool(weighing.cases) and all(case.replayed for case in weighing.cases),
        reused=before.reused,
    )


def _judge(item: Weighed, corrected: float | None, weighing: _Weighing, alpha: float) -> MetricComparison:
    comparison, evidence, stop = item.comparison, item.evidence, weighing.match.stop
    if evidence is not None:
        if stop is not None and comparison.gated:
            alpha = stop.level
        p_family = evidence.p_drop if corrected is None else corrected
        verdict = decide(evidence, p_family=p_family, margin=item.limit, alpha=alpha)
        suspect = verdict is Verdict.INCONCLUSIVE and evidence.p_drop <= alpha < p_family
        comparison = replace(comparison, verdict=verdict, p_family=corrected, suspect=suspect)
        if verdict is Verdict.REGRESSED and stop is not None and _only_others_broke(comparison, stop):
            reason = f"the test stopped early because of {', '.join(stop.metrics)}, before this was decided"
            comparison = replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason)
    if too_few_paired(weighing.pairing) and comparison.verdict in _BETTER_THAN_INCONCLUSIVE:
        reason = "more than 10 % of the baseline's cases are changed or missing"
        comparison = replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason)
    if comparison.gated and comparison.verdict is Verdict.INCONCLUSIVE and not comparison.reason:
        comparison = replace(comparison, need=need_of(item))
    return comparison


def _only_others_broke(comparison: MetricComparison, stop: Stop) -> bool:
    """Tell whether the circuit breaker of another metric ended the test, when this one had no look due."""
    return stop.kind == "breaker" and comparison.gated and comparison.metric.name not in stop.metrics
