"""Make text that others wrote fit to print on a terminal: secrets out, controls visible, commands defused."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterator
from functools import cache
from typing import Final

_SHORTEST_SECRET: Final = 4
"""Characters. To replace shorter values would shred the report and hide nothing."""

_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (bidi, zero width, tags), lone surrogates, private, unassigned, line ends."""

_HIDDEN_LETTERS: Final = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)
"""Ranges of letters and marks that show nothing: joiners, fillers, variation selectors."""

# Runners look behind leading spaces for `::`, and anywhere in a line for the others.
_COMMANDS: Final = re.compile(r"^([^\S\n]*):(?=:)|#(?=#(?:vso|teamcity)?\[)", re.MULTILINE | re.IGNORECASE)


def printable(text: str, secrets: Collection[str] = ()) -> str:
    r"""Return `text` without secrets and with nothing in it that a terminal or a CI log would obey.

    Newlines and tabs stay; any other control or invisible character shows as its escape, such as \x1b.

    Args:
        text: any text.
        secrets: values that must not be shown; those under four characters are not secrets.
    """
    return escape(redact(text, secrets))


def redact(text: str, secrets: Collection[str]) -> str:
    """Return `text` with *** in place of each secret, as it is or as JSON and Python write it."""
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def escape(text: str) -> str:
    """Return `text` with visible escapes for what does not show, and with CI log commands defused."""
    return defuse("".join(map(_visible, text)))


def defuse(text: str) -> str:
    """Return `text` so that none of its lines is a command to a CI runner (`::`, `##vso[` and the like)."""
    return _COMMANDS.sub(_spelled, text)


def _forms(secret: str) -> Iterator[str]:
    if len(secret) >= _SHORTEST_SECRET:
        yield secret
        yield json.dumps(secret)[1:-1]
        yield json.dumps(secret, ensure_ascii=False)[1:-1]
        yield repr(secret)[1:-1]


@cache
def _visible(char: str) -> str:
    code = ord(char)
    hidden = unicodedata.category(char) in _HIDDEN_CATEGORIES or any(
        first <= code <= last for first, last in _HIDDEN_LETTERS
    )
    if not hidden or char in "\n\t":
        return char
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _spelled(match: re.Match[str]) -> str:
    return r"\x23" if match[0] == "#" else rf"{match[1]}\x3a"
