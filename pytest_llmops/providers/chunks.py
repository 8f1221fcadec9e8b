"""Put a chat completion, or a completion, together from the chunks of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmops.providers.logprobs import Told, read_logprobs

DONE = "[DONE]"
"""The last event of a stream."""

GROWING = frozenset({"arguments", "input"})
"""Fields of a tool call that come in pieces; the others come whole."""


class Assembly:
    """Gather the chunks of one answer: its first choice, model and usage."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self._model: str | None = None
        self._usage: object = None
        self._logprobs: list[Told] | None = []
        """None once a chunk told them in a way that cannot be read."""
        self._well_formed: bool | None = None
        """None as long as no choice has come."""

    @property
    def finished(self) -> bool:
        """Return whether the model said that the answer is whole."""
        return self._finish is not None

    @property
    def begun(self) -> bool:
        """Return whether some of an answer has come."""
        return bool(self._well_formed)

    def add(self, chunk: Mapping[str, Any]) -> bool:
        """Add `chunk` and return whether it brought some of the answer."""
        if isinstance(chunk.get("model"), str):
            self._model = chunk["model"] or self._model
        self._usage = chunk.get("usage") or self._usage
        brought = False
        for choice in chunk.get("choices") or ():
            if not isinstance(choice, Mapping):
                self._well_formed = False
            elif not choice.get("index"):
                brought = self._add_choice(choice) or brought
        return brought

    def reply(self) -> dict[str, Any]:
        """Return what a server that does not stream would have sent."""
        message = {
            "content": "".join(self._text),
            "refusal": "".join(self._refusal) or None,
            "tool_calls": [self._calls[index] for index in sorted(self._calls)],
        }
        choice = {"message": message, "finish_reason": self._finish, "logprobs": {"content": self._logprobs}}
        choices = [choice] if self._well_formed else []
        return {"model": self._model, "choices": choices, "usage": self._usage}

    def _add_choice(self, choice: Mapping[str, Any]) -> bool:
        # Some servers send the last chunk twice: what follows the end is no part of the answer.
        if self.finished:
            return False
        finish, delta = choice.get("finish_reason"), choice.get("delta") or {}
        if "delta" not in choice and "text" in choice:
            # The answer to a bare prompt.
            delta = {"content": choice["text"]}
        self._add_logprobs(choice.get("logprobs"))
        brought = self._add_delta(delta) if _well_formed(delta, finish) else None
        self._well_formed = brought is not None and self._well_formed is not False
        self._finish = finish or None
        return bool(brought)

    def _add_delta(self, delta: Mapping[str, Any]) -> bool:
        text, refusal = delta.get("content") or "", delta.get("refusal") or ""
        self._text.append(text)
        self._refusal.append(refusal)
        calls = delta.get("tool_calls") or []
        for call in calls:
            _merge(self._calls.setdefault(self._index(call), {}), call)
        return bool(text or refusal or calls)

    def _add_logprobs(self, told: object) -> None:
        read = read_logprobs(told)
        self._logprobs = None if self._logprobs is None or read is None else [*self._logprobs, *read]

    def _index(self, call: Mapping[str, Any]) -> int:
        index = call.get("index")
        if isinstance(index, int):
            return index
        # Servers that leave the index out send each call whole, or go on with the last one.
        return len(self._calls) if call.get("id") else max(self._calls, default=0)


def _well_formed(delta: object, finish: object) -> bool:
    if not isinstance(delta, Mapping) or not isinstance(finish, str | None):
        return False
    calls = delta.get("tool_calls") or []
    return (
        all(isinstance(delta.get(name), str | None) for name in ("content", "refusal"))
        and isinstance(calls, list)
        and all(isinstance(call, Mapping) for call in calls)
    )


def _merge(whole: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for name, value in piece.items():
        known = whole.get(name)
        if isinstance(value, Mapping):
            _merge(whole.setdefault(name, {}), value) if isinstance(known, dict | None) else None
        elif name in GROWING and isinstance(known, str) and isinstance(value, str):
            whole[name] = known + value
        elif known is None and name != "index":
            whole[name] = value
