"""Make a golden case of one row."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final, Protocol

from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.golden.case import Case
from pytest_llmops.store.canonical import JsonValue, canonical
from pytest_llmops.store.source import check_value, described

KEYS = ("id", "inputs", "expected", "tags", "cluster", "metadata", "messages", "context")
INPUTS_FORM = '"inputs": {"text": "…"}, a mapping of the prompt\'s variables'

MAX_ID = 200
"""Most characters of a case id."""
NOT_IN_IDS = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that would break a line or a file."""


NO_METADATA: Final[Mapping[str, JsonValue]] = {}
"""One for all rows without: there may be many."""


class At(Protocol):
    """Say where a part of a row stands, as messages begin with it."""

    def __call__(self, *place: str | int) -> str:
        """Return file and line of the part under these keys; of the row itself without any."""
        ...


def read_case(row: JsonValue, at: At) -> Case:
    """Return the case that `row` describes; its id is empty where the row has none.

    Raises:
        MisuseError: the row has an unknown key, lacks `inputs`, or a value is of the wrong kind.
    """
    if not isinstance(row, Mapping):
        raise MisuseError(f"{at()}: a row is a mapping with {INPUTS_FORM}; this is {described(row)}.")
    for key in row:
        if key not in KEYS:
            raise MisuseError(
                f"{at(key)}: a row has no key {key[:80]!r}. {closest(key, KEYS)} "
                "What is yours alone goes under `metadata`."
            )
        _check(row[key], at, key)
    return Case(
        id=_name(row, "id", at) or "",
        inputs=_inputs(row, at),
        expected=row.get("expected"),
        messages=_messages(row, at),
        context=_context(row, at),
        tags=_tags(row, at),
        cluster=_name(row, "cluster", at),
        metadata=_metadata(row, at),
    )


def _check(value: JsonValue, at: At, key: str) -> None:
    try:
        check_value(value)
    except ValueError as error:
        raise MisuseError(f"{at(key)}: `{key}`: {error}.") from None


def _name(row: Mapping[str, JsonValue], key: str, at: At) -> str | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise MisuseError(f"{at(key)}: `{key}` must be text or a number, not {described(value)}.")
    name = value if isinstance(value, str) else canonical(value)
    if not name or len(name) > MAX_ID:
        raise MisuseError(f"{at(key)}: `{key}` has {len(name)} characters; 1 to {MAX_ID} are allowed.")
    for character in name:
        if unicodedata.category(character) in NOT_IN_IDS:
            raise MisuseError(f"{at(key)}: `{key}` holds the control character U+{ord(character):04X}.")
    return name


def _inputs(row: Mapping[str, JsonValue], at: At) -> Mapping[str, JsonValue]:
    if "inputs" not in row:
        if row.get("messages"):
            return NO_METADATA
        raise MisuseError(f"{at()}: the row has no `inputs`; write {INPUTS_FORM}.")
    value = row["inputs"]
    if isinstance(value, Mapping):
        return value
    raise MisuseError(f"{at('inputs')}: write {INPUTS_FORM}; this is {described(value)}.")


def _tags(row: Mapping[str, JsonValue], at: At) -> tuple[str, ...]:
    value = row.get("tags")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise MisuseError(f'{at("tags")}: write "tags": ["…"], a list of texts; this is {described(value)}.')
    for index, tag in enumerate(value):
        if not isinstance(tag, str):
            raise MisuseError(f"{at('tags', index)}: a tag must be text, not {described(tag)}.")
    return tuple(value)


def _messages(row: Mapping[str, JsonValue], at: At) -> tuple[Mapping[str, JsonValue], ...]:
    value = row.get("messages")
    if value is None:
        return ()
    form = '"messages": [{"role": "user", "content": "…"}], the conversation so far'
    if not isinstance(value, list):
        raise MisuseError(f"{at('messages')}: write {form}; this is {described(value)}.")
    messages = []
    for index, message in enumerate(value):
        role = message.get("role") if isinstance(message, Mapping) else None
        if not isinstance(message, Mapping) or not isinstance(role, str) or not role:
            raise MisuseError(f"{at('messages', index)}: write {form}; this is {described(message)}.")
        messages.append(message)
    return tuple(messages)


def _context(row: Mapping[str, JsonValue], at: At) -> tuple[str, ...]:
    value = row.get("context")
    if value is None:
        return ()
    passages = [value] if isinstance(value, str) else value
    if not isinstance(passages, list):
        raise MisuseError(
            f'{at("context")}: write "context": ["…"], the retrieved passages; this is {described(value)}.'
        )
    for index, passage in enumerate(passages):
        if not isinstance(passage, str):
            raise MisuseError(f"{at('context', index)}: a passage must be text, not {described(passage)}.")
    return tuple(map(str, passages))


def _metadata(row: Mapping[str, JsonValue], at: At) -> Mapping[str, JsonValue]:
    value = row.get("metadata")
    if value is None:
        return NO_METADATA
    if isinstance(value, Mapping):
        return value
    raise MisuseError(f"{at('metadata')}: `metadata` must be a mapping, not {described(value)}.")
