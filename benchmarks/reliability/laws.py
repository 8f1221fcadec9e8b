"""Hold what became of calls against what the server did: each broken law is named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.reliability.faults import FAULTS
from benchmarks.reliability.replies import answer_to
from benchmarks.server import Entry
from pytest_llmops.errors import (
    BadAnswerError,
    BadAnswerKind,
    CallError,
    FatalCallError,
    LlmopsError,
    TransientCallError,
)

CLASSES = {FatalCallError: "fatal", TransientCallError: "transient", BadAnswerError: "bad answer"}

LAWS = (
    "wrong result",
    "wrong class",
    "asked again after a final reply",
    "asked before the time it was told",
    "followed a redirect",
    "request id lost",
    "fault kept in the cache",
    "right answer not kept",
    "given up early",
    "never asked",
)

SLACK = 0.002
"""Seconds by which the clocks of two processes may be read apart."""

REPLY = 0.1
"""Seconds until the head of a reply is surely seen."""

LONGEST_WAIT = 8.0
"""Seconds between two attempts, where the server asks for no longer wait."""

ATTEMPTS = 8
"""After so many attempts a call may be given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Be what became of one call."""

    text: str
    """What was asked: each call asks something else."""
    answer: str | None = None
    error: LlmopsError | None = None
    cached: bool = False
    """Whether the cache held an answer afterwards."""

    @property
    def comes_of(self) -> str:
        """Return the class, as the table of faults names it."""
        return "right" if self.error is None else CLASSES.get(type(self.error), type(self.error).__name__)

    @property
    def bad(self) -> BadAnswerKind | None:
        """Return the kind of a bad answer."""
        return self.error.kind if isinstance(self.error, BadAnswerError) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """Be one law broken by one call."""

    law: str
    told: str


def breaches(outcomes: Iterable[Outcome], log: Iterable[Entry], *, deadline: float) -> list[Breach]:
    """Return the laws that calls broke.

    Args:
        outcomes: of all calls.
        log: of the server that they asked.
        deadline: of each call, in seconds.
    """
    entries = defaultdict(list)
    for entry in log:
        entries[entry.text].append(entry)
    return [
        Breach(law=law, told=f"{told} ({outcome.text!r}: {_told(entries[outcome.text])})")
        for outcome in outcomes
        for law, told in _broken(outcome, entries[outcome.text], deadline)
    ]


def summary(found: Sequence[Breach], *, shown: int = 3) -> str:
    """Return a line for each law, with the first calls that broke it."""
    lines = []
    for law in LAWS:
        broken = [breach.told for breach in found if breach.law == law]
        lines += [f"{len(broken):6} {law}", *(f"         {told}" for told in broken[:shown])]
    return "\n".join(lines)


def _broken(outcome: Outcome, entries: Sequence[Entry], deadline: float) -> Iterator[tuple[str, str]]:
    if not entries:
        yield "never asked", str(outcome.error)
        return
    yield from _of_attempts(entries)
    yield from _of_the_end(outcome, entries, deadline)
    if outcome.comes_of == "transient" and _given_up_early(entries, deadline):
        yield "given up early", str(outcome.error)


def _of_attempts(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    for earlier, later in pairwise(entries):
        if later.path == "/elsewhere":
            yield "followed a redirect", later.path
        elif not (earlier.fault and FAULTS[earlier.fault].may_be_asked_again):
            yield "asked again after a final reply", str(earlier.fault)
        elif earlier.not_before is not None and later.at < earlier.not_before - SLACK:
            yield "asked before the time it was told", f"by {earlier.not_before - later.at:.3f} s"


def _of_the_end(outcome: Outcome, entries: Sequence[Entry], deadline: float) -> Iterator[tuple[str, str]]:
    last = entries[-1]
    fault = FAULTS[last.fault] if last.fault else None
    due = fault.comes_of if fault else "right"
    bad = fault.bad if fault else None
    if (outcome.comes_of, outcome.bad) != (due, bad):
        yield "wrong class", f"{due} {bad or ''} became {outcome.comes_of} {outcome.bad or ''}"
    if outcome.error is None and outcome.answer != answer_to(outcome.text):
        yield "wrong result", str(outcome.answer)
    if isinstance(outcome.error, CallError) and (fault is None or fault.names_request):
        # Of an attempt that was cut off at once no reply was seen: then the one before it is named.
        late = last.at > entries[0].at + deadline - REPLY
        ids = [entry.request_id for entry in (entries[-2:] if late else entries[-1:])]
        if outcome.error.request_id not in ids or outcome.error.request_id not in str(outcome.error):
            yield "request id lost", str(outcome.error)
    if outcome.cached and due != "right":
        yield "fault kept in the cache", str(outcome.answer)
    if not outcome.cached and due == "right":
        yield "right answer not kept", str(outcome.error)


def _given_up_early(entries: Sequence[Entry], deadline: float) -> bool:
    first, last = entries[0], entries[-1]
    if len(entries) >= ATTEMPTS or last.until is None or (last.fault and FAULTS[last.fault].lasts):
        return False
    back = max(last.until + LONGEST_WAIT, last.not_before or 0.0)
    return back < first.at + deadline


def _told(entries: Sequence[Entry]) -> str:
    return ", ".join(entry.fault or "right" for entry in entries)
