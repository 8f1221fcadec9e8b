"""Hold what the comparison of runs with their baselines found: numbers and names, no text layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.calibration import Calibration, HumanChange
from pytest_llmops.runs.record import Header
from pytest_llmops.scorers.score import Metric
from pytest_llmops.settings import LIVE
from pytest_llmops.stats.power import Need
from pytest_llmops.stats.verdict import Verdict
from pytest_llmops.store.canonical import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """Be one case whose score changed."""

    case_id: str
    inputs: Mapping[str, JsonValue]
    expected: JsonValue
    baseline_score: float
    candidate_score: float
    baseline_output: str | None
    candidate_output: str | None
    reason: str = ""
    """Why the candidate's score is what it is."""
    nodeid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricComparison:
    """Be what is known of one metric of one test; signs are the metric's own, not turned."""

    metric: Metric
    verdict: Verdict
    gated: bool = False
    """A regression of it makes the build red."""
    tag: str = ""
    """The slice that it is about; empty for all cases."""
    cases: int = 0
    """Paired cases."""
    units: int = 0
    """Independent units among them."""
    baseline: float | None = None
    """Mean score of the paired cases."""
    candidate: float | None = None
    change: float | None = None
    """candidate - baseline; for a ratio metric the relative change, .1 being 10 % more."""
    low: float | None = None
    """Lower end of the 90 % interval of the change."""
    high: float | None = None
    p: float | None = None
    """How often chance alone would make it this much worse."""
    p_family: float | None = None
    """`p` after Holm's correction; None where the metric is not gated or an early stop was possible."""
    margin: float = 0.0
    """The largest change for the worse that is acceptable."""
    smallest_seen: float | None = None
    """The smallest drop that a suite of this size sees 4 times in 5."""
    need: Need | None = None
    """What would see a drop of the margin 4 times in 5; None where the verdict is clear."""
    suspect: bool = False
    """Inconclusive only because many metrics are gated."""
    reason: str = ""
    """Why there is no better verdict, where that needs saying."""
    worse: tuple[CaseChange, ...] = ()
    """Cases whose score fell, worst first."""
    calibration: Calibration | None = None
    """How well its judge agrees with people; None where nobody judges, or nobody has looked."""
    human: HumanChange | None = None
    """The change as people see it; None where too few answers are labelled."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """How many of the candidate's answers have which label, where scores have labels."""

    @property
    def label(self) -> str:
        """Return the metric's name, with the tag of the slice that it is about."""
        return f"{self.metric.name}@{self.tag}" if self.tag else self.metric.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Say which cases stand on both sides, and why others do not."""

    paired: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Ids whose golden row was edited."""
    new: tuple[str, ...] = ()
    """Ids that the baseline does not hold."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Ids that only the baseline holds, each with the reason."""
    not_run: tuple[str, ...] = ()
    """Ids that an early stop left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Say when a test that may stop early did so, or that it ran to its end."""

    kind: Literal["breaker", "regressed", "unharmed", "end"]
    """breaker: nearly all flips are losses; regressed: a look found a regression; unharmed: half or more of
    the cases show no drop; end: all cases ran."""
    cases: frozenset[str]
    """Ids of the cases that count."""
    planned: frozenset[str]
    """Ids of the cases that a run to the end would have measured."""
    level: float
    """The one-sided p that each gated metric was held against when it ended."""
    metrics: tuple[str, ...] = ()
    """Gated metrics that made it stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestComparison:
    """Be one test against its stored run."""

    __test__ = False  # pytest would collect the name

    test_key: str
    baseline: Header
    candidate: Header
    baseline_prompt: Prompt | None
    """None where the registry does not hold the version that the baseline names."""
    candidate_prompt: Prompt
    causes: tuple[str, ...]
    """What differs: prompt, model, parameters, golden rows, judge, test."""
    pairing: Pairing
    metrics: tuple[MetricComparison, ...]
    slices: tuple[MetricComparison, ...] = ()
    """The same metrics inside each tag that was asked for."""
    stop: Stop | None = None
    """None where no early stop was possible."""
    unmeasured: int = 0
    """Results of this session lost to faults of a provider or a judge, on either side."""
    replayed: bool = False
    """All requests equal the baseline's, so its outputs stand."""
    reused: int = 0
    """Answers of the baseline's side that were already there before its session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Be one session against a named baseline."""

    baseline_name: str
    alpha: float
    family: int
    """How many gated metrics and slices shared alpha."""
    tests: tuple[TestComparison, ...]

    @property
    def live(self) -> bool:
        """Tell whether the baseline's side was answered in the same session."""
        return self.baseline_name.startswith(LIVE)

    @property
    def stops(self) -> list[Stop]:
        """Return when the tests ended that could stop early."""
        return [test.stop for test in self.tests if test.stop is not None]

    def count(self, verdict: Verdict) -> int:
        """Return how many gated metrics and slices got `verdict`."""
        return sum(
            compared.verdict is verdict
            for test in self.tests
            for compared in (*test.metrics, *test.slices)
            if compared.gated
        )
