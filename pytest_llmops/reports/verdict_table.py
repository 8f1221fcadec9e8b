"""Show the verdicts in tables: over all cases, and inside slices."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_llmops.reports.figures import change_text, counted, interval_text, value_text
from pytest_llmops.reports.headline import VERDICT_STYLES
from pytest_llmops.reports.page import Line, Page
from pytest_llmops.reports.table import Row, table_lines
from pytest_llmops.runs.comparison import Comparison, MetricComparison, TestComparison


def verdict_tables(comparison: Comparison, page: Page) -> Iterator[Line]:
    """Give a row a metric, then a row a slice and metric, and say what shares the risk of a false alarm."""
    tests = comparison.tests
    whole = [(test, compared) for test in tests for compared in test.metrics]
    sliced = [(test, compared) for test in tests for compared in test.slices]
    yield from _table(whole, comparison, page)
    if sliced:
        yield Line()
        yield page.line("inside slices", "bold")
        yield from _table(sliced, comparison, page)
    if any(not compared.gated for _, compared in (*whole, *sliced)):
        yield from page.paragraph("(in brackets: not gated, so no change of it fails the build)", "dim")
    yield from _family(comparison, page)


def _table(
    compared: list[tuple[TestComparison, MetricComparison]], comparison: Comparison, page: Page
) -> Iterator[Line]:
    # What an early stop spares is paid for with wider intervals, which differ from look to look.
    share = "" if comparison.stops else f"{1 - 2 * comparison.alpha:.0%} ".replace("%", " %")
    interval = f"{share}interval"
    yield from table_lines(
        [_row(test, metric, interval, page) for test, metric in compared],
        page,
        droppable=("baseline", "n", interval, "candidate"),
        left=("slice", "metric", "verdict"),
    )


def _row(test: TestComparison, compared: MetricComparison, interval: str, page: Page) -> Row:
    metric, gated = compared.metric, compared.gated
    return Row(
        group=page.short(test.test_key),
        cells={
            **({"slice": page.short(compared.tag)} if compared.tag else {}),
            "metric": page.short(metric.name),
            "n": f"{compared.cases:,}",
            "baseline": value_text(metric, compared.baseline),
            "candidate": value_text(metric, compared.candidate),
            "change": change_text(metric, compared.change),
            interval: interval_text(metric, compared.low, compared.high),
            "verdict": str(compared.verdict) if gated else f"({compared.verdict})",
        },
        style=VERDICT_STYLES[compared.verdict] if gated else "dim",
    )


def _family(comparison: Comparison, page: Page) -> Iterator[Line]:
    """Say how many verdicts share the risk of a false alarm, and how it is kept."""
    risk = f"{comparison.alpha:.0%}".replace("%", " %")
    if comparison.stops:
        share = f", each of {comparison.family} gated metrics a part of it" if comparison.family > 1 else ""
        yield from page.paragraph(
            f"An early stop was possible: the risk of {risk} is spent over the looks after 25, 50, 75 and "
            f"100 % of the cases and the watch after each case{share}, so the intervals are wider.",
            "dim",
        )
        return
    if comparison.family < 2:
        return
    slices = sum(compared.gated for test in comparison.tests for compared in test.slices)
    among = f", {counted(slices, 'slice')} among them" if slices else ""
    yield from page.paragraph(
        f"Holm's correction covers {comparison.family} gated metrics{among}: where nothing changed, at most "
        f"{risk} of sessions turn red.",
        "dim",
    )
