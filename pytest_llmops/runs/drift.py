"""Tell whether the model behind a stored baseline still answers as it did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_llmops.runs.compare import Match, Rules
from pytest_llmops.runs.comparison import MetricComparison
from pytest_llmops.runs.pairing import PairedCase, pair
from pytest_llmops.runs.weighing import Weighed, margin_of, weigh_metric
from pytest_llmops.stats.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftedMetric:
    """Be one metric of stored answers beside today's answers to the same requests."""

    comparison: MetricComparison
    p: float | None
    """How often chance alone makes a change this clear in either direction, corrected for all metrics of the
    session; None where nothing was tested."""
    moved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Be what a canary shows of one test: its stored baseline's own prompt, asked again."""

    test_key: str
    model: str
    cases: int
    """Cases that were asked again and answered."""
    lost: int
    """Cases that were asked again and gave no answer."""
    other_answers: int
    """Cases whose answer is not the stored one, word for word."""
    metrics: tuple[DriftedMetric, ...]

    @property
    def moved(self) -> bool:
        """Tell whether any metric moved beyond chance."""
        return any(metric.moved for metric in self.metrics)


def find_drifts(canaries: Sequence[Match | None], rules: Rules) -> tuple[Drift, ...]:
    """Return what the canaries show.

    Args:
        canaries: stored runs, each beside today's answers to the same requests; None where none were asked.
        rules: of them alpha and the margins; all metrics of the session share alpha, in both directions.
    """
    from pytest_llmops.stats.family import holm

    found = [(match, *_weighed(match, rules)) for match in canaries if match is not None]
    tested = [item for _, _, items in found for item in items if item.tested]
    both_ways = [2 * min(item.evidence.p_drop, item.evidence.p_rise) for item in tested if item.evidence]
    corrected = {
        id(item): p for item, p in zip(tested, holm([min(1.0, p) for p in both_ways]) or [], strict=True)
    }
    return tuple(_drift(match, cases, items, corrected, rules.alpha) for match, cases, items in found)


def _weighed(match: Match, rules: Rules) -> tuple[list[PairedCase], list[Weighed]]:
    # The stored cases that were not asked again are no loss.
    asked = {result.case_id for result in match.candidate.results}
    baseline = replace(
        match.baseline,
        results=tuple(result for result in match.baseline.results if result.case_id in asked),
    )
    cases, _ = pair(baseline, match.candidate)
    return cases, list(_metrics(match, cases, rules))


def _metrics(match: Match, cases: Sequence[PairedCase], rules: Rules) -> Iterator[Weighed]:
    for metric in match.candidate.header.metrics.values():
        # Times and prices of another day differ for reasons of their own.
        if not metric.volatile:
            plain = MetricComparison(
                metric=metric, verdict=Verdict.NOT_COMPARABLE, margin=margin_of(metric, rules.margins)
            )
            yield weigh_metric(
                match.baseline.header, match.candidate.header, cases, plain, alpha=rules.alpha / 2
            )


def _drift(
    match: Match,
    cases: Sequence[PairedCase],
    items: Sequence[Weighed],
    corrected: dict[int, float],
    alpha: float,
) -> Drift:
    def metric(item: Weighed) -> DriftedMetric:
        p = corrected.get(id(item))
        few = item.evidence is not None and not item.tested
        compared = replace(item.comparison, verdict=Verdict.TOO_FEW) if few else item.comparison
        return DriftedMetric(comparison=compared, p=p, moved=p is not None and p <= alpha)

    return Drift(
        test_key=match.candidate.header.test_key,
        model=match.candidate.header.model,
        cases=len(cases),
        lost=len(match.candidate.results) - len(cases),
        other_answers=sum(
            case.candidate[0].output not in {result.output for result in case.baseline} for case in cases
        ),
        metrics=tuple(metric(item) for item in items),
    )
