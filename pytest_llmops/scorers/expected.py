"""Read what answers are compared with, and refuse what a metric cannot compare with."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import JsonValue, canonical

_SHOWN: Final = 120
"""Characters of a text that a message quotes."""


def shown(value: JsonValue) -> str:
    """Return a value as messages quote it, cut where it is long."""
    text = repr(value) if isinstance(value, str) else canonical(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def any_json(value: JsonValue, subject: str) -> JsonValue:  # noqa: ARG001 - the form of all readers
    """Return the value: whatever it is."""
    return value


def text(value: JsonValue, subject: str) -> str:
    """Return the value where it is text.

    Raises:
        MisuseError: it is not; `subject` starts the message.
    """
    if not isinstance(value, str):
        raise MisuseError(f"{subject} is {shown(value)}, which is not text: write text, or use json_equal.")
    return value


def part(value: JsonValue, subject: str) -> str:
    """Return the value where it is text that not every answer contains.

    Raises:
        MisuseError: it is not; `subject` starts the message.
    """
    if not text(value, subject):
        raise MisuseError(f"{subject} is an empty text, which every answer contains.")
    return str(value)


def parts(value: JsonValue, subject: str) -> tuple[str, ...]:
    """Return the texts of a list.

    Raises:
        MisuseError: the value is no list, is empty, or holds what is no text; `subject` starts the message.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise MisuseError(f"{subject} is {shown(value)}, which is not a list of texts: write ['one', 'two'].")
    return tuple(part(each, f"{subject}, at place {place},") for place, each in enumerate(value, start=1))


def references(value: JsonValue, subject: str) -> tuple[str, ...]:
    """Return the texts that an answer may be like: one, or those of a list.

    Raises:
        MisuseError: the value is neither; `subject` starts the message.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and value:
        return tuple(text(each, f"{subject}, at place {place},") for place, each in enumerate(value, start=1))
    raise MisuseError(f"{subject} is {shown(value)}, which is neither text nor a list of texts.")


def pattern(value: JsonValue, subject: str) -> re.Pattern[str]:
    """Return the compiled pattern.

    Raises:
        MisuseError: the value is no pattern; `subject` starts the message.
    """
    try:
        # The re module keeps compiled patterns, so this costs once a pattern.
        return re.compile(text(value, subject))
    except (re.error, OverflowError, RecursionError) as error:
        raise MisuseError(f"{subject} is {shown(value)}, which is not a pattern: {error}.") from None


def yes_or_no(value: JsonValue, subject: str) -> bool:
    """Return the value where it is true or false.

    Raises:
        MisuseError: it is neither; `subject` starts the message.
    """
    if not isinstance(value, bool):
        raise MisuseError(f"{subject} is {shown(value)}: give True or False.")
    return value


def span(value: JsonValue, subject: str) -> tuple[int, int]:
    """Return least and most of a count, given as the most or as both.

    Raises:
        MisuseError: the value is neither a whole number of at least 0 nor two of them in order.
    """
    ends = [0, value] if isinstance(value, int) else value
    match ends:
        case [int(least), int(most)] if not {type(least), type(most)} - {int} and 0 <= least <= most:
            return least, most
    raise MisuseError(
        f"{subject} is {shown(value)}: give the most that there may be, or [least, most], as whole numbers."
    )


def worded(value: JsonValue, subject: str) -> tuple[str, ...]:
    """Return the texts that an answer may be like, each with at least one word.

    Raises:
        MisuseError: there is none, or one holds no word; `subject` starts the message.
    """
    return _holding(value, subject, "word", str.isalnum)


def filled(value: JsonValue, subject: str) -> tuple[str, ...]:
    """Return the texts that an answer may be like, none of them empty.

    Raises:
        MisuseError: there is none, or one is empty or only spaces; `subject` starts the message.
    """
    return _holding(value, subject, "character", lambda character: not character.isspace())


def _holding(value: JsonValue, subject: str, what: str, counts: Callable[[str], bool]) -> tuple[str, ...]:
    found = references(value, subject)
    empty = next((each for each in found if not any(map(counts, each))), None)
    if empty is not None:
        raise MisuseError(f"{subject} holds no {what} in {shown(empty)}: every answer would score 0.")
    return found
