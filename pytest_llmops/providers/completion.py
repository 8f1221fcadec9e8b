"""Read the JSON of a chat completion, or of a completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmops.calls.exchange import Request, Response, Timing, Usage
from pytest_llmops.errors import BadAnswerError, BadAnswerKind
from pytest_llmops.providers.logprobs import read_logprobs
from pytest_llmops.providers.served import is_served
from pytest_llmops.store.canonical import parse_json

BAD_ANSWERS: Mapping[BadAnswerKind, str] = {
    "content_filter": "the provider's content filter withheld the answer.",
    "refusal": "the model refused to answer.",
    "length": "the answer was cut off at its length limit; raise max_tokens or max_completion_tokens.",
    "malformed": "the answer is malformed: it holds no well-formed message.",
    "empty": "the answer is empty.",
    "cut_stream": "the stream ended before the answer did.",
}
"""What an unusable answer says of itself."""


def to_response(
    reply: Mapping[str, Any],
    *,
    request: Request,
    served_as: Mapping[str, str],
    timing: Timing,
    request_id: str | None,
) -> Response:
    """Return the answer that a chat completion, or a completion, holds.

    Raises:
        BadAnswerError: the answer is another model's, cut off, filtered, refused, malformed or empty.
    """
    usage = read_usage(reply.get("usage"))
    check_model(request.model, reply.get("model"), served_as=served_as, usage=usage, request_id=request_id)
    choice = _first_choice(reply)
    kind: BadAnswerKind | None = "malformed" if choice is None else _bad_kind(choice)
    if choice is None or kind is not None:
        raise bad_answer(request.model, kind or "malformed", usage=usage, request_id=request_id)
    message = choice["message"]
    return Response(
        text=message.get("content") or "",
        model=str(reply.get("model") or request.model),
        finish_reason=choice.get("finish_reason"),
        tool_calls=tuple(message.get("tool_calls") or ()),
        usage=usage,
        timing=timing,
        request_id=request_id,
        logprobs=read_logprobs(choice.get("logprobs")) or (),
    )


def check_model(
    asked: str, answered: object, *, served_as: Mapping[str, str], usage: Usage, request_id: str | None
) -> None:
    """Check that the model that answered is the one that was asked.

    Raises:
        BadAnswerError: it is another one.
    """
    if not is_served(asked, answered, served_as):
        raise bad_answer(
            asked,
            "other_model",
            told=f"another model answered: {str(answered)[:100]!r}. If that is its name at this server, "
            "say so with `served_as`.",
            usage=usage,
            request_id=request_id,
        )


def bad_answer(
    model: str, kind: BadAnswerKind, *, told: str = "", usage: Usage, request_id: str | None
) -> BadAnswerError:
    """Return the error that an unusable answer of `model` is."""
    return BadAnswerError(
        f"{model}: {told or BAD_ANSWERS[kind]}",
        kind=kind,
        request_id=request_id,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
    )


def read_usage(usage: object) -> Usage:
    """Return the tokens that a reply counts; unknown where it does not say or says nonsense."""
    if not isinstance(usage, Mapping):
        return Usage()
    given, made = (usage.get(name) for name in ("prompt_tokens", "completion_tokens"))
    return Usage(input_tokens=_count(given), output_tokens=_count(made))


def _first_choice(reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping) or not isinstance(choice.get("finish_reason"), str | None):
        return None
    if "message" not in choice and "text" in choice:
        # The answer to a bare prompt.
        choice = {**choice, "message": {"content": choice["text"]}}
    return choice if _well_formed(choice.get("message")) else None


def _well_formed(message: object) -> bool:
    if not isinstance(message, Mapping) or not message.keys() & {"content", "tool_calls", "refusal"}:
        return False
    calls = message.get("tool_calls") or []
    return (
        isinstance(message.get("content"), str | None)
        and isinstance(calls, list)
        and all(isinstance(call, Mapping) for call in calls)
    )


def _bad_kind(choice: Mapping[str, Any]) -> BadAnswerKind | None:
    message, finish = choice["message"], choice.get("finish_reason")
    calls = message.get("tool_calls") or []
    if finish == "content_filter":
        return "content_filter"
    if message.get("refusal"):
        return "refusal"
    if finish == "length":
        return "length"
    if not all(map(_callable, calls)):
        return "malformed"
    # A missing finish_reason is no fault: Ollama sends none.
    return None if calls or (message.get("content") or "").strip() else "empty"


def _callable(call: Mapping[str, Any]) -> bool:
    function = call.get("function")
    if function is None:
        # A custom tool takes free text.
        return True
    arguments = function.get("arguments") if isinstance(function, Mapping) else 0
    if not isinstance(arguments, str):
        # Some servers send the arguments read, or none.
        return isinstance(arguments, Mapping | None)
    try:
        parse_json(arguments or "{}")
    except ValueError:
        return False
    return True


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
