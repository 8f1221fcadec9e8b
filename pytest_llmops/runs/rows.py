"""Collect the scores of one metric, case by case, from both sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from pytest_llmops.runs.comparison import CaseChange
from pytest_llmops.runs.pairing import PairedCase, score_of, scores_of, stored_scores
from pytest_llmops.scorers.score import Metric


class Row(NamedTuple):
    """Be one paired case with the scores of its repeats."""

    case: PairedCase
    before: Sequence[float]
    after: Sequence[float]
    old: float
    """Mean of `before`."""
    new: float
    """Mean of `after`."""


def rows_of(cases: Sequence[PairedCase], metric: Metric, *, rescored: bool) -> list[Row]:
    """Return the cases that have a score on both sides, usable or not.

    Args:
        cases: paired cases.
        metric: what is scored.
        rescored: take today's scores of the stored outputs for the baseline.
    """
    rows = []
    for case in cases:
        before = stored_scores(case, metric) if rescored else scores_of(case.baseline, metric)
        after = scores_of(case.candidate, metric)
        if before and after:
            rows.append(Row(case, before, after, _mean(before), _mean(after)))
    return rows


def unusable(rows: Sequence[Row], metric: Metric) -> str:
    """Return which score is none of `metric`, and in which case; "" where all are."""
    low, high = metric.limits
    try:
        found = {value for row in rows for value in (*row.before, *row.after)}
        if all(low <= value <= high for value in found):
            return ""
    except TypeError:
        pass
    for row in rows:
        for side, values in (("baseline", row.before), ("candidate", row.after)):
            for value in values:
                reason = metric.refusal(value)
                if reason:
                    return f"the {side}'s score of case {row.case.case_id!r} is {reason}"
    return ""


def worse_cases(rows: Sequence[Row], metric: Metric) -> tuple[CaseChange, ...]:
    """Return the cases whose score fell, worst first."""
    sign = 1 if metric.higher_is_better else -1
    fallen = [row for row in rows if sign * row.new < sign * row.old]
    fallen.sort(key=lambda row: (sign * (row.new - row.old), row.case.case_id))
    return tuple(_case_change(metric, row) for row in fallen)


def _mean(values: Sequence[float]) -> float:
    if len(values) == 1:
        return values[0]
    try:
        return math.fsum(values) / len(values)
    except (TypeError, ValueError, OverflowError):
        # `unusable` says which of them is no score.
        return math.nan


def _case_change(metric: Metric, row: Row) -> CaseChange:
    case = row.case
    shown = case.candidate[0]
    if len(row.after) > 1:
        # Of several repeats the worst one shows best what went wrong.
        worst = min(row.after) if metric.higher_is_better else max(row.after)
        shown = next(result for result in case.candidate if score_of(result, metric) == worst)
    score = shown.scores.get(metric.name)
    return CaseChange(
        case_id=case.case_id,
        inputs=shown.inputs,
        expected=shown.expected,
        baseline_score=row.old,
        candidate_score=row.new,
        baseline_output=case.baseline[0].output,
        candidate_output=shown.output,
        reason=shown.detail or (score.reason if score else ""),
        nodeid=shown.nodeid,
    )
