"""Hold what a user wants of a scorer of their own."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from pytest_llmops.errors import MisuseError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Be what a user wants of a scorer; None where nothing was said."""

    name: str | None = None
    kind: Literal["pass_fail", "score"] | None = None
    range: tuple[float, float] = (0.0, 1.0)
    threshold: float | None = None
    higher_is_better: bool = True
    required: bool = False
    version: str | None = None
    free: bool | None = None

    def check(self, name: str) -> None:
        """Refuse what makes no metric.

        Raises:
            MisuseError: name, kind, range, threshold or version is wrong.
        """
        low, high = self.range if _is_pair(self.range) else (1.0, 0.0)
        wrong = ""
        if not isinstance(name, str) or not name.strip() or name == "<lambda>":
            wrong = f"name={name!r}: give a name"
        elif self.kind not in (None, "pass_fail", "score"):
            wrong = f"kind={self.kind!r}: give 'pass_fail' or 'score'"
        elif not low < high:
            wrong = f"range={self.range!r}: give lowest and highest score, two numbers"
        elif self.version is not None and not (isinstance(self.version, str) and self.version):
            wrong = f"version={self.version!r}: give text"
        elif self.threshold is not None and not self._parts(low, high):
            rule = f"above {low:g}, at most {high:g}"
            if not self.higher_is_better:
                rule = f"at least {low:g}, below {high:g}"
            wrong = f"threshold={self.threshold!r}: give a number {rule}"
        if wrong:
            raise MisuseError(f"The scorer {name!r} cannot have {wrong}.")

    def _parts(self, low: float, high: float) -> bool:
        """Tell whether some scores pass the threshold, and some do not."""
        limit = self.threshold
        if not isinstance(limit, int | float) or isinstance(limit, bool):
            return False
        return low < limit <= high if self.higher_is_better else low <= limit < high


def _is_pair(value: object) -> bool:
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    return all(isinstance(end, int | float) and isfinite(end) for end in value)
