"""Say what a run would call and could see, before it is run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from pytest_llmops.reports.figures import amount_text, counted, dollars_text
from pytest_llmops.reports.notes import settled_text
from pytest_llmops.reports.page import MIN_WIDTH, Line, Page
from pytest_llmops.runs.foresight import Foresight, MetricForesight


def plan_lines(tests: Sequence[Foresight], *, width: int, secrets: Collection[str] = ()) -> Iterator[Line]:
    """Give the plan of a session; the first line can be quoted alone.

    Args:
        tests: what each test would do.
        width: columns of the terminal; no line takes more, but for widths below 40.
        secrets: values that are shown as ***.
    """
    page = Page(width=max(width, MIN_WIDTH), secrets=secrets)
    answers, known = sum(test.answers for test in tests), sum(test.known for test in tests)
    judged = sum(test.judged for test in tests)
    judges = f", at most {counted(judged, 'call')} to judges" if judged else ""
    text = (
        f"llmops plan: {counted(len(tests), 'test')}, {counted(answers - known, 'call')} for answers{judges}"
        "; nothing was called"
    )
    yield from page.paragraph(text, "bold")
    for test in tests:
        yield Line()
        yield page.line(page.short(test.test_key), "bold")
        yield from _test(test, page)


def _test(test: Foresight, page: Page) -> Iterator[Line]:
    asked = f"{counted(test.cases, 'case')} x {counted(test.repeats, 'answer')} by {page.short(test.model)}"
    beside = test.answers - test.cases * test.repeats
    also = f" and {counted(beside, 'answer')} beside them" if beside else ""
    calls = test.answers - test.known
    spent = "" if test.tokens is None or not calls else _spent(test)
    text = f"{asked}{also}: {counted(test.known, 'answer')} at hand, {counted(calls, 'call')} to make{spent}"
    yield from page.paragraph(text, indent=2)
    if not test.stored:
        yield from page.paragraph("no stored baseline, so nothing tells what it could see", indent=2)
        return
    for metric in test.metrics:
        yield from page.paragraph(_could_see(metric, page), indent=2)
    if any(metric.assumed for metric in test.metrics):
        text = (
            "the baseline holds one answer a case, which does not tell its noise: the worst is assumed; "
            "stored with --llmops-repeat=5 it would tell, and each comparison would see more"
        )
        yield from page.paragraph(text, "dim", indent=2)


def _spent(test: Foresight) -> str:
    given, made = test.tokens or (0, 0)
    price = "cost unknown" if test.cost is None else dollars_text(test.cost, 0)
    return f", about {given:,} tokens in and {made:,} out, {price}, going by the stored run"


def _could_see(seen: MetricForesight, page: Page) -> str:
    word = "drop" if seen.metric.higher_is_better else "rise"
    smallest, margin = amount_text(seen.metric, seen.smallest_seen), amount_text(seen.metric, seen.margin)
    start = f"{page.short(seen.metric.name)}: {counted(seen.cases, 'paired case')}"
    text = f"{start} would show a {word} of {smallest} or more, 4 times in 5"
    if seen.need.cases <= seen.cases:
        return f"{text}; that is enough for the margin of {margin}"
    return f"{text}; {settled_text(seen.need, f'a {word} of {margin}')}"
