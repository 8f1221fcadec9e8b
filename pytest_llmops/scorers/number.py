"""Find the number that an answer gives, and tell whether it is the expected one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.expected import shown
from pytest_llmops.store.canonical import JsonValue

_LONGEST: Final = 100
"""Characters that a number may have."""

_LARGEST_EXPONENT: Final = 400

_LISTED: Final = 4
"""Numbers that a reason lists."""

_SIGNS: Final = str.maketrans("\u2212\uff0d\uff0b\uff0e\uff0c\u066b\u066c", "--+.,.,")
"""Signs, points and commas of other scripts."""

_NUMBER: Final = re.compile(
    r"""
    (?<![^\W_])                     # not inside a word: H2O, B12
    (?<![^\W\d_]-)(?<!\d[.,])       # nor GPT-4, nor the rest of 1.2.3
    (?P<sign>(?<!\d[ ])[-+])?[$\u20ac\u00a3\u00a5]?
    (?>
        (?P<commas>[1-9]\d{0,2}(?:,\d{3})+(?!\d)(?:\.\d+)?)
        | (?P<points>[1-9]\d{0,2}(?:\.\d{3})+(?!\d)(?:,\d+|(?<=\.\d{3}\.\d{3})))
        | (?P<spaces>[1-9]\d{0,2}(?:[ \u00a0\u2009\u202f'\u2019_]\d{3})+(?!\d)(?:[.,]\d+)?)
        | (?P<plain>\d+(?:[.,]\d+)?|(?<![.\w])\.\d+)
    )
    (?P<power>[eE][-+]?\d+)?
    (?![.,]?\d)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Be how far a number may be off: `by` in the number's own unit, or as a share of the expected one."""

    by: Fraction
    relative: bool

    def allows(self, found: Fraction, expected: Fraction) -> bool:
        """Tell whether `found` is close enough."""
        return abs(found - expected) <= (self.by * abs(expected) if self.relative else self.by)


def read_tolerance(value: JsonValue) -> Tolerance:
    """Return the tolerance: a number is absolute, a text such as `1%` is relative to the expected number.

    Raises:
        MisuseError: it is neither, or below 0.
    """
    if value is None:
        return Tolerance(by=Fraction(0), relative=False)
    relative = isinstance(value, str) and value.strip().endswith("%")
    number = value.strip()[:-1].strip() if relative and isinstance(value, str) else value
    try:
        if isinstance(number, bool) or (isinstance(number, str) and not relative):
            raise InvalidOperation
        by = Fraction(Decimal(str(number)))
    except (InvalidOperation, ValueError, OverflowError):
        by = Fraction(-1)
    if by < 0:
        raise MisuseError(
            f"The tolerance {value!r} is neither a number of at least 0, which is absolute, nor a percentage "
            "of the expected number such as '1%'."
        )
    return Tolerance(by=by / 100 if relative else by, relative=relative)


def wanted_number(value: JsonValue, subject: str) -> tuple[Fraction, str]:
    """Return the expected number, and how it was written.

    Raises:
        MisuseError: the value is no number, nor text that holds exactly one; `subject` starts the message.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return Fraction(Decimal(str(value))), shown(value)
    found = numbers_in(value) if isinstance(value, str) else {}
    if len(found) != 1:
        raise MisuseError(f"{subject} is {shown(value)}, which is not one number.")
    return next(iter(found.items()))


def number_miss(answer: str, expected: tuple[Fraction, str], tolerance: Tolerance) -> str:
    """Return why the answer does not give the expected number; "" where it does.

    The answer's number is the one number in it, however often it stands there; units and currencies are not
    looked at, and 50 % is 50. In 1,234 the comma parts thousands, in 1,5 it is the decimal point.
    """
    found = numbers_in(answer)
    if not found:
        return "the answer holds no number"
    if len(found) > 1:
        listed = list(found.values())[:_LISTED]
        more = ", ..." if len(found) > _LISTED else ""
        return f"the answer holds several numbers: {', '.join(listed)}{more}"
    number, written = next(iter(found.items()))
    return (
        ""
        if tolerance.allows(number, expected[0])
        else f"the answer's number is {written}, not {expected[1]}"
    )


def numbers_in(text: str) -> dict[Fraction, str]:
    """Return the different numbers of a text, each as it was first written.

    Those of more than 100 characters, or beyond 1e400, are no numbers to compare and are left out.
    """
    found: dict[Fraction, str] = {}
    for match in _NUMBER.finditer(text.translate(_SIGNS)):
        written = match.group()
        power = match["power"] or "e0"
        if len(written) <= _LONGEST and abs(int(power[1:])) <= _LARGEST_EXPONENT:
            number = Fraction(Decimal((match["sign"] or "") + _plain_digits(match) + power))
            found.setdefault(number, written)
    return found


def _plain_digits(match: re.Match[str]) -> str:
    if match["commas"]:
        return match["commas"].replace(",", "")
    if match["points"]:
        return match["points"].replace(".", "").replace(",", ".")
    if match["spaces"]:
        return re.sub(r"[^\d.]", "", match["spaces"].replace(",", "."))
    return str(match["plain"]).replace(",", ".")
