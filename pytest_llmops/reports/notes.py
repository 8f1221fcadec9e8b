"""Say what a verdict rests on, and what would settle it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pytest_llmops.reports.calibration import trust_text
from pytest_llmops.reports.figures import amount_text, change_text, counted, interval_text, p_text
from pytest_llmops.reports.headline import VERDICT_STYLES
from pytest_llmops.reports.page import Line, Page
from pytest_llmops.runs.comparison import Comparison, MetricComparison
from pytest_llmops.stats.power import Need, Way
from pytest_llmops.stats.verdict import MIN_UNITS, Verdict

FEW_CASES: Final = 20
"""With fewer cases the smallest visible drop is said first, whatever the verdict."""


def note_lines(compared: MetricComparison, comparison: Comparison, page: Page) -> Iterator[Line]:
    """Give the sentences that one metric's row in the table needs."""
    sentences = list(_sentences(compared, comparison, page))
    if sentences:
        gated = compared.gated
        style = VERDICT_STYLES[compared.verdict] if gated else "dim"
        text = f"{page.short(compared.label)}: {'; '.join(sentences)}."
        yield from page.paragraph(text, style, indent=2)


def _sentences(compared: MetricComparison, comparison: Comparison, page: Page) -> Iterator[str]:
    verdict, reason = compared.verdict, page.short(compared.reason)
    if verdict is Verdict.NOT_COMPARABLE:
        yield f"not comparable, {reason}"
        if compared.gated:
            yield from _people(compared)
        return
    if compared.labels:
        yield ", ".join(
            f"{page.short(label)} in {counted(number, 'answer')}"
            for label, number in sorted(compared.labels.items())
        )
    if not compared.gated:
        return
    yield from _people(compared)
    if verdict is Verdict.TOO_FEW:
        yield f"too few cases, {counted(compared.units, 'unit')} of at least {MIN_UNITS}"
        yield reason or "the thresholds decide"
        return
    yield from _power(compared)
    if verdict in (Verdict.REGRESSED, Verdict.WITHIN_MARGIN) or compared.suspect:
        yield from _chance(compared, comparison)
    if reason:
        yield reason
    if compared.units < compared.cases:
        clusters = counted(compared.units, "cluster")
        yield f"the {compared.cases:,} cases form {clusters}, which count as one each"


def _people(compared: MetricComparison) -> Iterator[str]:
    """Say what a judge is worth, and what people themselves find where they have labelled answers."""
    trust = "" if compared.tag else trust_text(compared.metric, compared.calibration)
    if trust:
        yield trust
    human = compared.human
    if human is not None:
        # Labels of pass and fail count as shares, whatever the judge's scale is.
        metric = compared.metric if human.marks else replace(compared.metric, kind="pass_fail")
        interval = interval_text(metric, human.low, human.high)
        yield (
            f"with {counted(human.cases, 'case')} labelled by people on both sides: "
            f"{change_text(metric, human.change)} (90 % interval {interval})"
        )


def _power(compared: MetricComparison) -> Iterator[str]:
    """Say the smallest change that could have been seen, where that is what the reader must know."""
    inconclusive, few = compared.verdict is Verdict.INCONCLUSIVE, 0 < compared.cases < FEW_CASES
    if compared.smallest_seen is None or not (inconclusive or few):
        return
    word = "drop" if compared.metric.higher_is_better else "rise"
    smallest = amount_text(compared.metric, compared.smallest_seen)
    start = f"only {counted(compared.cases, 'case')}, which" if few else f"{compared.cases:,} cases"
    yield f"{start} could have shown a {word} of {smallest} or more"
    if inconclusive and compared.need is not None:
        drop = f"a {word} of {amount_text(compared.metric, compared.margin)}"
        if compared.need.cases <= compared.cases:
            yield f"that is enough for {drop}, but the change is too near to it to tell"
        else:
            yield settled_text(compared.need, drop)


def settled_text(need: Need, drop: str) -> str:
    """Return how many cases or repeats it takes to tell a drop, and which of both is cheaper."""
    text = f"to tell {drop} takes {need.cases:,} cases ({_price(need.more_cases)})"
    repeats = need.more_repeats
    if repeats is None:
        return f"{text}; no number of repeats is enough"
    cheaper = "repeats are" if need.cheaper is repeats else "cases are"
    return f"{text} or {_repeated(repeats)} ({_price(repeats)}); {cheaper} cheaper"


def _repeated(way: Way) -> str:
    option = f"--llmops-repeat={way.candidate_repeats}"
    if not way.baseline_calls or way.baseline_repeats == way.candidate_repeats:
        return option
    return f"{option} with {counted(way.baseline_repeats, 'stored answer')} a case"


def _price(way: Way) -> str:
    once = f" and {way.baseline_calls:,} once for the baseline" if way.baseline_calls else ""
    return f"{counted(way.calls, 'call')} a run{once}"


def _chance(compared: MetricComparison, comparison: Comparison) -> Iterator[str]:
    """Say how large the change is beside the margin, and how often chance alone makes it."""
    if compared.change is None or compared.p is None:
        return
    metric = compared.metric
    change, margin = amount_text(metric, compared.change), amount_text(metric, compared.margin)
    worse = "down" if metric.higher_is_better else "up"
    text = f"chance alone does that with {p_text(compared.p)}"
    if comparison.family > 1 and compared.p_family is not None:
        text += f" ({p_text(compared.p_family)} after Holm's correction)"
    yield f"{worse} by {change}, where {margin} may be lost; {text}"
    if compared.suspect:
        yield "suspect: alone, without the correction for all gated metrics, it would count as regressed"
