"""Fence the data that a judge reads, so that no text in it can pass for the judge's instructions."""

from __future__ import annotations

import json
from collections.abc import Mapping

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
