"""Work out how well a judge's verdicts agree with the labels of people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from pytest_llmops.golden.labels import Labelled
from pytest_llmops.runs.calibration import Calibration
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.stats.agreement import Estimate, auc, crossed, kappa, share, spearman, spearman_within
from pytest_llmops.stats.intervals import guarded_t
from pytest_llmops.stats.threshold import best_threshold

ALPHA: Final = 0.05
"""Risk at each end of every interval: they are 90 % wide."""

INCONSISTENT: Final = "inconsistent"
"""Label of a score of a pair whose verdict turned with the order of the answers."""


class Verdict(NamedTuple):
    """Be what the judge said of a labelled answer, at first and asked again."""

    row: Labelled
    first: Score
    again: float | None
    """The second score; None where there was none."""

    @property
    def value(self) -> float:
        """Return the first score."""
        assert self.first.value is not None
        return self.first.value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """Be the verdicts with what they are read by."""

    verdicts: Sequence[Verdict]
    metric: Metric
    cut: float
    """The lowest label that counts as a pass."""

    @property
    def passes(self) -> list[bool]:
        """Return what people say."""
        return [verdict.row.label >= self.cut for verdict in self.verdicts]

    @property
    def middle(self) -> float:
        """Return the middle of the judge's scale."""
        low, high = self.metric.limits
        return (low + high) / 2


def agreed(calibration: Calibration, verdicts: Sequence[Verdict], metric: Metric) -> Calibration:
    """Return the calibration with all its figures.

    Args:
        calibration: what is known without them.
        verdicts: each judged answer once.
        metric: the judge's.
    """
    low, high = metric.limits
    marks = calibration.kind == "score"
    own = metric.threshold if metric.threshold is not None else (low + high) / 2
    sheet = _Sheet(verdicts=verdicts, metric=metric, cut=own if marks else 0.5)
    found = replace(calibration, cut=sheet.cut)
    found = _pairs(found, sheet) if calibration.kind == "pairwise" else _answers(found, sheet)
    scores, lengths = [each.value for each in verdicts], [len(each.row.output) for each in verdicts]
    labels = [each.row.label for each in verdicts]
    if calibration.kind == "pairwise":
        # Of two answers it is the difference that may sway the judge.
        lengths = [len(each.row.output) - len(each.row.other or "") for each in verdicts]
    return replace(
        found,
        spearman=spearman(labels, scores, alpha=ALPHA) if marks else None,
        length_bias=spearman_within(labels, lengths, scores, alpha=ALPHA) if verdicts else None,
    )


def _answers(found: Calibration, sheet: _Sheet) -> Calibration:
    """Return the figures of answers that stand alone."""
    scores, passes = [verdict.value for verdict in sheet.verdicts], sheet.passes
    found = replace(found, auc=_auc(scores, passes))
    chosen, other = _halves(sheet)
    plain = set(scores) <= set(sheet.metric.limits) and sheet.metric.kind == "pass_fail"
    threshold = None if plain else best_threshold([scores[i] for i in chosen], [passes[i] for i in chosen])
    limit = sheet.metric.threshold if sheet.metric.threshold is not None else sheet.middle
    if threshold is None:
        chosen, other = [], list(range(len(scores)))
    else:
        limit = threshold
    said = [score >= limit for score in scores]
    table = crossed([passes[i] for i in other], [said[i] for i in other], (True, False))
    again = [
        (verdict.value >= limit, verdict.again >= limit)
        for verdict in sheet.verdicts
        if verdict.again is not None
    ]
    return replace(
        found,
        threshold=threshold,
        chosen_on=len(chosen),
        reported_on=len(other),
        accuracy=share(table[0][0] + table[1][1], len(other), alpha=ALPHA),
        kappa=kappa(table, alpha=ALPHA),
        changed=share(sum(one != two for one, two in again), len(again), alpha=ALPHA),
        moved=None if plain else _moved(sheet),
    )


def _pairs(found: Calibration, sheet: _Sheet) -> Calibration:
    """Return the figures of pairs: the better answer is `output`, `other` or neither."""
    verdicts = sheet.verdicts
    labels = [verdict.row.label for verdict in verdicts]
    said = [_side(verdict.value - sheet.middle) for verdict in verdicts]
    table = crossed(labels, said, (1.0, 0.0, -1.0))
    decided = [(verdict.value, label > 0) for verdict, label in zip(verdicts, labels, strict=True) if label]
    again = [
        (one, _side(verdict.again - sheet.middle))
        for one, verdict in zip(said, verdicts, strict=True)
        if verdict.again is not None
    ]
    turned = sum(verdict.first.label == INCONSISTENT for verdict in verdicts)
    return replace(
        found,
        reported_on=len(verdicts),
        accuracy=share(sum(table[i][i] for i in range(3)), len(verdicts), alpha=ALPHA),
        kappa=kappa(table, alpha=ALPHA),
        auc=_auc([score for score, _ in decided], [better for _, better in decided]),
        position_bias=share(turned, len(verdicts), alpha=ALPHA),
        changed=share(sum(one != two for one, two in again), len(again), alpha=ALPHA),
    )


def _auc(scores: Sequence[float], passes: Sequence[bool]) -> Estimate | None:
    split = {
        kind: [s for s, passed in zip(scores, passes, strict=True) if passed is kind]
        for kind in (True, False)
    }
    return auc(split[True], split[False], alpha=ALPHA)


def _halves(sheet: _Sheet) -> tuple[list[int], list[int]]:
    """Return the places of two halves, split by what the answers hold, with as many passes in each."""
    keys = [(passed, verdict.row.key) for passed, verdict in zip(sheet.passes, sheet.verdicts, strict=True)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return order[::2], order[1::2]


def _moved(sheet: _Sheet) -> Estimate | None:
    """Return by how much scores differ when the judge is asked again, as a share of the range."""
    low, high = sheet.metric.limits
    moves = [abs(each.again - each.value) / (high - low) for each in sheet.verdicts if each.again is not None]
    if not moves:
        return None
    limits = guarded_t(moves, [1] * len(moves), span=1.0, alpha=ALPHA)
    return Estimate(math.fsum(moves) / len(moves), max(0.0, limits.low), min(1.0, limits.high))


def _side(lead: float) -> float:
    return math.copysign(1.0, lead) if lead else 0.0
