"""Ask for all that one item needs: its answer, those of the arms beside it, and all their scores."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol

from pytest_llmops.calls.exchange import Caller, EmbeddingRequest, Request, Response
from pytest_llmops.calls.prefetch import LoopThread
from pytest_llmops.errors import CacheMissError, LlmopsError
from pytest_llmops.plugin.arms import ArmName
from pytest_llmops.plugin.llm_calls import Llm
from pytest_llmops.plugin.plan import CaseSlot, EvalTest
from pytest_llmops.plugin.target import Trace, run_target
from pytest_llmops.project import Project
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.measure import Measured, measure, prefer, rescore
from pytest_llmops.scorers.score import Score
from pytest_llmops.store.canonical import digest

NOTHING: Final[Mapping[str, tuple[Score, ...]]] = {}

NO_SCORES: Final[Mapping[str, Score]] = {}

EVEN: Final = Score(value=0.0, passed=True)
"""What an answer scores beside itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Be what one prompt version gave for one case: an answer with its scores, or a fault."""

    prompt: Prompt
    request: Request
    digest: str
    """The request digest."""
    measured: Measured | None = None
    fault: LlmopsError | None = None
    """Why nothing was measured."""
    reused: bool = False
    """The answer is from an earlier session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Be all that an item needs."""

    candidate: Answered
    arms: Mapping[ArmName, Answered] = field(default_factory=dict)
    stored_scores: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    """Today's scores of the baseline's stored outputs, by metric."""


class Knower(Caller, Protocol):
    """Know the digests of requests, too."""

    def digest(self, request: Request) -> str:
        """Return the request digest."""
        ...

    def reused(self, key: str) -> bool:
        """Tell whether the answer under a request digest is from an earlier session."""
        ...

    async def acall(self, request: Request, *, again: bool = False) -> Response:
        """Return the answer to `request`; with `again` one that is given in this session."""
        ...


class Memory:
    """Answer only what is known already, and wait for nothing; a `Caller` for the thread of the tests."""

    def __init__(self, project: Project) -> None:
        self._project = project
        # A connection of its own: the one of the client belongs to another thread.
        self._cache = project.cache()
        self._saved: dict[str, float] = {}
        self._last: tuple[Request | None, str] = (None, "")

    def digest(self, request: Request) -> str:
        """Return the request digest; that of the last request is remembered."""
        if self._last[0] is not request:
            self._last = (request, self._project.client.digest(request))
        return self._last[1]

    def reused(self, key: str) -> bool:
        """Tell whether the answer under a request digest is from an earlier session."""
        return key in self._saved

    async def acall(self, request: Request, *, again: bool = False) -> Response:
        """Return the answer to `request`.

        Raises:
            CacheMissError: it is not at hand.
        """
        response = None if again else self._known(self.digest(request))
        if response is None:
            raise CacheMissError("The answer is not at hand.")
        return response

    async def aembed(self, request: EmbeddingRequest) -> tuple[tuple[float, ...], ...]:
        """Return no vectors: they are looked up side by side, which takes an event loop.

        Raises:
            CacheMissError: always.
        """
        raise CacheMissError(f"The vectors of {request.model} are not at hand.")

    async def aclose(self) -> None:
        """Write down what was saved, where the client does, and close the file."""
        self._project.ledger.saved(self._saved)
        self._cache.close()

    def _known(self, key: str) -> Response | None:
        hit = self._cache.get(key)
        response = hit.response if hit else self._project.stored(key)
        if response is not None and not (hit and hit.this_session):
            self._saved[key] = response.cost or 0.0
        return response


def recall(test: EvalTest, slot: CaseSlot, memory: Memory) -> Answers | None:
    """Return the answers that an item needs where all are at hand; None where something must be asked.

    Waits for nothing, so no event loop is needed: to wake one takes longer than to look an answer up.
    """
    if not test.instant:
        return None
    work = ask_all(test, slot, memory)
    try:
        work.send(None)
    except StopIteration as end:
        answers: Answers = end.value
        return answers
    except LlmopsError:
        # Whatever it is, who asks for the item is told.
        return None
    work.close()
    return None


async def ask_all(
    test: EvalTest, slot: CaseSlot, caller: Knower | None = None, loop: LoopThread | None = None
) -> Answers:
    """Return the answers that an item needs, arms and candidate asked side by side.

    Args:
        test: the item's test.
        slot: its case and repeat.
        caller: who answers; the project's client where None.
        loop: carries the calls of a target.

    Raises:
        LlmopsError: the candidate could not be measured, or stored outputs could not be scored.
    """
    caller = caller or test.spec.project.client
    rescorers = test.rescorers if slot.repeat == 1 else ()
    stored = test.paired_with(slot.case) if rescorers else ()
    stored_scores = await rescore(slot.case, stored, rescorers, caller) if stored else NOTHING
    if test.spec.pair_scorers and slot.repeat == 1:
        stored_scores = {**stored_scores, **_of_themselves(test, slot)}
    beside = test.arms_of(slot)
    if not beside:
        asked = _ask_target(test, slot, caller, loop) if loop and test.spec.target else None
        candidate = _sound(await (asked or _ask(test, slot, None, caller)))
        scores = await _preferred(test, slot, candidate, _stored_measured(test, slot), caller)
        return Answers(candidate=_with(candidate, scores), stored_scores=stored_scores)
    wanted: list[ArmName | None] = [None, *beside]
    # Who asks first might wait longest or shortest, so it is not always the same.
    backwards = int(slot.case.digest, 16) + slot.repeat & 1
    order = wanted[::-1] if backwards else wanted
    found = dict(
        zip(order, await asyncio.gather(*(_ask(test, slot, arm, caller) for arm in order)), strict=True)
    )
    candidate = _sound(found.pop(None))
    arms = {name: answered for name, answered in found.items() if name is not None}
    control = arms.get("control")
    other = control.measured if control else _stored_measured(test, slot)
    scores = await _preferred(test, slot, candidate, other, caller)
    if control is not None:
        arms["control"] = _with(control, dict.fromkeys(scores, EVEN))
    return Answers(candidate=_with(candidate, scores), arms=arms, stored_scores=stored_scores)


def _of_themselves(test: EvalTest, slot: CaseSlot) -> Mapping[str, tuple[Score, ...]]:
    """Return what the stored answers score beside themselves: nothing is better or worse."""
    stored = len(test.paired_with(slot.case))
    return {scorer.metric.name: (EVEN,) * stored for scorer in test.spec.pair_scorers if stored}


async def _preferred(
    test: EvalTest, slot: CaseSlot, candidate: Answered, beside: Measured | None, caller: Knower
) -> Mapping[str, Score]:
    """Return the candidate's scores beside the baseline's answer, by metric; none where there is none."""
    scorers = test.spec.pair_scorers
    if not scorers or candidate.measured is None or beside is None:
        return NO_SCORES
    return await prefer(slot.case, candidate.measured, beside, scorers, caller)


def _with(answered: Answered, scores: Mapping[str, Score]) -> Answered:
    measured = answered.measured
    if measured is None or not scores:
        return answered
    return replace(answered, measured=replace(measured, scores={**measured.scores, **scores}))


def _stored_measured(test: EvalTest, slot: CaseSlot) -> Measured | None:
    stored = test.paired_with(slot.case)
    return Measured(response=stored[(slot.repeat - 1) % len(stored)].response) if stored else None


def _sound(candidate: Answered) -> Answered:
    if candidate.fault is not None:
        raise candidate.fault
    return candidate


async def _ask(test: EvalTest, slot: CaseSlot, name: ArmName | None, caller: Knower) -> Answered:
    spec, arm = test.spec, test.arms[name] if name else None
    request = test.request(slot, name)
    prompt, key = arm.prompt if arm else spec.prompt, caller.digest(request)
    again = arm is not None and arm.again
    ask = partial(caller.acall, again=True) if again else caller.acall
    try:
        measured = await measure(slot.case, request, spec.scorers, caller, ask=ask)
    except LlmopsError as error:
        return Answered(prompt=prompt, request=request, digest=key, fault=error)
    if measured.response is not None and measured.response.fallback is not None:
        key = caller.digest(request.answered_by(measured.response))
    # What was asked again is of today, though the candidate may have been given the old answer.
    reused = not again and caller.reused(key)
    return Answered(prompt=prompt, request=request, digest=key, measured=measured, reused=reused)


async def _ask_target(test: EvalTest, slot: CaseSlot, caller: Knower, loop: LoopThread) -> Answered:
    spec, request = test.spec, test.request(slot)
    assert spec.target is not None
    target, project, key = spec.target, spec.project, request.digest({})
    trace = Trace(project=project)
    llm = Llm(project, spec.near, loop, model=spec.marked_model, repeat=slot.repeat, told=trace.take)
    # Only who names a version says that an equal one would answer as the stored one did.
    stored = project.stored(key) if target.declared else None

    async def ask(_: Request) -> Response:
        return stored or trace.summed(await run_target(target, slot.case, llm))

    try:
        measured = await measure(slot.case, request, spec.scorers, caller, ask=ask)
    except LlmopsError as error:
        return Answered(prompt=spec.prompt, request=request, digest=key, fault=error)
    return Answered(
        prompt=spec.prompt,
        request=request,
        digest=key if target.declared else digest([key, *(called for called, _ in trace.calls)]),
        measured=measured,
        reused=stored is not None or trace.reused,
    )
