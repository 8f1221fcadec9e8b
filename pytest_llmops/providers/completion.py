"""Read the JSON of a chat completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmops.calls.exchange import Request, Response, Timing, Usage
from pytest_llmops.errors import BadAnswerError, BadAnswerKind

BAD_ANSWERS: Mapping[BadAnswerKind, str] = {
    "content_filter": "the provider's content filter withheld the answer.",
    "refusal": "the model refused to answer.",
    "length": "the answer was cut off at its length limit; raise max_tokens or max_completion_tokens.",
    "empty": "the answer is empty.",
}
"""What an unusable answer says of itself."""


def first_choice(reply: object) -> Mapping[str, Any] | None:
    """Return the first choice of a chat completion, None where it holds no well-formed message."""
    choices = reply.get("choices") if isinstance(reply, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping) or not isinstance(choice.get("finish_reason"), str | None):
        return None
    return choice if _well_formed(choice.get("message")) else None


def to_response(
    reply: Mapping[str, Any],
    choice: Mapping[str, Any],
    *,
    request: Request,
    seconds: float,
    request_id: str | None,
) -> Response:
    """Return the answer that a chat completion holds in `choice`.

    Raises:
        BadAnswerError: the answer is cut off, filtered, refused or empty.
    """
    message = choice["message"]
    text, calls = message.get("content") or "", message.get("tool_calls") or []
    finish = choice.get("finish_reason")
    kind = _bad_kind(finish=finish, refusal=message.get("refusal"), empty=not (text.strip() or calls))
    if kind is not None:
        raise BadAnswerError(f"{request.model}: {BAD_ANSWERS[kind]}", kind=kind, request_id=request_id)
    return Response(
        text=text,
        model=str(reply.get("model") or request.model),
        finish_reason=finish,
        tool_calls=tuple(calls),
        usage=_usage(reply.get("usage")),
        timing=Timing(seconds=seconds),
        request_id=request_id,
    )


def _well_formed(message: object) -> bool:
    if not isinstance(message, Mapping) or not message.keys() & {"content", "tool_calls", "refusal"}:
        return False
    calls = message.get("tool_calls") or []
    return (
        isinstance(message.get("content"), str | None)
        and isinstance(calls, list)
        and all(isinstance(call, Mapping) for call in calls)
    )


def _bad_kind(*, finish: object, refusal: object, empty: bool) -> BadAnswerKind | None:
    if finish == "content_filter":
        return "content_filter"
    if refusal:
        return "refusal"
    if finish == "length":
        return "length"
    # A missing finish_reason is no fault: Ollama sends none.
    return "empty" if empty else None


def _usage(usage: object) -> Usage:
    if not isinstance(usage, Mapping):
        return Usage()
    given, made = (usage.get(name) for name in ("prompt_tokens", "completion_tokens"))
    return Usage(input_tokens=_count(given), output_tokens=_count(made))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
