"""Follow one item through its phases, and say in the end what it gave."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from pytest_llmops.calls.exchange import Request, Response
from pytest_llmops.calls.prices import cost
from pytest_llmops.errors import BadAnswerError, CacheMissError, CallError, JudgeError, LlmopsError
from pytest_llmops.plugin.body import PASSED
from pytest_llmops.plugin.case import LlmCase
from pytest_llmops.plugin.plan import CaseSlot, EvalTest
from pytest_llmops.reports.escape import escape
from pytest_llmops.runs.measure import Measured
from pytest_llmops.runs.record import CaseResult, Status
from pytest_llmops.scorers.score import Score


@dataclass(kw_only=True)
class Progress:
    """Hold what is known of one item so far."""

    test: EvalTest
    slot: CaseSlot
    request: Request | None = None
    measured: Measured | None = None
    fault: LlmopsError | None = None
    """Why nothing was measured."""
    body: Score | None = None
    stored_body: list[Score] = field(default_factory=list)
    """What today's body says of the stored outputs."""
    broken: str = ""
    """What broke in the test's own code."""
    skipped: str = ""

    def case(self, answer: Response | BadAnswerError) -> LlmCase:
        """Return what the test sees of the case with `answer`."""
        assert self.request is not None
        return LlmCase(
            case=self.slot.case,
            repeat=self.slot.repeat,
            prompt=self.test.spec.prompt,
            request=self.request,
            answer=answer,
        )

    def note_body(self, error: BaseException) -> None:
        """Tell a miss from a skip and from a broken test."""
        if isinstance(error, pytest.skip.Exception):
            self.skipped = f"skipped: {error}"
        elif is_miss(error):
            self.body = Score(value=0.0, passed=False, reason=first_line(error))
        else:
            self.broken = f"{type(error).__name__}: {first_line(error)}"

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
        case = self.slot.case
        status, detail = self._status()
        result = CaseResult(
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
            nodeid=nodeid,
        )
        return self._answered(self._scored(result))

    def _status(self) -> tuple[Status, str]:
        fault = self.fault
        if isinstance(fault, CallError | JudgeError) and not isinstance(fault, CacheMissError):
            return "unmeasured", str(fault)
        if fault is not None or self.broken:
            return "error", str(fault or self.broken)
        if self.skipped:
            return "skipped", self.skipped
        if self.measured is not None and self.measured.bad_answer is not None:
            return "bad_answer", str(self.measured.bad_answer)
        return "measured", ""

    def _scored(self, result: CaseResult) -> CaseResult:
        measured = self.measured
        if measured is None or self.request is None:
            return result
        scores, stored = dict(measured.scores), dict(measured.stored_scores)
        if self.body is not None and self.test.spec.body is not None:
            scores[PASSED] = self.body
        if self.stored_body:
            stored[PASSED] = tuple(self.stored_body)
        digest = self.test.spec.project.client.digest(self.request)
        return replace(result, requests=(digest,), scores=scores, stored_scores=stored)

    def _answered(self, result: CaseResult) -> CaseResult:
        response = self.measured.response if self.measured else None
        if response is None or self.request is None:
            return result
        return replace(
            result,
            output=response.text,
            usage=response.usage,
            timing=response.timing,
            cost=cost(self.request.provider, self.request.model, response.usage),
            request_id=response.request_id,
        )


def is_miss(error: BaseException) -> bool:
    """Tell whether an exception of the body says that the answer is wrong, not that the test is broken."""
    return isinstance(error, AssertionError | pytest.fail.Exception | BadAnswerError)


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message."""
    return str(error).partition("\n")[0]
