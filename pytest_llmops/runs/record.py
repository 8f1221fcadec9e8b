"""Hold what one test measured: one result a case and repeat, and the header they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Literal

from pytest_llmops.calls.exchange import Response, Timing, Usage
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.store.canonical import JsonValue

SCHEMA_VERSION = 1

Status = Literal["measured", "bad_answer", "unmeasured", "not_run", "skipped", "error"]
"""bad_answer is the system's own failure and scores worst; unmeasured is a provider's or a judge's fault,
not_run was left out since the budget was spent;
skipped and error are the test's: the user skipped it, or its code broke."""

NO_USAGE: Final = Usage()
NO_TIMING: Final = Timing(seconds=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """Be what one repeat of one case gave."""

    test_key: str
    case_id: str
    row_digest: str
    inputs: Mapping[str, JsonValue]
    expected: JsonValue = None
    tags: tuple[str, ...] = ()
    cluster: str | None = None
    repeat: int = 1
    status: Status = "measured"
    detail: str = ""
    """Why the case was not measured, or what was wrong with the answer."""
    raised: str = ""
    """Type of the exception that a target raised in place of an answer."""
    requests: tuple[str, ...] = ()
    """Digests of the requests that made the output, judges' not among them."""
    output: str | None = None
    """The answer's text; None where there was none."""
    tool_calls: tuple[Mapping[str, JsonValue], ...] = ()
    """The tools that the answer calls."""
    context: tuple[str, ...] = ()
    """Passages that a target made the answer from."""
    scores: Mapping[str, Score] = field(default_factory=dict)
    """Scores by metric."""
    usage: Usage = NO_USAGE
    timing: Timing = NO_TIMING
    cost: float | None = None
    """US dollars; None where the price is unknown."""
    request_id: str | None = None
    fallback: str | None = None
    """`provider:model` that answered in place of the model asked; None where that answered itself."""
    nodeid: str = ""
    """pytest's own name of the item: for messages, never parsed."""
    stored_scores: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    """Today's scores of the baseline's stored outputs, by metric, where they were scored again."""
    reused: bool = False
    """The answer is from an earlier session."""

    @property
    def lost(self) -> bool:
        """Tell whether nothing is known of the case for a reason that is not its own."""
        return self.status in ("unmeasured", "not_run")

    @property
    def response(self) -> Response | None:
        """Return the stored answer; None where there is none."""
        if self.output is None:
            return None
        return Response(
            text=self.output,
            model="",
            tool_calls=self.tool_calls,
            context=self.context,
            usage=self.usage,
            timing=self.timing,
            request_id=self.request_id,
            cost=self.cost,
            fallback=self.fallback,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        # By hand, for it is done for each case: `asdict` copies deeply.
        values = {name: getattr(self, name) for name in self.__slots__}
        values["usage"] = {name: getattr(self.usage, name) for name in self.usage.__slots__}
        values["timing"] = {name: getattr(self.timing, name) for name in self.timing.__slots__}
        values["scores"] = {name: score.to_json() for name, score in self.scores.items()}
        values["stored_scores"] = {
            name: [score.to_json() for score in scores] for name, scores in self.stored_scores.items()
        }
        return values

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CaseResult:
        """Return the result that `to_json` wrote."""
        values = dict(data)
        values["tags"] = tuple(values.get("tags", ()))
        for name in ("requests", "tool_calls", "context"):
            values[name] = tuple(values.get(name, ()))
        values["scores"] = {name: Score.from_json(score) for name, score in values.get("scores", {}).items()}
        values["usage"] = Usage(**values.get("usage", {}))
        values["timing"] = Timing(**values.get("timing", {"seconds": 0.0}))
        values["stored_scores"] = {
            name: tuple(Score.from_json(score) for score in scores)
            for name, scores in values.get("stored_scores", {}).items()
        }
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Say what all results of a run share."""

    test_key: str
    """Path from the project root, qualified name and other parameters of the test."""
    prompt_name: str
    prompt_digest: str
    model: str
    """`provider:model`."""
    golden_name: str
    golden_digest: str
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    """Versions of the packages that could change a score."""
    reused: int = 0
    """Answers that were there before the session that stored the run: whoever stored it may have known how
    lucky they are."""
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """Return the header as JSON values."""
        return {**asdict(self), "metrics": {name: metric.to_json() for name, metric in self.metrics.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Header:
        """Return the header that `to_json` wrote."""
        values = dict(data)
        values["metrics"] = {name: Metric.from_json(metric) for name, metric in values["metrics"].items()}
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Be what one test measured in one session."""

    header: Header
    results: tuple[CaseResult, ...]
    """In the order of case id and repeat."""

    def by_case(self) -> dict[str, tuple[CaseResult, ...]]:
        """Return the results by case id, ids and repeats in order."""
        ordered = sorted(self.results, key=attrgetter("case_id", "repeat"))
        return {case_id: tuple(group) for case_id, group in groupby(ordered, key=attrgetter("case_id"))}
