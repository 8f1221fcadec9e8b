"""Follow a test case by case, and say when it needs no more of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from pytest_llmops.runs.comparison import Stop
from pytest_llmops.runs.pairing import PairedCase, paired_case
from pytest_llmops.runs.record import CaseResult
from pytest_llmops.runs.rows import Row, rows_of, unusable
from pytest_llmops.runs.weighing import limit_of, margin_of, sample_of
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.sequential import BREAKER_SHARE, LOOKS, e_value, nominal_levels, unharmed
from pytest_llmops.stats.verdict import MIN_UNITS, Verdict, decide
from pytest_llmops.store.canonical import digest_text


def running_order(key: str, units: Collection[str]) -> dict[str, int]:
    """Return the place of each unit in an order that is random, and the same for the same test and units."""
    ordered = sorted(units, key=lambda unit: digest_text(f"{key}\n{unit}"))
    return {unit: place for place, unit in enumerate(ordered)}


@dataclass(frozen=True, kw_only=True)
class Course:
    """Be the order in which a test runs its cases, and the rules by which it may end early."""

    units: tuple[tuple[str, ...], ...]
    """Ids of the cases of each independent unit, in running order."""
    repeats: int
    metrics: tuple[Metric, ...]
    """The gated metrics."""
    margins: Mapping[str, float]
    alpha: float
    """Risk of a false alarm of one metric: the session's, divided by its gated metrics."""
    strict: bool
    """A green stop needs more than an inconclusive verdict."""
    every_miss_counts: bool = False
    """A miss can be red by itself, whatever is compared, so no case is left out for lack of a drop."""

    def to_json(self) -> dict[str, Any]:
        """Return the course as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Course:
        """Return the course that `to_json` wrote."""
        units = tuple(tuple(ids) for ids in data["units"])
        metrics = tuple(Metric.from_json(metric) for metric in data["metrics"])
        return cls(**{**data, "units": units, "metrics": metrics})

    @cached_property
    def levels(self) -> dict[int, tuple[float, float]]:
        """Return the looks: by number of units their share of all and the p that is allowed there."""
        levels = nominal_levels(self.alpha)
        return {
            math.ceil(share * len(self.units)): (share, level)
            for share, level in zip(LOOKS, levels, strict=True)
        }

    @property
    def breaker_level(self) -> float:
        """Return the risk that the circuit breaker spends."""
        return BREAKER_SHARE * self.alpha

    def next_look(self, done: int) -> int:
        """Return after how many units the next look is due."""
        return next((units for units in sorted(self.levels) if units > done), len(self.units))


class _Found(NamedTuple):
    """Be what the cases so far say of a metric."""

    p_drop: float
    verdict: Verdict


class Watch:
    """Take in results in any order, and judge them in the order of the course.

    So the outcome does not depend on how many processes ran the cases, or how fast each was.
    """

    def __init__(self, course: Course) -> None:
        self.course = course
        self.stop: Stop | None = None
        """Set once the test has ended."""
        self.done = 0
        """Units judged so far."""
        self._sides: dict[str, tuple[dict[int, CaseResult], Sequence[CaseResult]]] = {}
        self._cases: list[PairedCase] = []
        self._flips = {metric.name: [0, 0] for metric in course.metrics}

    def take(self, result: CaseResult, baseline: Sequence[CaseResult]) -> None:
        """Take in the result of one repeat of a case.

        Args:
            result: what the candidate gave.
            baseline: the stored results of the case; of a live control its result of the same repeat.
        """
        results, stored = self._sides.get(result.case_id, ({}, ()))
        known = {(each.repeat, each.requests): each for each in (*stored, *baseline)}
        # A live control's repeats come in any order too.
        in_order = tuple(known[place] for place in sorted(known))
        self._sides[result.case_id] = ({**results, result.repeat: result}, in_order)
        while self.stop is None and self.done < len(self.course.units) and self._complete(self.done):
            self._advance()

    def finish(self) -> Stop:
        """Return when the test ended; a test that lost cases on the way ran to its end without them."""
        if self.stop is None:
            last = self.course.levels[len(self.course.units)][1]
            self.stop = self._stopped("end", last, units=len(self.course.units))
        return self.stop

    def _complete(self, unit: int) -> bool:
        return all(
            case_id in self._sides and len(self._sides[case_id][0]) == self.course.repeats
            for case_id in self.course.units[unit]
        )

    def _advance(self) -> None:
        new = [case for case_id in self.course.units[self.done] if (case := self._paired(case_id))]
        self._cases += new
        self.done += 1
        level = self.course.breaker_level
        broken = [metric for metric in self.course.metrics if self._breaks(metric, new)]
        if red := _red(self._found(broken, level)):
            self.stop = self._stopped("breaker", level, red)
        elif self.done in self.course.levels:
            self._look(*self.course.levels[self.done])

    def _look(self, share: float, level: float) -> None:
        if self.done == len(self.course.units):
            self.stop = self._stopped("end", level)
            return
        if self.done < MIN_UNITS:
            # Too few for a verdict, so for an end too: a skipped look spends nothing.
            return
        found = self._found(self.course.metrics, level)
        if red := _red(found):
            self.stop = self._stopped("regressed", level, red)
        elif len(found) == len(self.course.metrics) and self._all_unharmed(found.values(), share):
            self.stop = self._stopped("unharmed", level)

    def _breaks(self, metric: Metric, new: Sequence[PairedCase]) -> bool:
        """Count the flip of one unit, and tell whether the flips so far are too many losses to be chance."""
        sign = 1 if metric.higher_is_better else -1
        change = sign * math.fsum(row.new - row.old for row in self._rows(metric, new))
        flips = self._flips[metric.name]
        if change:
            flips[change > 0] += 1
        losses, gains = flips
        return e_value(losses, gains) >= 1 / self.course.breaker_level

    def _all_unharmed(self, found: Collection[_Found], share: float) -> bool:
        course = self.course
        return not course.every_miss_counts and all(
            unharmed(share, each.p_drop) and not (course.strict and each.verdict is Verdict.INCONCLUSIVE)
            for each in found
        )

    def _found(self, metrics: Sequence[Metric], level: float) -> dict[str, _Found]:
        """Return what the cases so far say of each metric that has any score."""
        from pytest_llmops.stats.weigh import weigh

        found = {}
        for metric in metrics:
            rows = self._rows(metric, self._cases)
            if rows:
                evidence = weigh(sample_of(rows, metric), alpha=level)
                limit = limit_of(metric, margin_of(metric, self.course.margins))
                verdict = decide(evidence, p_family=evidence.p_drop, margin=limit, alpha=level)
                found[metric.name] = _Found(evidence.p_drop, verdict)
        return found

    def _rows(self, metric: Metric, cases: Sequence[PairedCase]) -> list[Row]:
        rescored = any(metric.name in result.stored_scores for case in cases for result in case.candidate)
        rows = rows_of(cases, metric, rescored=rescored)
        return [] if unusable(rows, metric) else rows

    def _paired(self, case_id: str) -> PairedCase | None:
        results, stored = self._sides[case_id]
        return paired_case(case_id, tuple(stored), tuple(results[repeat] for repeat in sorted(results)))

    def _stopped(
        self,
        kind: Literal["breaker", "regressed", "unharmed", "end"],
        level: float,
        metrics: tuple[str, ...] = (),
        *,
        units: int | None = None,
    ) -> Stop:
        planned = [case_id for ids in self.course.units for case_id in ids]
        ran = [case_id for ids in self.course.units[: units or self.done] for case_id in ids]
        return Stop(kind=kind, cases=frozenset(ran), planned=frozenset(planned), level=level, metrics=metrics)


def _red(found: Mapping[str, _Found]) -> tuple[str, ...]:
    return tuple(name for name, each in found.items() if each.verdict is Verdict.REGRESSED)
