"""Pair the cases of a run with those of its baseline."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pytest_llmops.golden.case import unit_name
from pytest_llmops.runs.comparison import Pairing
from pytest_llmops.runs.record import CaseResult, Run
from pytest_llmops.scorers.score import Metric

MAX_UNPAIRED = 0.10
"""Share of the baseline's cases that may be changed or missing before no good verdict is possible."""

_MEASURED = ("measured", "bad_answer")

_Results = tuple[CaseResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCase:
    """Be one case that stands on both sides, repeats in order."""

    case_id: str
    baseline: _Results
    candidate: _Results
    twins: tuple[tuple[CaseResult, CaseResult], ...] = ()
    """The repeats that asked the very same requests, baseline first."""

    @property
    def replayed(self) -> bool:
        """Tell whether every request of the candidate is one of the baseline's."""
        return len(self.twins) == len(self.candidate)

    @property
    def unit(self) -> str:
        """Return the name of the independent unit: the cluster, or the case that stands alone."""
        return unit_name(self.case_id, self.candidate[0].cluster)


def pair(baseline: Run, candidate: Run, *, not_run: Collection[str] = ()) -> tuple[list[PairedCase], Pairing]:
    """Return the paired cases in the order of their ids, and why others are not paired.

    Args:
        baseline: one side.
        candidate: the other side.
        not_run: ids of cases that an early stop left out on purpose.
    """
    before, after = baseline.by_case(), candidate.by_case()
    paired: list[PairedCase] = []
    changed: list[str] = []
    missing: dict[str, str] = {}
    skipped = set(not_run)
    for case_id, all_stored in before.items():
        if case_id in skipped:
            continue
        results = after.get(case_id, ())
        case = paired_case(case_id, all_stored, results)
        if results and results[0].row_digest != all_stored[0].row_digest:
            changed.append(case_id)
        elif case is not None:
            paired.append(case)
        else:
            missing[case_id] = _why_missing(results if _measured(all_stored) else all_stored)
    return paired, Pairing(
        paired=tuple(case.case_id for case in paired),
        changed=tuple(changed),
        new=tuple(case_id for case_id in after if case_id not in before and case_id not in skipped),
        missing=missing,
        not_run=tuple(sorted(skipped)),
    )


def paired_case(case_id: str, baseline: _Results, candidate: _Results) -> PairedCase | None:
    """Return the case with the repeats that were measured; None where a side has none."""
    stored, measured = _measured(baseline), _measured(candidate)
    if not stored or not measured:
        return None
    return PairedCase(case_id=case_id, baseline=stored, candidate=measured, twins=_twins(stored, measured))


def too_few_paired(pairing: Pairing) -> bool:
    """Tell whether so many cases are unpaired that no good verdict is possible."""
    lost = len(pairing.changed) + len(pairing.missing)
    return lost > MAX_UNPAIRED * (lost + len(pairing.paired) + len(pairing.not_run))


def score_of(result: CaseResult, metric: Metric) -> float | None:
    """Return the score of a result, the worst one for a bad answer; None where it is unknown."""
    score = result.scores.get(metric.name)
    if score is not None and score.value is not None:
        return score.value
    return metric.worst if result.status == "bad_answer" else None


def scores_of(results: Sequence[CaseResult], metric: Metric) -> Sequence[float]:
    """Return the known scores of a case, one a repeat."""
    if len(results) == 1:
        only = score_of(results[0], metric)
        return () if only is None else (only,)
    return tuple([value for result in results if (value := score_of(result, metric)) is not None])


def stored_scores(case: PairedCase, metric: Metric) -> Sequence[float]:
    """Return today's scores of the baseline's outputs of a case, where they were scored again."""
    name = metric.name
    again = (result.stored_scores[name] for result in case.candidate if name in result.stored_scores)
    return tuple(score.value for score in next(again, ()) if score.value is not None)


def _measured(results: _Results) -> _Results:
    for result in results:
        if result.status not in _MEASURED:
            return tuple(result for result in results if result.status in _MEASURED)
    return results


def _twins(stored: _Results, measured: _Results) -> tuple[tuple[CaseResult, CaseResult], ...]:
    by_requests = {result.requests: result for result in stored if result.requests}
    asked_before = [result for result in measured if result.requests in by_requests]
    return tuple((by_requests[result.requests], result) for result in asked_before) if asked_before else ()


def _why_missing(results: _Results) -> str:
    return results[0].detail or results[0].status if results else "not in this run"
