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
    """`pass` and `fail`, or the whole numbers from lowest to highest; none where any number will do."""
    low: float = 0.0
    high: float = 1.0

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the judge's answer; the reason comes first, to be thought first."""
        return {
            "type": "object",
            "properties": {"reason": {"type": "string"}, self.key: self._form},
            "required": ["reason", self.key],
            "additionalProperties": False,
        }

    @property
    def instruction(self) -> str:
        """Return the sentence that tells the judge how to answer."""
        if self.key == "verdict":
            return 'as "verdict" write "pass" if the rubric is met, else "fail"'
        kind = "a whole number" if self.marks else "a number, with a fraction where it is needed,"
        return (
            f'as "score" write {kind} from {self.low:g} (the rubric is not met at all) to {self.high:g} '
            "(fully met)"
        )

    def read(self, reply: str) -> Judgement:
        """Return what the whole reply says.

        Raises:
            ValueError: the reply is not exactly one JSON object of the schema.
        """
        reason, mark = read_reply(reply, self.key)
        if not self.marks:
            # Written so that NaN fails too.
            number = isinstance(mark, int | float) and not isinstance(mark, bool)
            if number and self.low <= mark <= self.high:  # type: ignore[operator]
                return Judgement(value=float(mark), reason=reason)  # type: ignore[arg-type]
            raise ValueError(f'its "{self.key}" is no number from {self.low:g} to {self.high:g}')
        # Type and value: true equals 1, and 4.0 equals 4.
        if type(mark) is not type(self.marks[0]) or mark not in self.marks:
            raise ValueError(f'its "{self.key}" is none of {", ".join(map(str, self.marks))}')
        return Judgement(value=self.value(mark), reason=reason)

    def value(self, mark: object) -> float:
        """Return the score that a mark stands for."""
        return float(mark == "pass") if isinstance(mark, str) else float(mark)  # type: ignore[arg-type]

    @property
    def _form(self) -> dict[str, Any]:
        if not self.marks:
            return {"type": "number", "minimum": self.low, "maximum": self.high}
        return {"type": "string" if self.key == "verdict" else "integer", "enum": list(self.marks)}


PASS_FAIL: Final = Scale(key="verdict", marks=("pass", "fail"))


def read_reply(reply: str, key: str) -> tuple[str, object]:
    """Return the reason and what stands under `key` in a reply that is one JSON object of both.

    Raises:
        ValueError: it is anything else.
    """
    found = parse_json(reply)
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    if set(found) != {"reason", key}:
        raise ValueError(f'its keys are not "reason" and "{key}"')
    reason = found["reason"]
    if not isinstance(reason, str):
        raise ValueError('its "reason" is not text')
    return reason, found[key]


def read_scale(scale: str | Sequence[float]) -> Scale:
    """Return the scale that `pass_fail`, `1-5`, `(1, 5)` or `(0, 1)` names.

    Two whole numbers are the lowest and the highest mark. From 0 to 1, and between fractions such as
    `(0.0, 10.0)`, every number will do.

    Raises:
        MisuseError: it names none.
    """
    if scale == "pass_fail":
        return PASS_FAIL
    match _ends(scale):
        case [0, 1]:
            return Scale(key="score", marks=())
        case [int(low), int(high)] if 0 < high - low < _MOST_STEPS:
            return Scale(key="score", marks=tuple(range(low, high + 1)), low=low, high=high)
        case [float(low), float(high)] if -1e9 < low < high < 1e9:
            return Scale(key="score", marks=(), low=low, high=high)
    raise MisuseError(
        f"There is no judge's scale {scale!r}. Known: 'pass_fail', and whole numbers from lowest to highest "
        "such as '1-5' or (0, 10), at most 101 of them; (0, 1) takes fractions."
    )


def _ends(scale: object) -> object:
    found = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", scale) if isinstance(scale, str) else None
    return [int(end) for end in found.groups()] if found else scale
