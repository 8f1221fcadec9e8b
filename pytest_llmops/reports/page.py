"""Lay text out in lines of a page that is so many columns wide."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from pytest_llmops.reports.escape import defuse, escape, printable, redact
from pytest_llmops.store.canonical import JsonValue

Style = Literal["plain", "bold", "red", "green", "yellow", "dim"]

MIN_WIDTH: Final = 40
"""Columns below which no layout is tried."""

NAME: Final = 200
"""Characters of a name or a reason that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Be one line of a report, without colour codes and newline."""

    text: str = ""
    style: Style = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Be what a report is written on, and by what rules."""

    width: int
    secrets: Collection[str] = ()

    def clean(self, text: str) -> list[str]:
        r"""Return the lines of a text that others wrote, fit to print; tabs show as \t."""
        return printable(text, self.secrets).replace("\t", "\\t").split("\n") if text else []

    def short(self, value: JsonValue, most: int = NAME) -> str:
        r"""Return the first characters of a value as one line, fit to print; newlines show as \n."""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        # Secrets go first: of one that is cut in two, half would stay.
        text = redact(text, self.secrets)
        shown = escape(text if len(text) <= most else f"{text[:most]}...")
        return shown.replace("\n", "\\n").replace("\t", "\\t")

    def names(self, values: Collection[str], most: int = 6) -> str:
        """Return the first values in a row, and how many more there are."""
        listed = ", ".join(self.short(value) for value in list(values)[:most])
        return f"{listed} and {len(values) - most} more" if len(values) > most else listed

    def line(self, text: str, style: Style = "plain") -> Line:
        """Return one line, cut where it is too long; no line is a command to a CI runner."""
        return Line(text=clip(defuse(text), self.width).rstrip(), style=style)

    def paragraph(self, text: str, style: Style = "plain", *, indent: int = 0) -> Iterator[Line]:
        """Give a text in as many lines as it takes, later ones two columns further in."""
        first, *rest = wrap(text, self.width - indent - 2)
        yield self.line(f"{'':{indent}}{first}", style)
        for piece in rest:
            yield self.line(f"{'':{indent + 2}}{piece}", style)


def columns(text: str) -> int:
    """Return how many columns a text takes; marks that share a column count, so it is never too few."""
    return sum(_columns(char) for char in text)


def clip(text: str, width: int) -> str:
    """Return `text`, or its start and "..." where it takes more than `width` columns."""
    return text if _fitting(text, width) == len(text) else f"{text[: _fitting(text, width - 3)]}..."


def wrap(text: str, width: int, most: int | None = None) -> list[str]:
    """Return `text` in lines of at most `width` columns, broken at spaces where there are some.

    Args:
        text: one line.
        width: columns, at least 4.
        most: lines after which the text is cut; None never cuts.
    """
    pieces: list[str] = []
    while (fits := _fitting(text, width)) < len(text) and len(pieces) + 1 != most:
        space = text.rfind(" ", 0, fits + 1)
        end = space if space > fits // 2 else fits
        pieces.append(text[:end])
        text = text[end:].removeprefix(" ")
    return [*pieces, clip(text, width)]


def _fitting(text: str, width: int) -> int:
    """Return how many characters of `text` fit into `width` columns."""
    used = 0
    for index, char in enumerate(text):
        used += _columns(char)
        if used > width:
            return index
    return len(text)


def _columns(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
