"""Hold a score, and what a scorer must offer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from pytest_llmops.calls.exchange import Caller, Response
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case

Kind = Literal["pass_fail", "score", "ratio"]
"""pass_fail is 0 or 1; score lies in a declared range; ratio (seconds, dollars) is positive and compared as a
log ratio."""

LARGEST_RATIO = 1e100
"""Seconds and dollars beyond this would overflow when they are added up or divided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Say what a score means; stored with every run, so that only like is compared with like."""

    name: str
    version: str
    """Changes when the same answer could get another score."""
    kind: Kind = "pass_fail"
    range: tuple[float, float] | None = (0.0, 1.0)
    """Lowest and highest score; None for a ratio."""
    higher_is_better: bool = True
    threshold: float | None = None
    """The score that a case must reach to pass; None where no single case can fail."""
    required: bool = False
    """A miss fails its case always, baseline or not."""
    free: bool = True
    """Scoring costs nothing, so stored answers are scored again without asking."""
    volatile: bool = False
    """Differs between runs of the same answers (time, money): kept out of the digest of a run."""
    unit: str = ""
    """What the score counts, for people: `s`, `USD`; empty for a bare number."""
    judged: bool = False
    """A model's opinion, which is worth what its agreement with people is worth."""

    @property
    def gated(self) -> bool:
        """Tell whether a regression of this metric makes the build red, unless the settings say otherwise."""
        return self.kind == "pass_fail" or (self.kind == "score" and self.threshold is not None)

    @property
    def worst(self) -> float | None:
        """Return the worst possible score; None for a ratio."""
        if self.range is None:
            return None
        return self.range[0] if self.higher_is_better else self.range[1]

    @property
    def limits(self) -> tuple[float, float]:
        """Return the least and the greatest score."""
        return self.range or (0.0, LARGEST_RATIO)

    def score(self, value: float | bool, *, reason: str = "") -> Score:
        """Return `value` as a score of this metric, passed or not by its threshold.

        Raises:
            MisuseError: `value` is not a finite number in the declared range.
        """
        refusal = self.refusal(value)
        if refusal:
            raise MisuseError(f"The metric {self.name!r} gave {refusal}.")
        number = float(value)
        return Score(value=number, passed=self.passes(number), reason=reason)

    def refusal(self, value: object) -> str:
        """Return `value` and why it is no score of this metric; "" where it is one."""
        if not isinstance(value, int | float):
            return f"{value!r}, which is not a number"
        low, high = self.limits
        if low <= value <= high:
            return ""
        if isinstance(value, int) and abs(value) > LARGEST_RATIO:
            return f"a number of {value.bit_length()} bits, outside its range {low:g} to {high:g}"
        if not math.isfinite(value):
            return f"{value}, which is not a finite number"
        return f"{value}, outside its range {low:g} to {high:g}"

    def passes(self, value: float) -> bool | None:
        """Tell whether `value` reaches the threshold; None without one."""
        limit = 1.0 if self.kind == "pass_fail" and self.threshold is None else self.threshold
        if limit is None:
            return None
        return value >= limit if self.higher_is_better else value <= limit

    def to_json(self) -> dict[str, Any]:
        """Return the metric as JSON values."""
        values = asdict(self)
        # Left out where it says nothing: runs from before it was known keep their bytes.
        return values if self.judged else {name: value for name, value in values.items() if name != "judged"}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Metric:
        """Return the metric that `to_json` wrote."""
        values = dict(data)
        bounds = values.get("range")
        return cls(**{**values, "range": None if bounds is None else (float(bounds[0]), float(bounds[1]))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Be what one metric says of one answer."""

    value: float | None
    """None when the score is unknown: `error` says why."""
    passed: bool | None = None
    reason: str = ""
    error: str = ""
    label: str = ""
    """The class that the answer falls into, where a number does not say it all, such as `inconsistent`."""

    def to_json(self) -> dict[str, Any]:
        """Return the score as JSON values."""
        values = {"value": self.value, "passed": self.passed, "reason": self.reason, "error": self.error}
        return {**values, "label": self.label} if self.label else values

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Score:
        """Return the score that `to_json` wrote."""
        return cls(**data)


def divides(threshold: object, low: float, high: float) -> bool:
    """Tell whether `threshold` is a number above `low` and at most `high`: some scores reach it, not all."""
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    return number and low < threshold <= high  # type: ignore[operator]


@runtime_checkable
class PairScorer(Protocol):
    """Hold an answer against the stored one of the same case."""

    @property
    def metric(self) -> Metric:
        """Say what the score means; the stored answer itself scores 0."""
        ...

    async def prefer(self, case: Case, response: Response, stored: Response, caller: Caller) -> Score:
        """Return the score of `response` beside `stored`.

        Raises:
            JudgeError: a judge gave no valid verdict.
            CallError: a judge could not be asked.
        """
        ...


@runtime_checkable
class Scorer(Protocol):
    """Turn an answer into a score."""

    @property
    def metric(self) -> Metric:
        """Say what the score means."""
        ...

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:
        """Return the score of `response`.

        Raises:
            JudgeError: a judge gave no valid verdict.
            CallError: a judge could not be asked.
        """
        ...


AnyScorer: TypeAlias = Scorer | PairScorer
