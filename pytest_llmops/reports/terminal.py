"""Write the report of a session as lines for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from pytest_llmops.calls.tally import Tally
from pytest_llmops.prompts.target import TARGET
from pytest_llmops.reports.cases import worst_lines
from pytest_llmops.reports.causes import cause_lines, no_cause_lines, pairing_lines
from pytest_llmops.reports.circumstances import circumstance_lines, drift_lines
from pytest_llmops.reports.diff import prompt_diff
from pytest_llmops.reports.figures import counted
from pytest_llmops.reports.headline import comparison_headline, runs_headline, tally_lines
from pytest_llmops.reports.notes import note_lines
from pytest_llmops.reports.page import MIN_WIDTH, Line, Page
from pytest_llmops.reports.scores import score_table, trust_lines
from pytest_llmops.reports.verdict_table import verdict_tables
from pytest_llmops.runs.calibration import Calibration
from pytest_llmops.runs.comparison import Comparison, TestComparison
from pytest_llmops.runs.drift import Drift
from pytest_llmops.runs.record import Run
from pytest_llmops.stats.verdict import Verdict
from pytest_llmops.store.canonical import SHORT


def comparison_lines(
    comparison: Comparison,
    tally: Tally,
    *,
    width: int,
    drifts: Sequence[Drift] = (),
    secrets: Collection[str] = (),
    verbose: bool = False,
) -> Iterator[Line]:
    """Give the report of a session against its baseline; the first line can be quoted alone.

    Args:
        comparison: what the session shows.
        tally: what its calls took.
        width: columns of the terminal; no line takes more, but for widths below 40.
        drifts: what canaries showed.
        secrets: values that are shown as ***.
        verbose: show every case that got worse, whatever the verdict.
    """
    page = Page(width=max(width, MIN_WIDTH), secrets=secrets)
    # What moved the model comes first: all else may be its doing.
    for drift in drifts:
        if drift.moved:
            yield from drift_lines(drift, page)
    yield from comparison_headline(comparison, tally, page)
    yield Line()
    yield from verdict_tables(comparison, page)
    for test in comparison.tests:
        details = list(_details(test, comparison, page, verbose=verbose))
        if details:
            yield Line()
            yield page.line(page.short(test.test_key), "bold")
            yield from details
    calm = [drift for drift in drifts if not drift.moved]
    if calm:
        yield Line()
    for drift in calm:
        yield from drift_lines(drift, page)
    yield Line()
    yield from tally_lines(tally, page)


def scores_lines(
    runs: Sequence[Run],
    tally: Tally,
    *,
    width: int,
    secrets: Collection[str] = (),
    calibrations: Mapping[str, Calibration] = MappingProxyType({}),
) -> Iterator[Line]:
    """Give the report of a session without a baseline; the first line can be quoted alone.

    Args:
        runs: what each test measured.
        tally: what the session's calls took.
        width: columns of the terminal; no line takes more, but for widths below 40.
        secrets: values that are shown as ***.
        calibrations: how well judges agree with people, by their versions.
    """
    page = Page(width=max(width, MIN_WIDTH), secrets=secrets)
    yield from runs_headline(runs, tally, page)
    yield Line()
    yield from score_table(runs, page)
    yield from trust_lines(runs, calibrations, page)
    yield Line()
    yield from tally_lines(tally, page)


def _details(test: TestComparison, comparison: Comparison, page: Page, *, verbose: bool) -> Iterator[Line]:
    """Give what the table cannot hold; nothing for a test that needs no word."""
    everything = (*test.metrics, *(compared for compared in test.slices if compared.gated))
    notes = [line for compared in everything for line in note_lines(compared, comparison, page)]
    regressed = [
        compared for compared in everything if compared.verdict is Verdict.REGRESSED and compared.gated
    ]
    yield from circumstance_lines(test, page, live=comparison.live)
    yield from cause_lines(test, page)
    if regressed and not test.causes:
        yield from no_cause_lines(test, page)
    if test.unmeasured:
        text = f"not measured: {counted(test.unmeasured, 'answer')}, lost to faults of a provider or a judge"
        yield from page.paragraph(text, "yellow", indent=2)
    yield from pairing_lines(test.pairing, page)
    yield from notes
    if regressed:
        yield from _prompts(test, page)
    known = {compared.metric.name for compared in regressed if not compared.tag}
    # The cases of a slice are among those of the whole metric.
    shown = [compared for compared in regressed if not compared.tag or compared.metric.name not in known]
    told: set[str] = set()
    for compared in test.metrics if verbose else shown:
        yield from worst_lines(compared, page, every=verbose, told=told)


def _prompts(test: TestComparison, page: Page) -> Iterator[Line]:
    if test.baseline_prompt is not None:
        yield from prompt_diff(test.baseline_prompt, test.candidate_prompt, page)
    elif test.baseline.prompt_digest != test.candidate.prompt_digest:
        version = test.baseline.prompt_digest[:SHORT]
        what = "target" if test.candidate_prompt.engine == TARGET else "prompt"
        text = f"The registry does not hold the baseline's {what} {version}, so no diff can be shown."
        yield from page.paragraph(text, "dim", indent=2)
