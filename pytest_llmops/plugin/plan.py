"""Know an eval test before it runs: its cases, what it is compared with, which misses it may excuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version

from pytest_llmops.calls.exchange import Request
from pytest_llmops.golden.case import Case
from pytest_llmops.plugin.arms import Arm, ArmName, compares
from pytest_llmops.plugin.marks import EvalSpec
from pytest_llmops.runs.course import Course
from pytest_llmops.runs.gate import Gate
from pytest_llmops.runs.record import CaseResult, Header, Run
from pytest_llmops.runs.weighing import not_comparable
from pytest_llmops.scorers.score import Metric, Scorer
from pytest_llmops.stats.verdict import MIN_UNITS

PACKAGES = ("pytest-llmops", "jinja2", "jsonschema")
"""Packages whose versions stand in the header of a run."""

FIXTURE = "llm_case"

_OWN = f"{__name__.partition('.')[0]}."


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSlot:
    """Be the parameter of one item: which case and which repeat of it."""

    spec: EvalSpec
    case: Case
    repeat: int


@dataclass(frozen=True, kw_only=True)
class EvalTest:
    """Be one test of the session: what one run is measured for."""

    key: str
    """Path from the project root, qualified name and other parameters."""
    nodeid: str
    """pytest's name of the test, without the case."""
    location: tuple[str, int | None, str]
    spec: EvalSpec
    baseline: Run | None
    """The stored run to compare with; None where there is none."""
    selected: frozenset[tuple[str, int]]
    """Case ids and repeats that this session runs."""
    arms: Mapping[ArmName, Arm] = field(default_factory=dict)
    """Prompt versions that answer beside the candidate."""
    course: Course | None = None
    """In which order cases run and what ends the test early; None where it runs to the end."""

    @cached_property
    def expected(self) -> frozenset[tuple[str, int]]:
        """Return the case ids and repeats of a complete run."""
        expected = frozenset(
            (case.id, repeat) for case in self.spec.cases for repeat in range(1, self.spec.repeats + 1)
        )
        # Mostly one and the same, and kept to the end.
        return self.selected if self.selected == expected else expected

    @cached_property
    def stored(self) -> Mapping[str, tuple[CaseResult, ...]]:
        """Return the baseline's results by case id."""
        return self.baseline.by_case() if self.baseline else {}

    @cached_property
    def rescorers(self) -> tuple[Scorer, ...]:
        """Return the scorers that score the stored outputs again."""
        if self.baseline is None:
            return ()
        header = self.baseline.header
        return tuple(
            scorer
            for scorer in self.spec.scorers
            if self.rescores or (scorer.metric.free and not_comparable(header, scorer.metric))
        )

    @property
    def rescores(self) -> bool:
        """Tell whether judges and the body score the stored outputs again."""
        return self.baseline is not None and self.spec.project.settings.rescore

    @property
    def place(self) -> tuple[str, str]:
        """Return what tells the test from all others of the session: its project root and its key."""
        return str(self.spec.project.root), self.key

    @cached_property
    def instant(self) -> bool:
        """Tell whether an item needs no event loop where its answers are known: all scorers are our own."""
        scorers = (*self.spec.scorers, *self.spec.pair_scorers, *self.rescorers)
        if self.arms or self.spec.target is not None:
            return False
        return all(type(each).__module__.startswith(_OWN) for each in scorers)

    @property
    def compared(self) -> bool:
        """Tell whether there is anything to compare with."""
        return self.baseline is not None or "control" in self.arms

    @cached_property
    def gated(self) -> list[Metric]:
        """Return the metrics whose regression turns the build red, as far as they can be compared."""
        gate = Gate(self.spec.project.settings.gate)
        return [
            metric
            for metric in self.spec.metrics.values()
            if gate.covers(metric) and self.compared and self._comparable(metric)
        ]

    @cached_property
    def selected_cases(self) -> tuple[Case, ...]:
        """Return the cases that this session runs."""
        ids = {case_id for case_id, _ in self.selected}
        return tuple(case for case in self.spec.cases if case.id in ids)

    def paired_with(self, case: Case) -> tuple[CaseResult, ...]:
        """Return the stored results of the very same golden row."""
        stored = self.stored.get(case.id, ())
        return stored if stored and stored[0].row_digest == case.digest else ()

    def request(self, slot: CaseSlot, arm: ArmName | None = None) -> Request:
        """Return what the candidate, or an arm beside it, is asked in a case."""
        target = self.spec.target
        if target is not None:
            return target.request(slot.case, model=self.spec.model, repeat=slot.repeat)
        asked = self.arms[arm] if arm else self.spec
        case = slot.case
        # Retrieved passages are a variable of the prompt, unless an input of that name is.
        inputs = {"context": "\n\n".join(case.context), **case.inputs} if case.context else case.inputs
        request = asked.prompt.render(
            inputs, model=asked.model, repeat=slot.repeat, conversation=case.messages
        )
        return request.streamed() if self.spec.streams else request

    def digest(self, request: Request) -> str:
        """Return the digest of a request that `request` gave."""
        return request.digest({}) if self.spec.target else self.spec.project.client.digest(request)

    def arms_of(self, slot: CaseSlot) -> list[ArmName]:
        """Return the arms that answer this case and repeat, too."""
        return [
            name
            for name, arm in self.arms.items()
            if slot.case.id in arm.cases and (name == "control" or slot.repeat == 1)
        ]

    def excuses(self, case: Case, metric: Metric) -> bool:
        """Tell whether a miss is left to the comparison, or to the run that is being stored."""
        if metric.required or not metric.gated:
            return False
        if "control" in self.arms:
            return self._enough_units
        if self.baseline is None:
            return self._only_saves
        return self._enough_units and bool(self.paired_with(case)) and self._comparable(metric)

    @property
    def every_miss_counts(self) -> bool:
        """Tell whether a miss of some metric is red by itself, though its case is compared."""
        paired = (case for case in self.selected_cases if "control" in self.arms or self.paired_with(case))
        case = next(paired, None)
        able = [metric for metric in self.spec.metrics.values() if metric.gated]
        return case is not None and not all(self.excuses(case, metric) for metric in able)

    def header(self) -> Header:
        """Return the header of the run."""
        spec = self.spec
        return Header(
            test_key=self.key,
            prompt_name=spec.prompt.name,
            prompt_digest=spec.prompt.digest,
            model=spec.model,
            golden_name=spec.golden.name,
            golden_digest=spec.golden.digest,
            metrics={
                name: metric
                for name, metric in spec.metrics.items()
                # What holds an answer against another has no score where there is none.
                if self.compared or name not in self._paired_metrics
            },
            packages={name: found for name in PACKAGES if (found := _version(name))},
        )

    @cached_property
    def _only_saves(self) -> bool:
        """Tell whether the misses of this session become the stored row itself."""
        project = self.spec.project
        if project.settings.save_baseline is None or compares(project) or self.selected != self.expected:
            return False
        return len({case.unit for case in self.spec.cases}) >= MIN_UNITS

    @cached_property
    def _enough_units(self) -> bool:
        live = "control" in self.arms
        paired = [case for case in self.selected_cases if live or self.paired_with(case)]
        return len({case.unit for case in paired}) >= MIN_UNITS

    @property
    def _paired_metrics(self) -> set[str]:
        return {scorer.metric.name for scorer in self.spec.pair_scorers}

    def _comparable(self, metric: Metric) -> bool:
        if self.baseline is None:
            return True
        if metric.name in self._paired_metrics:
            return True
        rescored = self.rescores or any(scorer.metric.name == metric.name for scorer in self.rescorers)
        return rescored or not not_comparable(self.baseline.header, metric)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
