"""Read answers that people have labelled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.golden.case import Case
from pytest_llmops.golden.files import parsed_row
from pytest_llmops.golden.rows import KEYS, At, read_case
from pytest_llmops.store.canonical import JsonValue, digest
from pytest_llmops.store.source import at, check_value, described, source_lines

LabelKind = Literal["pass_fail", "score", "pairwise"]

EXAMPLE: Final = '{"inputs": {"text": "…"}, "output": "…", "label": "pass"}'

OWN: Final = ("output", "other", "label")
"""Keys of a row that a golden row does not have."""

PASS_FAIL: Final[Mapping[str, float]] = {"pass": 1.0, "fail": 0.0}
PAIRWISE: Final[Mapping[str, float]] = {"output": 1.0, "tie": 0.0, "other": -1.0}
FORMS: Final[Mapping[LabelKind, str]] = {
    "pass_fail": '"pass" or "fail"',
    "score": "a number",
    "pairwise": '"output", "other" or "tie"',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Be one answer and what people say of it."""

    case: Case
    """What was asked; its id is the row's, or the line that it stands in."""
    output: str
    label: float
    """1 for a pass and 0 for a fail; a mark; or 1 where `output` is the better one, -1 where `other` is."""
    other: str | None = None
    """The answer that it is compared with; None where it stands alone."""

    @property
    def key(self) -> str:
        """Return the digest by which this answer is found again in a run."""
        return answer_key(self.case.digest, self.output, self.other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Be the labelled answers of one file, all labelled in one way."""

    name: str
    kind: LabelKind
    rows: tuple[Labelled, ...]

    def __iter__(self) -> Iterator[Labelled]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def digest(self) -> str:
        """Return the digest of all answers and labels; their order and their ids do not matter."""
        return digest({row.key: row.label for row in self.rows})


class _Read(NamedTuple):
    labelled: Labelled
    kind: LabelKind
    line: int


def answer_key(row_digest: str, output: str, other: str | None = None) -> str:
    """Return the digest of an answer to a golden row, and of the one it is compared with."""
    content: dict[str, JsonValue] = {"row": row_digest, "output": output}
    return digest(content if other is None else {**content, "other": other})


def read_labels(path: Path) -> Labels:
    """Read the labelled answers in `path`, a `.jsonl` file.

    A row is a golden row with `output` and `label`: true or `pass`, false or `fail`, or a number on the
    judge's scale. With `other`, a second answer, the label says which is better: `output`, `other` or `tie`.

    Raises:
        MisuseError: the file cannot be read, or a row is wrong; it names the line and what was expected.
    """
    if path.suffix.lower() != ".jsonl":
        raise MisuseError(f"{path} holds no labels: its name must end with .jsonl, a row a line.")
    found: dict[str, _Read] = {}
    for number, line in enumerate(source_lines(path), start=1):
        if not line.strip():
            continue
        place = at(path, number)
        read = _read(parsed_row(line, place, EXAMPLE), place, number)
        _check_alike(read, found, place)
        found[read.labelled.key] = read
    if not found:
        raise MisuseError(f"{path} holds no rows. Write one, such as {EXAMPLE}")
    first = next(iter(found.values()))
    return Labels(name=path.name, kind=first.kind, rows=tuple(read.labelled for read in found.values()))


def _check_alike(read: _Read, found: Mapping[str, _Read], place: str) -> None:
    twin = found.get(read.labelled.key)
    if twin is not None:
        raise MisuseError(
            f"{place}: this is the same answer to the same row as in line {twin.line}; give it one label."
        )
    first = next(iter(found.values()), read)
    if read.kind != first.kind:
        raise MisuseError(
            f"{place}: the label is {FORMS[read.kind]}, and that in line {first.line} {FORMS[first.kind]}; "
            "all of a file must be of one kind."
        )


def _read(row: JsonValue, place: str, line: int) -> _Read:
    if not isinstance(row, Mapping):
        raise MisuseError(f"{place}: a row is a mapping such as {EXAMPLE}; this is {described(row)}.")
    for key in row:
        if key not in (*OWN, *KEYS):
            raise MisuseError(
                f"{place}: a labelled row has no key {key[:80]!r}. {closest(key, (*OWN, *KEYS))}"
            )
    here: At = partial(_same, place)
    case = read_case({key: row[key] for key in row if key not in OWN}, here)
    case = case if case.id else replace(case, id=f"line {line}")
    output = _text(row, "output", place)
    other = _text(row, "other", place) if row.get("other") is not None else None
    label, kind = _label(row, place, paired=other is not None)
    return _Read(Labelled(case=case, output=output, other=other, label=label), kind, line)


def _same(place: str, *_parts: str | int) -> str:
    return place


def _text(row: Mapping[str, JsonValue], key: str, place: str) -> str:
    value = row.get(key)
    if isinstance(value, str):
        try:
            check_value(value)
        except ValueError as error:
            raise MisuseError(f"{place}: `{key}`: {error}.") from None
        return value
    found = described(value) if key in row else "missing"
    raise MisuseError(f'{place}: write "{key}": "…", the text of the answer; it is {found}.')


def _label(row: Mapping[str, JsonValue], place: str, *, paired: bool) -> tuple[float, LabelKind]:
    value = row.get("label")
    known = PAIRWISE if paired else PASS_FAIL
    if isinstance(value, str) and value in known:
        return known[value], "pairwise" if paired else "pass_fail"
    if isinstance(value, bool) and not paired:
        return float(value), "pass_fail"
    if isinstance(value, int | float) and not isinstance(value, bool) and not paired:
        return float(value), "score"
    found = described(value) if "label" in row else "missing"
    form = FORMS["pairwise"] if paired else "true or false, pass or fail, or a number on the judge's scale"
    raise MisuseError(f'{place}: write "label": {form}; it is {found}.')
