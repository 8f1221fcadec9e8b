"""Say how a judge answers, and read its answer: strictly, or not at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import parse_json

_MOST_STEPS: Final = 101
"""Marks that a scale may have: 0 to 100 is finer than any judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Be what a judge said of one answer."""

    value: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Be the answers that a judge may give: `marks` by their score."""

    key: str
    """The key of the verdict in the judge's JSON object: `verdict`, or `score`."""
    marks: tuple[str, ...] | tuple[int, ...]
    """`pass` and `fail`, or the whole numbers from lowest to highest."""

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the judge's answer; the reason comes first, to be thought first."""
        kind = "string" if self.key == "verdict" else "integer"
        return {
            "type": "object",
            "properties": {
                "reason": {"type": "string"},
                self.key: {"type": kind, "enum": list(self.marks)},
            },
            "required": ["reason", self.key],
            "additionalProperties": False,
        }

    @property
    def instruction(self) -> str:
        """Return the sentence that tells the judge how to answer."""
        if self.key == "verdict":
            return 'as "verdict" write "pass" if the rubric is met, else "fail"'
        low, high = self.marks[0], self.marks[-1]
        return (
            f'as "score" write a whole number from {low} (the rubric is not met at all) to {high} (fully met)'
        )

    def read(self, reply: str) -> Judgement:
        """Return what the whole reply says.

        Raises:
            ValueError: the reply is not exactly one JSON object of the schema.
        """
        found = parse_json(reply)
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")
        if set(found) != {"reason", self.key}:
            raise ValueError(f'its keys are not "reason" and "{self.key}"')
        reason, mark = found["reason"], found[self.key]
        if not isinstance(reason, str):
            raise ValueError('its "reason" is not text')
        # Type and value: true equals 1, and 4.0 equals 4.
        if type(mark) is not type(self.marks[0]) or mark not in self.marks:
            raise ValueError(f'its "{self.key}" is none of {", ".join(map(str, self.marks))}')
        value = float(mark == "pass") if isinstance(mark, str) else float(mark)
        return Judgement(value=value, reason=reason)


PASS_FAIL: Final = Scale(key="verdict", marks=("pass", "fail"))


def read_scale(scale: str | Sequence[int]) -> Scale:
    """Return the scale that `pass_fail`, `1-5` or `(1, 5)` names.

    Raises:
        MisuseError: it names none.
    """
    if scale == "pass_fail":
        return PASS_FAIL
    match _ends(scale):
        case [int(low), int(high)] if 0 < high - low < _MOST_STEPS:
            return Scale(key="score", marks=tuple(range(low, high + 1)))
    raise MisuseError(
        f"There is no judge's scale {scale!r}. Known: 'pass_fail', and whole numbers from lowest to highest "
        "such as '1-5' or (0, 10), at most 101 of them."
    )


def _ends(scale: object) -> object:
    found = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", scale) if isinstance(scale, str) else None
    return [int(end) for end in found.groups()] if found else scale
