"""Say what a reader must know of a run and its baseline before believing the figures."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_llmops.reports.figures import amount_text, counted, p_text, value_text
from pytest_llmops.reports.page import Line, Page
from pytest_llmops.runs.comparison import Stop, TestComparison
from pytest_llmops.runs.drift import Drift, DriftedMetric


def circumstance_lines(test: TestComparison, page: Page, *, live: bool) -> Iterator[Line]:
    """Give a line where the test stopped early, and one where its baseline is reused.

    Args:
        test: one test of the comparison.
        page: what is written on.
        live: the baseline's side was answered in the same session.
    """
    if test.stop is not None and test.stop.kind != "end":
        yield from page.paragraph(_stopped(test.stop, page), "yellow", indent=2)
    if test.reused:
        yield from page.paragraph(_reused(test.reused, live=live), "yellow", indent=2)


def stop_text(stop: Stop) -> str:
    """Return what ended a test, in a few words."""
    words = {
        "breaker": f"nearly every flip of {', '.join(stop.metrics)} was a loss",
        "regressed": f"{', '.join(stop.metrics)} regressed",
        "unharmed": "no drop was to be seen",
        "end": "all cases ran",
    }
    return f"after {len(stop.cases):,} of {len(stop.planned):,} cases, {words[stop.kind]}"


def drift_lines(drift: Drift, page: Page) -> Iterator[Line]:
    """Give what asking the baseline's own prompt again showed."""
    start = f"canary of {page.short(drift.test_key)}: {counted(drift.cases, 'stored case')} asked again"
    others = f"{drift.other_answers} of {drift.cases} answers differ"
    lost = f", {drift.lost} not measured" if drift.lost else ""
    moved = [_moved(metric, page) for metric in drift.metrics if metric.moved]
    if moved:
        text = (
            f"the model has moved, not the prompt alone: {page.short(drift.model)} answers the baseline's "
            f"own prompt otherwise than when it was stored ({', '.join(moved)}; {others}{lost})"
        )
        yield from page.paragraph(text, "red")
        yield from page.paragraph(f"{start}; store the baseline again before you blame a prompt", "red")
        return
    unseen = [_unseen(metric, page) for metric in drift.metrics]
    text = f"{start}{lost}, no score moved beyond chance; {others}{''.join(part for part in unseen if part)}"
    yield from page.paragraph(text)


def _stopped(stop: Stop, page: Page) -> str:
    # Of them a few may have been under way in another process: they count as little as those that never ran.
    rest = counted(len(stop.planned - stop.cases), "other")
    return page.short(
        f"stopped early {stop_text(stop)}; {rest} not run, or too late to count; "
        f"p had to be {stop.level:.2g} or less"
    )


def _reused(answers: int, *, live: bool) -> str:
    if live:
        return (
            f"not live, from an earlier session: {counted(answers, 'answer')} of the control; "
            "--llmops-cache=refresh asks both sides today"
        )
    return (
        f"the baseline is reused: {counted(answers, 'answer')} {'was' if answers == 1 else 'were'} there "
        "before it was stored, "
        "and chosen answers make a lucky baseline; --llmops-cache=refresh stores fresh ones"
    )


def _moved(drifted: DriftedMetric, page: Page) -> str:
    compared = drifted.comparison
    values = (value_text(compared.metric, value) for value in (compared.baseline, compared.candidate))
    return f"{page.short(compared.metric.name)} {' -> '.join(values)}, {p_text(drifted.p or 0.0)}"


def _unseen(drifted: DriftedMetric, page: Page) -> str:
    compared = drifted.comparison
    if compared.smallest_seen is None or drifted.p is None:
        return f"; {page.short(compared.metric.name)}: {compared.verdict}"
    amount = amount_text(compared.metric, compared.smallest_seen)
    return f"; {page.short(compared.metric.name)} would show a move of {amount}"
