"""Read the text files that users write, and say where in them a mistake stands."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import JsonValue

MAX_DEPTH = 100
"""Deepest nesting that is read: far beyond what people write, far below what Python's stack bears."""

BOM = b"\xef\xbb\xbf"
HALF_PAIR = re.compile("[\ud800-\udfff]")


def at(path: Path, line: int) -> str:
    """Return the place of a mistake, as messages begin with it."""
    return f"{path}, line {line}"


def source_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file without their ends, LF or CRLF; a byte order mark is left out.

    Raises:
        MisuseError: the file cannot be read, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                data = raw.removeprefix(BOM) if number == 1 else raw
                yield _decoded(data, path, number).removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise MisuseError(f"{path} cannot be read: {error.strerror or error}.") from None


def source_text(path: Path) -> str:
    """Return the text of a UTF-8 file: every line ends with LF, the last one too.

    Raises:
        MisuseError: the file cannot be read, is not UTF-8, or holds nothing.
    """
    text = "".join(f"{line}\n" for line in source_lines(path))
    if not text.strip():
        raise MisuseError(f"{path} is empty.")
    return text


def check_value(value: JsonValue, depth: int = 1) -> None:
    """Refuse what JSON's syntax allows and no model, digest or file can carry.

    Raises:
        ValueError: `value` holds an infinity, half a surrogate pair, or is nested too deeply.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a number that JSON can hold; write null or text")
    if isinstance(value, str) and HALF_PAIR.search(value):
        raise ValueError("a text holds half a surrogate pair, which is no character")
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_value(key, depth)
            check_value(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_value(item, depth + 1)


def described(value: JsonValue) -> str:
    """Return what `value` is, in the words of a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value!r:.40}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def _decoded(data: bytes, path: Path, line: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MisuseError(
            f"{at(path, line)}: byte {error.start + 1} of the line (0x{data[error.start]:02x}) is not UTF-8. "
            "Save the file as UTF-8."
        ) from None
