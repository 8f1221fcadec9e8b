"""Carry answers from one cache to another in a file of lines."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pytest_llmops.calls.answers_file import find_file, opened, sound_answer
from pytest_llmops.calls.cache import checksum, read_answer
from pytest_llmops.calls.database import Database
from pytest_llmops.errors import MisuseError
from pytest_llmops.store.atomic import write_bytes
from pytest_llmops.store.canonical import canonical, parse_json

SESSION = "imported"
"""Stands for the session that asked: no session of this project did."""

GZIP = b"\x1f\x8b"
"""How gzip's files begin."""

FIELDS = {"key", "response", "checksum", "created"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Be what was written."""

    answers: int
    damaged: int
    """Answers that were left out, for they are not what was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Be what was read."""

    new: int
    known: int
    """Answers that were there already, and stayed as they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    key: str
    data: bytes
    created: float


def export_answers(file: Path, target: Path) -> Exported:
    """Write the sound answers of `file` to `target`, one a line by key; equal answers make equal bytes.

    Args:
        file: the file of answers.
        target: a .jsonl or .jsonl.gz; what stands there is replaced.

    Raises:
        MisuseError: the target has another ending or cannot be written, or `file` cannot be read.
    """
    if not target.name.endswith((".jsonl", ".jsonl.gz")):
        raise MisuseError(f"{target} is neither a .jsonl nor a .jsonl.gz file: choose such a name.")
    lines: list[bytes] = []
    damaged = 0
    with opened(file) as connection:
        for key, data, proof, created in connection.execute(
            "SELECT key, response, checksum, cast(created AS REAL) FROM answers ORDER BY key"
        ):
            if sound_answer(key, data, proof) is None:
                damaged += 1
            else:
                lines.append(_line(key, data, created))
    content = b"".join(lines)
    # Without the time of day in it, the same answers make the same file.
    write_bytes(target, gzip.compress(content, mtime=0) if target.name.endswith(".gz") else content)
    return Exported(answers=len(lines), damaged=damaged)


def import_answers(path: Path, source: Path) -> Imported:
    """Add the answers of `source` that are new to the cache at `path`: all of them or, on a fault, none.

    Args:
        path: the file of the cache; made where there is none.
        source: what `export_answers` wrote.

    Raises:
        MisuseError: a line is damaged, or a file cannot be read or changed.
    """
    answers = list(_read(source))
    file = _made(path)
    new = 0
    with opened(file) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            for answer in answers:
                row = connection.execute(
                    "SELECT key, response, checksum FROM answers WHERE key = ?", (answer.key,)
                ).fetchone()
                if row is None or sound_answer(*row) is None:
                    new += 1
                    proof = checksum(answer.key, answer.data)
                    connection.execute(
                        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
                        (answer.key, answer.data, proof, SESSION, answer.created),
                    )
    return Imported(new=new, known=len(answers) - new)


def _line(key: str, data: bytes, created: float) -> bytes:
    values = {
        "key": key,
        "response": parse_json(data.decode("utf-8", "surrogatepass")),
        "checksum": checksum(key, data).decode(),
        "created": created,
    }
    return canonical(values).encode("utf-8", "surrogatepass") + b"\n"


def _read(source: Path) -> Iterator[_Answer]:
    try:
        content = source.read_bytes()
        if content.startswith(GZIP):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise MisuseError(f"{source} cannot be read: {reason}. Nothing was imported.") from None
    # Not splitlines, which also ends lines inside of texts.
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            try:
                yield _answer(line)
            except (ValueError, TypeError, KeyError, AttributeError, MisuseError) as error:
                raise MisuseError(
                    f"{source}, line {number} is not an answer as `llmops cache export` writes it: {error}. "
                    "Nothing was imported."
                ) from None


def _answer(line: bytes) -> _Answer:
    values = cast("dict[str, Any]", parse_json(line.decode("utf-8", "surrogatepass")))
    if not isinstance(values, dict) or set(values) != FIELDS:
        raise ValueError(f"it must hold {', '.join(sorted(FIELDS))} and nothing else")
    key, data = values["key"], canonical(values["response"]).encode("utf-8", "surrogatepass")
    if checksum(key, data).decode() != values["checksum"]:
        raise ValueError("its checksum does not fit")
    read_answer(data)
    return _Answer(key=key, data=data, created=float(values["created"]))


def _made(path: Path) -> Path:
    """Return the file for new answers, as a run makes it: beside one of another version."""
    database = Database(path)
    database.change("DELETE FROM answers WHERE key = ''")
    database.close()
    file = find_file(path)
    if file is None:
        raise MisuseError(f"{path} cannot be made. Mend the permissions of its folder and see to its disk.")
    return file
