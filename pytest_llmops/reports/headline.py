"""Say in one line how a session went, and what it took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_llmops.calls.tally import Tally
from pytest_llmops.reports.figures import counted, dollars_text
from pytest_llmops.reports.page import Line, Page, Style, columns, wrap
from pytest_llmops.runs.comparison import Comparison
from pytest_llmops.runs.record import Run
from pytest_llmops.stats.verdict import Verdict

VERDICT_STYLES: dict[Verdict, Style] = {
    Verdict.REGRESSED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.TOO_FEW: "yellow",
    Verdict.NOT_COMPARABLE: "yellow",
    Verdict.WITHIN_MARGIN: "yellow",
    Verdict.NO_REGRESSION: "green",
    Verdict.IMPROVED: "green",
    Verdict.UNCHANGED: "green",
}
"""Colours, worst verdict first."""


def comparison_headline(comparison: Comparison, tally: Tally, page: Page) -> Iterator[Line]:
    """Give the one line that can be quoted alone; two where the page is narrow."""
    counts = {verdict: comparison.count(verdict) for verdict in Verdict}
    found = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    text = f"llmops: {', '.join(found) or 'nothing gated'} vs {page.short(comparison.baseline_name)}"
    cases = sum(len(test.pairing.paired) for test in comparison.tests)
    lost = sum(test.unmeasured for test in comparison.tests)
    styles = [style for verdict, style in VERDICT_STYLES.items() if counts[verdict]]
    yield from _headline(
        text, [counted(cases, "case"), *_lost(lost)], tally, page, styles[0] if styles else "plain"
    )


def runs_headline(runs: Sequence[Run], tally: Tally, page: Page) -> Iterator[Line]:
    """Give the same for a session that has no baseline."""
    results = [result for run in runs for result in run.results]
    answered = [result for result in results if result.status in ("measured", "bad_answer")]
    missed = sum(
        result.status == "bad_answer" or any(score.passed is False for score in result.scores.values())
        for result in answered
    )
    text = f"llmops: {len(answered) - missed:,} of {counted(len(answered), 'answer')} passed, no baseline"
    lost = sum(result.lost for result in results)
    facts = [counted(len(runs), "test"), *_lost(lost)]
    yield from _headline(text, facts, tally, page, "yellow" if missed or lost else "green")


def tally_lines(tally: Tally, page: Page) -> Iterator[Line]:
    """Give what the session's calls took: calls made and saved, tokens, dollars, seconds."""
    failed = f" ({tally.failed:,} failed)" if tally.failed else ""
    unpriced = f" ({counted(tally.unpriced, 'call')} of unknown price)" if tally.unpriced else ""
    worth = f" ({dollars_text(tally.saved_cost, 0)} saved)" if tally.saved_cost else ""
    facts = [
        f"{counted(tally.calls, 'call')} made{failed}",
        f"{counted(tally.saved, 'answer')} from the cache{worth}",
    ]
    if tally.calls:
        facts += [
            f"{tally.input_tokens:,} tokens in and {tally.output_tokens:,} out",
            f"{dollars_text(tally.cost, tally.unpriced)}{unpriced}",
            f"{counted(round(tally.seconds), 'second')} of waiting for models",
        ]
    yield from page.paragraph(", ".join(facts))


def _lost(number: int) -> list[str]:
    return [f"{number:,} not measured"] if number else []


def _headline(text: str, facts: Sequence[str], tally: Tally, page: Page, style: Style) -> Iterator[Line]:
    spent = [counted(tally.calls, "call"), dollars_text(tally.cost, tally.unpriced)]
    aside = f"({', '.join([*facts, *spent])})"
    if columns(f"{text} {aside}") <= page.width:
        yield page.line(f"{text} {aside}", style)
        return
    for piece in [*wrap(text, page.width), *wrap(aside, page.width)]:
        yield page.line(piece, style)
