"""Read an answer as the one JSON value that it must be, and say where it is not."""

from __future__ import annotations

import json

from pytest_llmops.store.canonical import JsonValue, parse_json

MAX_DEPTH = 50
"""Levels of nesting that are read. A fixed limit, since Python's own depends on who calls."""


_OPENINGS = ("```", "```json")
"""First lines of a code block that is read where fences are allowed."""


def read_json(text: str, *, fenced: bool = False) -> JsonValue:
    """Return the JSON value that is the whole of `text`.

    Args:
        text: what is read.
        fenced: where the whole text is one fenced code block, read its content.

    Raises:
        ValueError: the text is not one strict JSON value, or is nested deeper than `MAX_DEPTH`; the message
            names line and column where there is one place to name.
    """
    try:
        value = parse_json(_content(text) if fenced else text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"not JSON at {place}: {error.msg}{'' if fenced else _hint(text)}") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    return shallow(value)


def shallow(value: JsonValue) -> JsonValue:
    """Return `value` where it is nested at most `MAX_DEPTH` levels deep.

    Raises:
        ValueError: it is nested deeper.
    """
    if _depth(value) > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    return value


def _content(text: str) -> str:
    lines = text.strip().split("\n")
    if len(lines) < 2 or lines[0].strip() not in _OPENINGS or lines[-1].strip() != "```":
        return text
    # Its own line is left empty, so that a message names the line of the answer.
    return "\n".join(["", *lines[1:-1]])


def _hint(text: str) -> str:
    fenced = text.lstrip().startswith("```")
    return "; the answer stands in a code fence, ask the model for bare JSON" if fenced else ""


def _depth(value: JsonValue) -> int:
    level: list[JsonValue] = [value]
    depth = 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [child for parent in level for child in _children(parent)]
    return depth


def _children(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
