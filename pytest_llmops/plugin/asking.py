"""Ask for all that one item needs: its answer, those of the arms beside it, and all their scores."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from pytest_llmops.calls.exchange import Request
from pytest_llmops.errors import LlmopsError
from pytest_llmops.plugin.arms import ArmName
from pytest_llmops.plugin.plan import CaseSlot, EvalTest
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.measure import Measured, measure, rescore
from pytest_llmops.scorers.score import Score


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


async def ask_all(test: EvalTest, slot: CaseSlot) -> Answers:
    """Return the answers that an item needs, arms and candidate asked side by side.

    Raises:
        LlmopsError: the candidate could not be measured, or stored outputs could not be scored.
    """
    rescorers = test.rescorers if slot.repeat == 1 else ()
    stored = test.paired_with(slot.case) if rescorers else ()
    stored_scores = await rescore(slot.case, stored, rescorers if stored else (), test.spec.project.client)
    beside = test.arms_of(slot)
    if not beside:
        return Answers(candidate=_sound(await _ask(test, slot, None)), stored_scores=stored_scores)
    wanted: list[ArmName | None] = [None, *beside]
    # Who asks first might wait longest or shortest, so it is not always the same.
    backwards = int(slot.case.digest, 16) + slot.repeat & 1
    order = wanted[::-1] if backwards else wanted
    found = dict(zip(order, await asyncio.gather(*(_ask(test, slot, arm) for arm in order)), strict=True))
    candidate = _sound(found.pop(None))
    arms = {name: answered for name, answered in found.items() if name is not None}
    return Answers(candidate=candidate, arms=arms, stored_scores=stored_scores)


def _sound(candidate: Answered) -> Answered:
    if candidate.fault is not None:
        raise candidate.fault
    return candidate


async def _ask(test: EvalTest, slot: CaseSlot, name: ArmName | None) -> Answered:
    spec, arm = test.spec, test.arms[name] if name else None
    request = test.request(slot, name)
    client = spec.project.client
    prompt, digest = arm.prompt if arm else spec.prompt, client.digest(request)
    again = arm is not None and arm.again
    ask = partial(client.acall, again=True) if again else client.acall
    try:
        measured = await measure(slot.case, request, spec.scorers, client, ask=ask)
    except LlmopsError as error:
        return Answered(prompt=prompt, request=request, digest=digest, fault=error)
    if measured.response is not None:
        digest = client.digest(request.answered_by(measured.response))
    # What was asked again is of today, though the candidate may have been given the old answer.
    reused = not again and client.reused(digest)
    return Answered(prompt=prompt, request=request, digest=digest, measured=measured, reused=reused)
