from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.calls.retry import Retry, asked_wait
from pytest_llmops.errors import BadAnswerError, BudgetError, CallError, FatalCallError, TransientCallError

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


class Clock:
    """Be a time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def retry(self, **options: float) -> Retry:
        return Retry(sleep=self.sleep, clock=lambda: self.now, **options)


class Call:
    """Fail in the given ways, then answer."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.attempts = 0

    async def __call__(self) -> str:
        self.attempts += 1
        if self.faults:
            raise self.faults.pop(0)
        return "answer"


def busy(retry_after: float | None = None) -> TransientCallError:
    return TransientCallError("Busy.", request_id="req-1", retry_after=retry_after)


def test_a_good_call_is_made_once() -> None:
    clock, call = Clock(), Call()

    assert asyncio.run(clock.retry().run(call)) == "answer"
    assert (call.attempts, clock.waits) == (1, [])


def test_waits_double_up_to_the_cap() -> None:
    clock, call = Clock(), Call(*[busy()] * 8)

    assert asyncio.run(clock.retry(attempts=9).run(call)) == "answer"
    assert call.attempts == 9
    for wait, whole in zip(clock.waits, [0.5, 1, 2, 4, 8, 8, 8, 8], strict=True):
        assert whole / 2 <= wait <= whole


def test_a_server_that_is_not_there_is_given_up_long_before_the_deadline() -> None:
    clock, call = Clock(), Call(*[busy()] * 100)

    with pytest.raises(TransientCallError, match="Given up after 8 attempts"):
        asyncio.run(clock.retry(deadline=120.0).run(call))
    assert clock.now <= 32


def test_waits_differ_between_calls() -> None:
    assert len({Retry().wait(5, None) for _ in range(20)}) > 1


@given(attempt=st.integers(1, 10**9), asked=st.none() | st.floats(0, 1e9))
def test_no_wait_is_shorter_than_asked_or_longer_than_needed(attempt: int, asked: float | None) -> None:
    wait = Retry().wait(attempt, asked)

    assert (asked or 0.0) <= wait <= max(8.0, asked or 0.0)


def test_the_provider_s_wait_is_obeyed() -> None:
    clock, call = Clock(), Call(busy(30.0), busy(0.0))

    assert asyncio.run(clock.retry().run(call)) == "answer"
    assert clock.waits[0] == 30.0
    assert 0.5 <= clock.waits[1] <= 1.0


@pytest.mark.parametrize(
    "fault", [FatalCallError("No."), BadAnswerError("Cut.", kind="length"), ValueError("bug")]
)
def test_other_faults_are_not_tried_again(fault: Exception) -> None:
    clock, call = Clock(), Call(fault)

    with pytest.raises(type(fault)) as caught:
        asyncio.run(clock.retry().run(call))
    assert caught.value is fault
    assert (call.attempts, clock.waits) == (1, [])


def test_the_deadline_ends_it_and_attempts_are_named() -> None:
    clock, call = Clock(), Call(*[busy()] * 1000)

    with pytest.raises(TransientCallError) as caught:
        asyncio.run(clock.retry(deadline=20.0).run(call))

    assert sum(clock.waits) < 20
    assert str(caught.value) == (
        f"Busy. Given up after {call.attempts} attempts in {clock.now:.1f} s; the deadline is 20 s. "
        "(request id req-1)"
    )


def test_a_wait_past_the_deadline_is_not_waited_for() -> None:
    clock, call = Clock(), Call(busy(300.0))

    with pytest.raises(TransientCallError, match=r"after 1 attempt in 0\.0 s.*asks to wait 300 s") as caught:
        asyncio.run(clock.retry().run(call))
    assert (call.attempts, clock.waits) == (1, [])
    assert caught.value.retry_after == 300.0


def test_a_silent_call_is_ended_by_the_deadline() -> None:
    ended: list[bool] = []

    async def silent() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        return "never"

    with pytest.raises(TransientCallError, match="No answer came in time"):
        asyncio.run(Retry(deadline=0.05).run(silent))
    assert ended == [True]


def test_a_timeout_of_the_call_s_own_is_not_ours() -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(Clock().retry().run(Call(TimeoutError())))


def test_cancelling_is_not_a_fault() -> None:
    async def main() -> int:
        call = Call(*[busy()] * 1000)
        task = asyncio.create_task(Retry().run(call))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return call.attempts

    assert asyncio.run(main()) == 1


def test_every_class_of_call_error_is_told_apart() -> None:
    # A new class must be placed: is it worth asking again?
    assert set(CallError.__subclasses__()) == {
        FatalCallError,
        TransientCallError,
        BadAnswerError,
        BudgetError,
    }


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "NaN"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:09 GMT"}, 9.0),
        ({"retry-after": "Fri, 20 Nov 2026 14:00:09 +0200"}, 9.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:09 -0000"}, 9.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:59:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 99 Nov 2026 11:59:00 GMT"}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "nan", "retry-after": "9"}, 9.0),
    ],
)
def test_the_asked_wait_is_read(headers: dict[str, str], wait: float | None) -> None:
    assert asked_wait(headers, now=NOW) == wait


@given(text=st.text())
def test_any_header_is_read_or_ignored(text: str) -> None:
    wait: Any = asked_wait({"retry-after": text}, now=NOW)

    assert wait is None or wait >= 0


def test_an_attempt_that_the_deadline_cuts_off_names_its_own_request() -> None:
    began: list[str] = []

    async def slower_and_slower() -> str:
        began.append(f"req-{len(began) + 1}")
        if len(began) == 1:
            raise TransientCallError("Busy.", request_id="req-1")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            error.request_id = began[-1]  # type: ignore[attr-defined]
            raise
        raise AssertionError("unreachable")

    with pytest.raises(TransientCallError) as caught:
        asyncio.run(Retry(deadline=0.1, base=0.001).run(slower_and_slower))
    assert caught.value.request_id == "req-2"
    assert "No answer came in time; the attempt before it: Busy. Given up after 2 attempts" in str(
        caught.value
    )
