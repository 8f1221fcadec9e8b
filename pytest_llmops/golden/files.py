"""Read a golden set from a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from json import JSONDecodeError
from pathlib import Path
from typing import NamedTuple

from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case, GoldenSet
from pytest_llmops.golden.rows import read_case
from pytest_llmops.store.canonical import SHORT, JsonValue, parse_json
from pytest_llmops.store.source import at, described, source_lines
from pytest_llmops.store.yaml_file import Place, read_yaml

EXAMPLE = '{"id": "ticket-1", "inputs": {"text": "…"}, "expected": "…"}'


class _Row(NamedTuple):
    case: Case
    line: int


def read_golden(path: Path) -> GoldenSet:
    """Read the golden set in `path`: `.jsonl`, a row a line, or `.yml`/`.yaml`, a list of rows.

    Rows keep their order. A row without id gets one from its content, and a note says how many did.

    Raises:
        MisuseError: the file cannot be read, or a row is wrong; it names the line and what was expected.
    """
    readers = {".jsonl": _jsonl, ".yml": _yaml, ".yaml": _yaml}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise MisuseError(f"{path} is not a golden set: its name must end with {', '.join(readers)}.")
    return _gathered(path, reader(path))


def _jsonl(path: Path) -> Iterator[_Row]:
    for number, line in enumerate(source_lines(path), start=1):
        if line.strip():
            place = at(path, number)
            yield _Row(read_case(parsed_row(line, place, EXAMPLE), partial(_same, place)), number)


def _same(place: str, *_parts: str | int) -> str:
    return place


def parsed_row(line: str, place: str, example: str) -> JsonValue:
    """Return the value of one line of JSON.

    Args:
        line: the line.
        place: where it stands, as messages begin with it.
        example: a right one, to be shown.

    Raises:
        MisuseError: it is not JSON.
    """
    try:
        return parse_json(line)
    except ValueError as error:
        # Its own message would speak of "line 1": of this line.
        found = f"{error.msg} at column {error.colno}" if isinstance(error, JSONDecodeError) else str(error)
        raise MisuseError(
            f"{place}: this is not JSON: {found}. Each row stands on one line, such as {example}"
        ) from None


def _yaml(path: Path) -> Iterator[_Row]:
    file = read_yaml(path)
    prefix: tuple[str, ...] = ()
    rows = file.value
    if isinstance(rows, Mapping):
        for key in rows.keys() - {"cases"}:
            raise MisuseError(f"{file.at(key)}: {key[:80]!r} is not known here; write `cases:` and a list.")
        prefix = ("cases",)
        rows = rows.get("cases")
    if not isinstance(rows, list):
        raise MisuseError(f"{file.at(*prefix)}: write a list of rows; this is {described(rows)}.")
    for index, row in enumerate(rows):
        place: Place = (*prefix, index)
        yield _Row(read_case(row, partial(file.at, *place)), file.line(*place))


def _gathered(path: Path, rows: Iterator[_Row]) -> GoldenSet:
    cases: dict[str, Case] = {}
    lines: dict[str, int] = {}
    derived = 0
    for row in rows:
        case = row.case if row.case.id else replace(row.case, id=row.case.digest[:SHORT])
        if case.id in cases:
            raise MisuseError(_twins(path, case, lines[case.id], row))
        derived += case is not row.case
        cases[case.id], lines[case.id] = case, row.line
    if not cases:
        raise MisuseError(f"{path} holds no rows. Write one, such as {EXAMPLE}")
    notes = (_note(path, derived),) if derived else ()
    return GoldenSet(name=path.name, cases=tuple(cases.values()), path=path, notes=notes)


def _twins(path: Path, case: Case, first: int, second: _Row) -> str:
    place = f"{at(path, second.line)}: "
    if second.case.id:
        return f"{place}the id {case.id!r} stands in line {first} already; ids must differ."
    return (
        f"{place}the row has no id and equals the row in line {first}: same inputs, expected and cluster. "
        "Drop one of them, or give both an id."
    )


def _note(path: Path, count: int) -> str:
    rows = "1 row has" if count == 1 else f"{count} rows have"
    return (
        f"{path.name}: {rows} no id and got one made of the content, so an edited row counts as a new one. "
        "Write ids to keep edited rows apart from new ones."
    )
