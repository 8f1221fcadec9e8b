"""Show the cases in which a metric fell most, both outputs beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pytest_llmops.reports.figures import counted, value_text
from pytest_llmops.reports.page import Line, Page, wrap
from pytest_llmops.runs.comparison import CaseChange, MetricComparison
from pytest_llmops.scorers.score import Metric
from pytest_llmops.store.canonical import JsonValue

_SHOWN: Final = 3
"""Cases of one metric that are shown."""

_LINES: Final = 3
"""Lines that one text of a case may take."""

_LONGEST: Final = 20_000
"""Characters of an output in which a difference is looked for."""

_LABEL: Final = 16
"""Columns before the text of a field."""


def worst_lines(
    compared: MetricComparison, page: Page, *, every: bool = False, told: set[str] | None = None
) -> Iterator[Line]:
    """Give the worst cases of one metric, and the names of the next ones; or every case that got worse.

    Args:
        compared: the metric.
        page: where it stands.
        every: show all cases that got worse.
        told: ids of cases whose outputs stand above already, so that only the reason is new; these are added.
    """
    if not compared.worse:
        return
    told = set() if told is None else told
    name, number = page.short(compared.label), counted(len(compared.worse), "case")
    yield page.line(f"  worst cases of {name} (worse in {number})", "dim")
    shown = len(compared.worse) if every else _SHOWN
    for change in compared.worse[:shown]:
        scores = (change.baseline_score, change.candidate_score)
        before, after = (_score(compared.metric, score) for score in scores)
        yield page.line(f"    {page.short(change.case_id)}: {before} -> {after}", "bold")
        yield from _case_lines(change, page, known=change.case_id in told)
        told.add(change.case_id)
    others = [change.case_id for change in compared.worse[shown:]]
    if others:
        yield from page.paragraph(f"also worse: {page.names(others)}", indent=4)


def _case_lines(change: CaseChange, page: Page, *, known: bool) -> Iterator[Line]:
    before, after = _from_difference(
        _output(change.baseline_output, page), _output(change.candidate_output, page), page
    )
    fields = {
        "input": _inputs(change.inputs, page),
        "expected": "" if change.expected is None else page.short(change.expected, _LONGEST),
        "baseline": before,
        "candidate": after,
        "reason": page.short(change.reason),
    }
    for label, text in fields.items() if not known else [("reason", fields["reason"])]:
        pieces = wrap(text, page.width - _LABEL, _LINES) if text else []
        for index, piece in enumerate(pieces):
            yield page.line(f"{'' if index else '      ' + label:<{_LABEL}}{piece}")


def _inputs(inputs: Mapping[str, JsonValue], page: Page) -> str:
    if len(inputs) == 1:
        return page.short(next(iter(inputs.values())), _LONGEST)
    return ", ".join(f"{page.short(name)}: {page.short(value, _LONGEST)}" for name, value in inputs.items())


def _output(output: str | None, page: Page) -> str:
    if output is None:
        return "(no answer)"
    return page.short(output, _LONGEST) or "(an empty answer)"


def _from_difference(baseline: str, candidate: str, page: Page) -> tuple[str, str]:
    """Return both texts, without a long start that they share where all of it has no room."""
    line = page.width - _LABEL
    pairs = enumerate(zip(baseline, candidate, strict=False))
    skipped = next((index for index, (old, new) in pairs if old != new), 0) - line
    if max(len(baseline), len(candidate)) <= line * _LINES or skipped <= 0:
        return baseline, candidate
    return f"...{baseline[skipped:]}", f"...{candidate[skipped:]}"


def _score(metric: Metric, score: float) -> str:
    if metric.kind == "pass_fail" and score in (0.0, 1.0):
        return "pass" if score else "fail"
    return value_text(metric, score)
