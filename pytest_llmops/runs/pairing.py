"""Pair the cases of a run with those of its baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_llmops.runs.comparison import Pairing
from pytest_llmops.runs.record import CaseResult, Run
from pytest_llmops.scorers.score import Metric, Score

MAX_UNPAIRED = 0.10
"""Share of the baseline's cases that may be changed or missing before no good verdict is possible."""

_MEASURED = ("measured", "bad_answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCase:
    """Be one case that stands on both sides, repeats in order."""

    case_id: str
    baseline: tuple[CaseResult, ...]
    candidate: tuple[CaseResult, ...]

    @property
    def twins(self) -> list[tuple[CaseResult, CaseResult]]:
        """Return the repeats that asked the very same requests, baseline first."""
        stored = {result.requests: result for result in self.baseline if result.requests}
        return [(stored[result.requests], result) for result in self.candidate if result.requests in stored]

    @property
    def replayed(self) -> bool:
        """Tell whether every request of the candidate is one of the baseline's."""
        return len(self.twins) == len(self.candidate)


def pair(baseline: Run, candidate: Run) -> tuple[list[PairedCase], Pairing]:
    """Return the paired cases in the order of their ids, and why others are not paired."""
    before, after = _by_case(baseline.results), _by_case(candidate.results)
    paired: list[PairedCase] = []
    changed: list[str] = []
    missing: dict[str, str] = {}
    for case_id, stored in before.items():
        results = after.get(case_id, ())
        measured = tuple(result for result in results if result.status in _MEASURED)
        if results and results[0].row_digest != stored[0].row_digest:
            changed.append(case_id)
        elif measured:
            paired.append(PairedCase(case_id=case_id, baseline=stored, candidate=measured))
        else:
            missing[case_id] = results[0].detail or results[0].status if results else "not in this run"
    return paired, Pairing(
        paired=tuple(case.case_id for case in paired),
        changed=tuple(changed),
        new=tuple(case_id for case_id in after if case_id not in before),
        missing=missing,
    )


def too_few_paired(pairing: Pairing) -> bool:
    """Tell whether so many cases are unpaired that no good verdict is possible."""
    lost = len(pairing.changed) + len(pairing.missing)
    return lost > MAX_UNPAIRED * (lost + len(pairing.paired))


def score_of(result: CaseResult, metric: Metric) -> float | None:
    """Return the score of a result, the worst one for a bad answer; None where it is unknown."""
    score = result.scores.get(metric.name)
    if score is not None and score.value is not None:
        return score.value
    return metric.worst if result.status == "bad_answer" else None


def stored_scores(case: PairedCase, metric: Metric, *, rescored: bool) -> list[float]:
    """Return the baseline's scores of a case, or today's scores of its stored outputs."""
    if not rescored:
        found = [score_of(result, metric) for result in case.baseline]
        return [value for value in found if value is not None]
    again: Sequence[Score] = next(
        (
            result.stored_scores[metric.name]
            for result in case.candidate
            if metric.name in result.stored_scores
        ),
        (),
    )
    return [score.value for score in again if score.value is not None]


def _by_case(results: Sequence[CaseResult]) -> Mapping[str, tuple[CaseResult, ...]]:
    groups: dict[str, list[CaseResult]] = {}
    for result in sorted(results, key=lambda result: (result.case_id, result.repeat)):
        groups.setdefault(result.case_id, []).append(result)
    return {case_id: tuple(group) for case_id, group in groups.items()}
