"""Estimate from the labels of people what a change was worth to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_llmops.golden.labels import answer_key
from pytest_llmops.runs.calibration import Calibration, HumanChange
from pytest_llmops.runs.record import CaseResult
from pytest_llmops.runs.rows import Row
from pytest_llmops.scorers.score import Metric


def human_change(rows: Sequence[Row], calibration: Calibration, metric: Metric) -> HumanChange | None:
    """Return what people would find of the change; None where too few cases have labels on both sides.

    Args:
        rows: the paired cases with the judge's scores.
        calibration: holds the labels.
        metric: the judge's.
    """
    if calibration.kind == "pairwise":
        return None
    from pytest_llmops.stats.ppi import FEWEST, prediction_powered

    low, high = metric.limits
    labelled, others = [], []
    for row in rows:
        judged = row.new - row.old
        before, after = (_label(side, calibration.labels) for side in (row.case.baseline, row.case.candidate))
        if before is None or after is None:
            others.append(judged)
        else:
            labelled.append((after - before, judged))
    if len(labelled) < FEWEST:
        return None
    marks = calibration.kind == "score"
    found = prediction_powered(labelled, others, span=high - low if marks else 1.0, alpha=0.05)
    if found is None:
        return None
    return HumanChange(cases=len(labelled), change=found.value, low=found.low, high=found.high, marks=marks)


def _label(results: Sequence[CaseResult], labels: Mapping[str, float]) -> float | None:
    """Return the mean label of a case's answers; None where one has none."""
    keys = [answer_key(each.row_digest, each.output) for each in results if each.output is not None]
    found = [labels[key] for key in keys if key in labels]
    return sum(found) / len(found) if found and len(found) == len(results) else None
