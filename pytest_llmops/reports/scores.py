"""Show the scores of runs that have no baseline to be compared with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from pytest_llmops.reports.calibration import trust_text
from pytest_llmops.reports.figures import value_text
from pytest_llmops.reports.page import Line, Page, Style
from pytest_llmops.reports.table import Row, table_lines
from pytest_llmops.runs.calibration import Calibration
from pytest_llmops.runs.pairing import score_of
from pytest_llmops.runs.record import Run
from pytest_llmops.scorers.score import Metric


def score_table(runs: Sequence[Run], page: Page) -> Iterator[Line]:
    """Give one row a metric: how many answers have a score, their mean, how many miss."""
    rows = [_row(run, metric, page) for run in runs for metric in run.header.metrics.values()]
    yield from table_lines(rows, page, droppable=(), left=("metric",))


def trust_lines(runs: Sequence[Run], calibrations: Mapping[str, Calibration], page: Page) -> Iterator[Line]:
    """Give a line for what gated judges are worth; those of whom the same is to be said share one."""
    names: dict[tuple[str, bool], dict[str, None]] = {}
    for metric in [metric for run in runs for metric in run.header.metrics.values()]:
        found = calibrations.get(metric.version)
        text = trust_text(metric, found) if metric.gated else ""
        if text:
            trusted = found is not None and found.finding == "agrees"
            names.setdefault((text, trusted), {})[metric.name] = None
    for (text, trusted), judges in names.items():
        style: Style = "plain" if trusted else "yellow"
        yield from page.paragraph(f"{page.names(judges)}: {text}.", style, indent=2)


def _row(run: Run, metric: Metric, page: Page) -> Row:
    values = [score_of(result, metric) for result in run.results]
    scored = [value for value in values if value is not None]
    missed = sum(metric.passes(value) is False for value in scored)
    judged = metric.passes(0.0) is not None
    cells = {
        "metric": page.short(metric.name),
        "scored": f"{len(scored):,} of {len(values):,}",
        "mean": value_text(metric, math.fsum(scored) / len(scored) if scored else None),
        "missed": f"{missed:,}" if judged else "-",
    }
    return Row(
        group=page.short(run.header.test_key),
        cells=cells,
        style="yellow" if missed or len(scored) < len(values) else "plain",
    )
