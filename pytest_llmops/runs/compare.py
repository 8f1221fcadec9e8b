"""Compare runs with their baselines: Run x Run -> Comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.comparison import (
    Comparison,
    MetricComparison,
    Pairing,
    TestComparison,
)
from pytest_llmops.runs.pairing import PairedCase, pair, too_few_paired
from pytest_llmops.runs.record import Run
from pytest_llmops.runs.weighing import Weighed, margin_of, weigh_metric
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


def compare(name: str, matches: Sequence[Match], *, margins: Mapping[str, float], alpha: float) -> Comparison:
    """Return what the runs of a session show against the baseline `name`.

    Args:
        name: the baseline's name.
        matches: one match a test.
        margins: shares of a metric's range by metric name; the one under "" is for all others.
        alpha: risk of a false alarm for the whole session, one-sided.
    """
    from pytest_llmops.stats.family import holm

    paired = [pair(match.baseline, match.candidate) for match in matches]
    weighed = [
        [
            weigh_metric(
                match.baseline.header,
                match.candidate.header,
                cases,
                metric,
                margin=margin_of(metric, margins),
                alpha=alpha,
            )
            for metric in _metrics(match)
        ]
        for match, (cases, _) in zip(matches, paired, strict=True)
    ]
    family = [item for items in weighed for item in items if item.tested and item.comparison.metric.gated]
    adjusted = holm([item.evidence.p_drop for item in family if item.evidence]) or []
    corrected = {id(item): p for item, p in zip(family, adjusted, strict=True)}
    tests = [
        _test(
            match, cases, pairing, [_judge(item, corrected.get(id(item)), pairing, alpha) for item in items]
        )
        for match, (cases, pairing), items in zip(matches, paired, weighed, strict=True)
    ]
    return Comparison(baseline_name=name, alpha=alpha, family=len(family), tests=tuple(tests))


def _metrics(match: Match) -> list[Metric]:
    """Return the metrics of both sides: one that is gone must not vanish without a word."""
    ours = match.candidate.header.metrics
    gone = [metric for name, metric in match.baseline.header.metrics.items() if name not in ours]
    return [*ours.values(), *gone]


def _judge(item: Weighed, corrected: float | None, pairing: Pairing, alpha: float) -> MetricComparison:
    comparison, evidence = item.comparison, item.evidence
    if evidence is not None:
        p_family = evidence.p_drop if corrected is None else corrected
        verdict = decide(evidence, p_family=p_family, margin=item.limit, alpha=alpha)
        suspect = verdict is Verdict.INCONCLUSIVE and evidence.p_drop <= alpha < p_family
        comparison = replace(comparison, verdict=verdict, p_family=corrected, suspect=suspect)
    if too_few_paired(pairing) and comparison.verdict in _BETTER_THAN_INCONCLUSIVE:
        reason = "more than 10 % of the baseline's cases are changed or missing"
        comparison = replace(comparison, verdict=Verdict.INCONCLUSIVE, reason=reason)
    return comparison


def _test(
    match: Match,
    cases: Sequence[PairedCase],
    pairing: Pairing,
    metrics: Sequence[MetricComparison],
) -> TestComparison:
    return TestComparison(
        test_key=match.candidate.header.test_key,
        baseline=match.baseline.header,
        candidate=match.candidate.header,
        baseline_prompt=match.baseline_prompt,
        candidate_prompt=match.candidate_prompt,
        causes=_causes(match, pairing),
        pairing=pairing,
        metrics=tuple(metrics),
        unmeasured=sum(result.status == "unmeasured" for result in match.candidate.results),
        replayed=bool(cases) and all(case.replayed for case in cases),
    )


def _causes(match: Match, pairing: Pairing) -> tuple[str, ...]:
    """Return what differs, in the order in which people suspect it."""
    before, after = match.baseline.header, match.candidate.header
    versions = {
        name
        for name, metric in after.metrics.items()
        if name in before.metrics and before.metrics[name].version != metric.version
    }
    old, new = match.baseline_prompt, match.candidate_prompt
    parameters = old is not None and old.parameters != new.parameters
    wording = before.prompt_digest != after.prompt_digest and (
        old is None
        or {**old.content, "parameters": 0, "model": 0} != {**new.content, "parameters": 0, "model": 0}
    )
    found = {
        "prompt": wording,
        "model": before.model != after.model,
        "parameters": parameters,
        "golden rows": before.golden_digest != after.golden_digest or bool(pairing.changed),
        "judge or metric": bool(versions - {"passed"}),
        "test": "passed" in versions,
    }
    return tuple(name for name, differs in found.items() if differs)
