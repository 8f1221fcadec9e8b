"""Write the report of a session as lines for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from pytest_llmops.calls.tally import Tally
from pytest_llmops.reports.cases import worst_lines
from pytest_llmops.reports.causes import cause_lines, pairing_lines
from pytest_llmops.reports.diff import prompt_diff
from pytest_llmops.reports.figures import change_text, counted, interval_text, value_text
from pytest_llmops.reports.headline import VERDICT_STYLES, comparison_headline, runs_headline, tally_lines
from pytest_llmops.reports.notes import note_lines
from pytest_llmops.reports.page import MIN_WIDTH, Line, Page
from pytest_llmops.reports.scores import score_table
from pytest_llmops.reports.table import Row, table_lines
from pytest_llmops.runs.comparison import Comparison, MetricComparison, TestComparison
from pytest_llmops.runs.record import Run
from pytest_llmops.stats.verdict import Verdict
from pytest_llmops.store.canonical import SHORT


def comparison_lines(
    comparison: Comparison, tally: Tally, *, width: int, secrets: Collection[str] = (), verbose: bool = False
) -> Iterator[Line]:
    """Give the report of a session against its baseline; the first line can be quoted alone.

    Args:
        comparison: what the session shows.
        tally: what its calls took.
        width: columns of the terminal; no line takes more, but for widths below 40.
        secrets: values that are shown as ***.
        verbose: show every case that got worse, whatever the verdict.
    """
    page = Page(width=max(width, MIN_WIDTH), secrets=secrets)
    yield from comparison_headline(comparison, tally, page)
    yield Line()
    yield from _verdict_table(comparison, page)
    for test in comparison.tests:
        details = list(_details(test, comparison, page, verbose=verbose))
        if details:
            yield Line()
            yield page.line(page.short(test.test_key), "bold")
            yield from details
    yield Line()
    yield from tally_lines(tally, page)


def scores_lines(
    runs: Sequence[Run], tally: Tally, *, width: int, secrets: Collection[str] = ()
) -> Iterator[Line]:
    """Give the report of a session without a baseline; the first line can be quoted alone.

    Args:
        runs: what each test measured.
        tally: what the session's calls took.
        width: columns of the terminal; no line takes more, but for widths below 40.
        secrets: values that are shown as ***.
    """
    page = Page(width=max(width, MIN_WIDTH), secrets=secrets)
    yield from runs_headline(runs, tally, page)
    yield Line()
    yield from score_table(runs, page)
    yield Line()
    yield from tally_lines(tally, page)


def _verdict_table(comparison: Comparison, page: Page) -> Iterator[Line]:
    interval = f"{1 - 2 * comparison.alpha:.0%}".replace("%", " % interval")
    rows = [_row(test, compared, interval, page) for test in comparison.tests for compared in test.metrics]
    yield from table_lines(
        rows,
        page,
        droppable=("baseline", "n", interval, "candidate"),
        left=("metric", "verdict"),
    )
    if any(not compared.gated for test in comparison.tests for compared in test.metrics):
        yield from page.paragraph("(in brackets: not gated, so no change of it fails the build)", "dim")
    if comparison.family > 1:
        yield from page.paragraph(
            f"Holm's correction covers {comparison.family} gated metrics: where nothing changed, "
            f"at most {comparison.alpha:.0%}".replace("%", " %")
            + " of sessions turn red.",
            "dim",
        )


def _row(test: TestComparison, compared: MetricComparison, interval: str, page: Page) -> Row:
    metric, gated = compared.metric, compared.gated
    return Row(
        group=page.short(test.test_key),
        cells={
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


def _details(test: TestComparison, comparison: Comparison, page: Page, *, verbose: bool) -> Iterator[Line]:
    """Give what the table cannot hold; nothing for a test that needs no word."""
    notes = [line for compared in test.metrics for line in note_lines(compared, comparison, page)]
    regressed = [
        compared for compared in test.metrics if compared.verdict is Verdict.REGRESSED and compared.gated
    ]
    yield from cause_lines(test, page)
    if regressed and not test.causes:
        text = "no cause found: prompt, model, parameters, rows and metrics are the baseline's"
        yield from page.paragraph(text, indent=2)
    if test.unmeasured:
        text = f"not measured: {counted(test.unmeasured, 'answer')}, lost to faults of a provider or a judge"
        yield from page.paragraph(text, "yellow", indent=2)
    yield from pairing_lines(test.pairing, page)
    yield from notes
    if regressed:
        yield from _prompts(test, page)
    for compared in test.metrics if verbose else regressed:
        yield from worst_lines(compared, page, every=verbose)


def _prompts(test: TestComparison, page: Page) -> Iterator[Line]:
    if test.baseline_prompt is not None:
        yield from prompt_diff(test.baseline_prompt, test.candidate_prompt, page)
    elif test.baseline.prompt_digest != test.candidate.prompt_digest:
        version = test.baseline.prompt_digest[:SHORT]
        text = f"The registry does not hold the baseline's prompt {version}, so no diff can be shown."
        yield from page.paragraph(text, "dim", indent=2)
