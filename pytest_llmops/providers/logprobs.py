"""Read what a reply tells of the probabilities of its tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from pytest_llmops.store.canonical import JsonValue

Told: TypeAlias = Mapping[str, JsonValue]
"""One token: `token`, `logprob` and, where they were asked for, `top_logprobs`."""


def read_logprobs(told: object) -> tuple[Told, ...] | None:
    """Return the tokens that the `logprobs` of a choice tell, None where they are malformed.

    Args:
        told: `content`, one entry a token, as chat completions and llama.cpp tell them; or the parallel lists
            `tokens`, `token_logprobs` and `top_logprobs`, as OpenAI's completions do; None tells nothing.
    """
    if told is None:
        return ()
    if not isinstance(told, Mapping):
        return None
    if told.get("content") is not None:
        return _read_all(told["content"], _token)
    if told.get("token_logprobs") is not None:
        return _read_all(_by_token(told), _token)
    return ()


def _by_token(told: Mapping[str, Any]) -> list[Any] | None:
    tokens, numbers = told.get("tokens"), told.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(numbers, list) or len(tokens) != len(numbers):
        return None
    tops = told.get("top_logprobs")
    tops = tops if isinstance(tops, list) and len(tops) == len(tokens) else [None] * len(tokens)
    return [
        {"token": token, "logprob": number, "top_logprobs": _pairs(top)}
        for token, number, top in zip(tokens, numbers, tops, strict=True)
    ]


def _pairs(top: object) -> list[Told] | None:
    if not isinstance(top, Mapping):
        return None
    return [{"token": token, "logprob": number} for token, number in top.items()]


def _read_all(entries: object, read: Callable[[object], Told | None]) -> tuple[Told, ...] | None:
    if not isinstance(entries, list):
        return None
    told = [found for entry in entries if (found := read(entry)) is not None]
    # One token less would make another sum.
    return tuple(told) if len(told) == len(entries) else None


def _token(entry: object) -> Told | None:
    known = _pair(entry)
    if known is None or not isinstance(entry, Mapping):
        return None
    # Null, or left out, where no others were asked for.
    others = _read_all(entry.get("top_logprobs") or [], _pair)
    if others is None:
        return None
    return {**known, "top_logprobs": list(others)} if others else known


def _pair(entry: object) -> Told | None:
    if not isinstance(entry, Mapping):
        return None
    token, number = entry.get("token"), entry.get("logprob")
    if not isinstance(token, str) or isinstance(number, bool) or not isinstance(number, int | float):
        return None
    return {"token": token, "logprob": float(number)}
