"""Follow one item through its phases, and say in the end what it gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from pytest_llmops.calls.exchange import Response
from pytest_llmops.errors import (
    BadAnswerError,
    BudgetError,
    CacheMissError,
    CallError,
    JudgeError,
    LlmopsError,
    TargetError,
)
from pytest_llmops.plugin.arms import ArmName
from pytest_llmops.plugin.asking import Answered, Answers
from pytest_llmops.plugin.body import PASSED
from pytest_llmops.plugin.case import LlmCase
from pytest_llmops.plugin.plan import CaseSlot, EvalTest
from pytest_llmops.reports.escape import escape
from pytest_llmops.runs.measure import Measured
from pytest_llmops.runs.record import CaseResult, Status
from pytest_llmops.scorers.score import Score

NO_ANSWER: Final = Response(text="", model="")
"""Stands for the answer where there is none."""

PASS: Final = Score(value=1.0, passed=True)
"""What a body that runs through says of an answer."""

PASS_ALONE: Final = {PASSED: PASS}
"""The scores of most cases of a test without markers, kept to the end of the session: once is enough."""

NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(kw_only=True)
class Progress:
    """Hold what is known of one item so far."""

    test: EvalTest
    slot: CaseSlot
    answers: Answers | None = None
    fault: LlmopsError | None = None
    """Why nothing was measured."""
    body: Score | None = None
    stored_body: list[Score] = field(default_factory=list)
    """What today's body says of the stored outputs."""
    arm_bodies: dict[ArmName, Score] = field(default_factory=dict)
    """What the body says of the answers of the arms."""
    arm_broken: dict[ArmName, str] = field(default_factory=dict)
    """What broke in the body on the answers of the arms, which fails no test: it is about the candidate."""
    broken: str = ""
    """What broke in the test's own code."""
    skipped: str = ""

    @property
    def measured(self) -> Measured | None:
        """Return what the candidate's answer gave."""
        return self.answers.candidate.measured if self.answers else None

    def case(self, answer: Response | BadAnswerError, by: Answered | None = None) -> LlmCase:
        """Return what the test sees of the case with `answer`, which the candidate gave or who `by` says."""
        assert self.answers is not None
        answered = by or self.answers.candidate
        return LlmCase(
            case=self.slot.case,
            repeat=self.slot.repeat,
            prompt=answered.prompt,
            request=answered.request,
            answer=answer,
        )

    def note_body(self, error: BaseException) -> None:
        """Tell a miss from a skip and from a broken test."""
        if isinstance(error, pytest.skip.Exception):
            self.skipped = f"skipped: {error}"
        elif is_miss(error):
            self.body = missed_body(error)
        else:
            self.broken = described(error)

    def missed_markers(self) -> list[str]:
        """Return a line for each marker that the answer misses."""
        scores = self.measured.scores if self.measured else {}
        return [
            escape(f"{name}: {score.reason or score.value}")
            for name, score in scores.items()
            if score.passed is False
        ]

    def missed(self) -> list[str]:
        """Return the metrics that the case misses; a bad answer misses all that can be missed."""
        metrics = self.test.spec.metrics
        if self.measured is not None and self.measured.bad_answer is not None:
            return [name for name, metric in metrics.items() if metric.gated]
        body = [PASSED] if self.body is not None and self.body.passed is False else []
        scores = self.measured.scores if self.measured else {}
        return body + [name for name, score in scores.items() if score.passed is False]

    def result(self, nodeid: str) -> CaseResult:
        """Return the result of the item, ready to be stored and compared."""
        status, detail = self._status()
        if self.answers is None:
            return self._filled(None, None, nodeid=nodeid, status=status, detail=detail)
        stored = self.answers.stored_scores
        if self.stored_body:
            stored = {**stored, PASSED: tuple(self.stored_body)}
        return self._filled(
            self.answers.candidate,
            self.body,
            nodeid=nodeid,
            status=status,
            detail=detail,
            stored_scores=stored,
        )

    def arm_results(self, nodeid: str) -> dict[ArmName, CaseResult]:
        """Return the results of the arms beside the candidate."""
        arms = self.answers.arms if self.answers else {}
        results: dict[ArmName, CaseResult] = {}
        for name, answered in arms.items():
            status, detail = _status_of(answered)
            if name in self.arm_broken:
                status, detail = "error", self.arm_broken[name]
            results[name] = self._filled(
                answered, self.arm_bodies.get(name), nodeid=nodeid, status=status, detail=detail
            )
        return results

    def _status(self) -> tuple[Status, str]:
        if self.fault is None and self.broken:
            return "error", self.broken
        if self.fault is None and self.skipped:
            return "skipped", self.skipped
        return _status_of(self.answers.candidate if self.answers else None, self.fault)

    def _filled(
        self,
        answered: Answered | None,
        body: Score | None,
        *,
        nodeid: str,
        status: Status,
        detail: str,
        stored_scores: Mapping[str, tuple[Score, ...]] = NOTHING,
    ) -> CaseResult:
        case = self.slot.case
        measured = answered.measured if answered else None
        response = (measured.response if measured else None) or NO_ANSWER
        bad = measured.bad_answer if measured else None
        return CaseResult(
            test_key=self.test.key,
            case_id=case.id,
            row_digest=case.digest,
            inputs=case.inputs,
            expected=case.expected,
            tags=case.tags,
            cluster=case.cluster,
            repeat=self.slot.repeat,
            status=status,
            detail=detail,
            raised=bad.raised if isinstance(bad, TargetError) else "",
            requests=(answered.digest,) if answered else (),
            output=None if response is NO_ANSWER else response.text,
            tool_calls=response.tool_calls,
            context=response.context,
            scores=self._scores(measured, body) if measured else NOTHING,
            usage=response.usage,
            timing=response.timing,
            cost=response.cost,
            fallback=response.fallback,
            request_id=response.request_id,
            nodeid=nodeid,
            stored_scores=stored_scores,
            reused=answered.reused if answered else False,
        )

    def _scores(self, measured: Measured, body: Score | None) -> Mapping[str, Score]:
        if body is None or self.test.spec.body is None:
            return measured.scores
        if body is PASS and not measured.scores:
            return PASS_ALONE
        return {**measured.scores, PASSED: body}


def is_miss(error: BaseException) -> bool:
    """Tell whether an exception of the body says that the answer is wrong, not that the test is broken."""
    return isinstance(error, AssertionError | pytest.fail.Exception | BadAnswerError)


def missed_body(error: BaseException) -> Score:
    """Return the score of a body that missed."""
    return Score(value=0.0, passed=False, reason=first_line(error))


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message."""
    return str(error).partition("\n")[0]


def described(error: BaseException) -> str:
    """Return the kind of an exception and the first line of its message."""
    return f"{type(error).__name__}: {first_line(error)}"


def _status_of(answered: Answered | None, fault: LlmopsError | None = None) -> tuple[Status, str]:
    fault = fault or (answered.fault if answered else None)
    if isinstance(fault, BudgetError):
        return "not_run", str(fault)
    if isinstance(fault, CallError | JudgeError) and not isinstance(fault, CacheMissError):
        return "unmeasured", str(fault)
    if fault is not None:
        return "error", str(fault)
    measured = answered.measured if answered else None
    if measured is not None and measured.bad_answer is not None:
        return "bad_answer", str(measured.bad_answer)
    return "measured", ""
