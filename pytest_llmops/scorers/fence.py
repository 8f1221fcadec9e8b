"""Fence the data that a judge reads, so that no text in it can pass for the judge's instructions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from pytest_llmops.calls.exchange import Response
from pytest_llmops.golden.case import Case
from pytest_llmops.store.canonical import JsonValue, digest

_MARKER_DIGITS = 32
"""Hex digits of a marker: 128 bits, so no text can be searched that holds its own."""


def marker_of(content: Mapping[str, JsonValue]) -> str:
    """Return the marker of one judge call: made of all that it says, so equal calls share it.

    No text can hold the marker, since putting it in would make another one.
    """
    return digest(content)[:_MARKER_DIGITS]


def fenced(blocks: Mapping[str, str], marker: str) -> str:
    """Return the blocks of data, each between lines that carry the marker."""
    return "\n".join(f"<{name} {marker}>\n{text}\n</{name} {marker}>" for name, text in blocks.items())


def as_text(value: JsonValue) -> str:
    """Return a value as a judge reads it best: text bare, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def asked_of(case: Case) -> dict[str, str]:
    """Return as blocks what the system was asked: the inputs, and the conversation before them."""
    blocks = {"conversation": _conversation(case.messages)} if case.messages else {}
    if not case.inputs:
        return blocks
    # A single input stands bare, as the prompt's own reader sees it; several as JSON.
    inputs = next(iter(case.inputs.values())) if len(case.inputs) == 1 else dict(case.inputs)
    return {**blocks, "input": as_text(inputs)}


def fields_of(case: Case) -> dict[str, JsonValue]:
    """Return what a judge's own prompt may name one by one: inputs, `id`, `tags` and `messages`."""
    return {"id": case.id, "tags": list(case.tags), "messages": list(case.messages), **case.inputs}


def known_of(case: Case, response: Response) -> dict[str, str]:
    """Return as blocks what is known of a right answer: the passages that it rests on, what is expected."""
    passages = passages_of(case, response)
    blocks = {"context": "\n\n".join(passages)} if passages else {}
    return blocks if case.expected is None else {**blocks, "expected": as_text(case.expected)}


def passages_of(case: Case, response: Response) -> tuple[str, ...]:
    """Return the passages that an answer rests on: those that a target retrieved, else those of the case."""
    return response.context or case.context


def _conversation(messages: Iterable[Mapping[str, JsonValue]]) -> str:
    return "\n\n".join(f"{message['role']}: {as_text(message.get('content'))}" for message in messages)
