"""Score what an answer took: seconds, tokens and US dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pytest_llmops.calls.exchange import Caller, Response
from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.score import Metric, Score, Scorer

SPENT: Final = {"latency": "s", "ttft": "s", "tokens": "tokens", "cost": "USD"}
"""Units of the metrics by name."""

VERSION: Final = "1"
"""The metrics' version: raised when the same answer could get another score."""


def spent_scorer(
    kind: str, *, model: str, name: str | None = None, threshold: float | None = None, required: bool = False
) -> Scorer:
    """Return the scorer of `latency` and `ttft` (seconds), `tokens` (in and out) or `cost` (US dollars).

    Less is better, and none is gated but by name.

    Args:
        kind: one of these.
        model: `provider:model` that is asked, which decides the price.
        name: the metric's name; the kind where None.
        threshold: the most that one answer may take; None where no single case can fail.
        required: a miss fails its case always, baseline or not.

    Raises:
        MisuseError: the kind is unknown, or the threshold is no number above 0.
    """
    if kind not in SPENT:
        raise MisuseError(f"There is no metric {kind!r} of what is spent. {closest(kind, SPENT)}")
    if threshold is not None and not (isinstance(threshold, int | float) and 0 < threshold < float("inf")):
        raise MisuseError(f"The threshold {threshold!r} of {kind} is not a number of {SPENT[kind]} above 0.")
    metric = Metric(
        name=name or kind,
        version=VERSION,
        kind="ratio",
        range=None,
        higher_is_better=False,
        threshold=threshold,
        required=required,
        # The same answer has the same tokens always.
        volatile=kind != "tokens",
        unit=SPENT[kind],
    )
    if kind == "cost":
        return CostScorer(metric=metric, model=model)
    if kind == "ttft":
        return TtftScorer(metric=metric)
    return LatencyScorer(metric=metric) if kind == "latency" else TokensScorer(metric=metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyScorer:
    """Score how many seconds the model took; an answer from the cache keeps the time of its call."""

    metric: Metric

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:  # noqa: ARG002
        """Return the seconds, 0 or more."""
        return self.metric.score(response.timing.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class TtftScorer:
    """Score how many seconds the first token took."""

    metric: Metric
    streams: bool = True
    """Answers must be streamed."""

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:  # noqa: ARG002
        """Return the seconds, 0 or more; an answer that came in one piece has no first token."""
        if response.timing.ttft is None:
            return Score(value=None, error="the answer was not streamed")
        return self.metric.score(response.timing.ttft)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensScorer:
    """Score how many tokens went in and came out."""

    metric: Metric

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:  # noqa: ARG002
        """Return the tokens; what the provider did not count is no score."""
        usage = response.usage
        if usage.input_tokens is None or usage.output_tokens is None:
            return Score(value=None, error="the provider did not count the tokens")
        return self.metric.score(usage.input_tokens + usage.output_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostScorer:
    """Score how many US dollars the answer cost when it was made."""

    metric: Metric
    model: str
    """`provider:model` that was asked: a response does not name the provider."""

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:  # noqa: ARG002
        """Return the dollars, 0 or more; an unknown price is no score."""
        if response.cost is None:
            return Score(value=None, error=f"the price of {self.model} is not known")
        return self.metric.score(response.cost)
