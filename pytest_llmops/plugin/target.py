"""Run a target: the user's code that answers in the place of one prompt."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import math
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from pytest_llmops.calls.exchange import Request, Response, Timing, Usage
from pytest_llmops.errors import BadAnswerError, LlmopsError, MisuseError, TargetError
from pytest_llmops.golden.case import Case
from pytest_llmops.plugin.llm_calls import Llm
from pytest_llmops.project import Project
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.prompts.target import TARGET, target_version
from pytest_llmops.store.canonical import JsonValue
from pytest_llmops.store.function import function_digest

TargetFunction = Callable[[Mapping[str, Any], Llm], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Be a target as its marker declares it."""

    function: TargetFunction
    identity: Prompt
    """Its version: code, what the marker declares, artifacts."""
    declared: bool
    """The user names its version, so that an equal one needs not run again."""
    concurrent: bool
    """It may run ahead of its test, many cases at once."""

    def request(self, case: Case, *, model: str, repeat: int) -> Request:
        """Return what stands for the request of a case; it reaches no provider."""
        asked: dict[str, JsonValue] = {"role": "user", "content": dict(inputs_of(case))}
        return Request(
            provider=TARGET,
            model=self.identity.name,
            messages=(asked,),
            parameters={"version": self.identity.digest, "model": model},
            repeat=repeat,
        )


@dataclass(kw_only=True)
class Trace:
    """Hold the calls of one run of a target."""

    project: Project
    calls: list[tuple[str, Response]] = field(default_factory=list)
    """Request digests and answers, in the order in which they came."""

    def take(self, request: Request, response: Response) -> None:
        """Add a call."""
        self.calls.append((self.project.client.digest(request.answered_by(response)), response))

    @property
    def reused(self) -> bool:
        """Tell whether an answer is from an earlier session."""
        return any(self.project.client.reused(key) for key, _ in self.calls)

    def summed(self, answer: Response) -> Response:
        """Return the answer with what all calls took: tokens, seconds and dollars."""
        usages = [response.usage for _, response in self.calls]
        costs = [response.cost for _, response in self.calls]
        return replace(
            answer,
            usage=Usage(
                input_tokens=_sum([usage.input_tokens for usage in usages]),
                output_tokens=_sum([usage.output_tokens for usage in usages]),
            ),
            timing=Timing(seconds=math.fsum(response.timing.seconds for _, response in self.calls)),
            cost=math.fsum(cost for cost in costs if cost is not None) if None not in costs else None,
            fallback=next((response.fallback for _, response in self.calls if response.fallback), None),
        )


def read_target(
    function: object,
    *,
    version: str | None,
    artifacts: Mapping[str, JsonValue],
    concurrent: bool,
) -> Target:
    """Return the target that a marker declares.

    Args:
        function: called with the inputs of a case and an `Llm`; sync or async.
        version: the version that the user gives it; None where there is none.
        artifacts: contents of the declared artifacts by name.
        concurrent: it may run ahead of its test.

    Raises:
        MisuseError: it cannot be called with inputs and llm.
    """
    if not callable(function):
        raise MisuseError(f"llm_eval(target={function!r}): give a function target(inputs, llm).")
    bare = inspect.unwrap(function)
    name = getattr(bare, "__qualname__", None) or getattr(getattr(bare, "func", bare), "__qualname__", None)
    name = (name or type(bare).__qualname__).rpartition("<locals>.")[2]
    try:
        inspect.signature(function).bind({}, None)
    except TypeError:
        raise MisuseError(f"The target {name} must take two arguments: target(inputs, llm).") from None
    except ValueError:
        # Some built-in callables do not say what they take.
        pass
    identity = target_version(name, code=function_digest(function), version=version, artifacts=artifacts)
    return Target(function=function, identity=identity, declared=version is not None, concurrent=concurrent)


def inputs_of(case: Case) -> Mapping[str, JsonValue]:
    """Return what a target is given: the inputs, and conversation and passages where the row has them."""
    more: dict[str, JsonValue] = {"messages": list(case.messages), "context": list(case.context)}
    return {**{name: value for name, value in more.items() if value}, **case.inputs}


async def run_target(target: Target, case: Case, llm: Llm) -> Response:
    """Return what the target answers; it runs in a thread of its own.

    Raises:
        TargetError: it raised an exception, or answered nothing.
        LlmopsError: one of its calls failed, and it let the error pass.
        pytest.skip.Exception: it skipped the case.
    """
    # A case is shared: what a target does to its inputs must not reach another.
    inputs = copy.deepcopy(dict(inputs_of(case)))
    work: Future[Any] = Future()
    arguments = (work, partial(target.function, inputs, llm))
    threading.Thread(target=_run, args=arguments, name="llmops-target", daemon=True).start()
    try:
        found = await asyncio.wrap_future(work)
    except _Raised as raised:
        kind, told = type(raised.error).__name__, str(raised.error).partition("\n")[0]
        raise TargetError(
            f"the target {target.identity.name} raised {kind}: {told}", raised=kind
        ) from raised.error
    return _answer(target, found)


class _Raised(Exception):  # noqa: N818 - carries what was raised
    """Carry what a target raised to the loop, which some exceptions would end."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def _run(work: Future[Any], function: Callable[[], Any]) -> None:
    # From now on nobody can cancel it, and its result has somewhere to go.
    work.set_running_or_notify_cancel()
    try:
        found = function()
        result = asyncio.run(_awaited(found)) if inspect.isawaitable(found) else found
    except (LlmopsError, pytest.skip.Exception) as error:
        work.set_exception(error)
    except BaseException as error:
        work.set_exception(_Raised(error))
    else:
        work.set_result(result)


async def _awaited(found: Awaitable[Any]) -> Any:
    return await found


def _answer(target: Target, found: object) -> Response:
    """Return what a target gave as an answer: text, anything that JSON holds, or a `Response`."""
    name = target.identity.name
    if isinstance(found, Response):
        answer = found
    elif isinstance(found, str):
        answer = Response(text=found, model=name)
    else:
        try:
            text = "" if found is None else json.dumps(found, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            kind = type(found).__name__
            raise TargetError(
                f"the target {name} returned {kind}, which is neither text nor JSON nor a Response: {error}",
                raised=f"return of {kind}",
            ) from None
        answer = Response(text=text, model=name)
    if not answer.text.strip() and not answer.tool_calls:
        raise BadAnswerError(f"the target {name} answered nothing.", kind="empty")
    return answer


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
