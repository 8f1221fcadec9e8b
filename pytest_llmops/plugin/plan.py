"""Know each eval test of the session before it runs: its cases, its baseline, which misses it may excuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest

from pytest_llmops.golden.case import Case
from pytest_llmops.plugin.marks import EvalSpec
from pytest_llmops.runs.record import CaseResult, Header, Run
from pytest_llmops.runs.weighing import not_comparable
from pytest_llmops.scorers.score import Metric, Scorer
from pytest_llmops.stats.verdict import MIN_UNITS

PACKAGES = ("pytest-llmops", "jinja2", "jsonschema")
"""Packages whose versions stand in the header of a run."""

FIXTURE = "llm_case"


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

    @cached_property
    def expected(self) -> frozenset[tuple[str, int]]:
        """Return the case ids and repeats of a complete run."""
        return frozenset(
            (case.id, repeat) for case in self.spec.cases for repeat in range(1, self.spec.repeats + 1)
        )

    @cached_property
    def stored(self) -> Mapping[str, tuple[CaseResult, ...]]:
        """Return the baseline's results by case id."""
        results: dict[str, list[CaseResult]] = {}
        for result in self.baseline.results if self.baseline else ():
            results.setdefault(result.case_id, []).append(result)
        return {case_id: tuple(group) for case_id, group in results.items()}

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

    def paired_with(self, case: Case) -> tuple[CaseResult, ...]:
        """Return the stored results of the very same golden row."""
        stored = self.stored.get(case.id, ())
        return stored if stored and stored[0].row_digest == case.digest else ()

    def excuses(self, case: Case, metric: Metric) -> bool:
        """Tell whether a miss is left to the comparison, or to the run that is being stored."""
        if metric.required or not metric.gated:
            return False
        if self.baseline is None:
            return self._only_saves
        return self._enough_units and bool(self.paired_with(case)) and self._comparable(metric)

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
            metrics=spec.metrics,
            packages={name: found for name in PACKAGES if (found := _version(name))},
        )

    @cached_property
    def _only_saves(self) -> bool:
        """Tell whether the misses of this session become the stored row itself."""
        settings, archive = self.spec.project.settings, self.spec.project.archive
        compares = settings.baseline is not None and settings.baseline in archive.baselines()
        if settings.save_baseline is None or compares or self.selected != self.expected:
            return False
        return len({_unit(case) for case in self.spec.cases}) >= MIN_UNITS

    @cached_property
    def _enough_units(self) -> bool:
        selected = {case_id for case_id, _ in self.selected}
        paired = [case for case in self.spec.cases if case.id in selected and self.paired_with(case)]
        return len({_unit(case) for case in paired}) >= MIN_UNITS

    def _comparable(self, metric: Metric) -> bool:
        assert self.baseline is not None
        rescored = self.rescores or any(scorer.metric.name == metric.name for scorer in self.rescorers)
        return rescored or not not_comparable(self.baseline.header, metric)


def plan_tests(items: Iterable[pytest.Item]) -> dict[pytest.Item, EvalTest]:
    """Return the eval test of each item that belongs to one."""
    groups: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        slot = slot_of(item)
        if slot is not None:
            groups.setdefault((str(slot.spec.project.root), key_of(item, slot)), []).append(item)
    return {
        item: test for (_, key), group in groups.items() for test in [_test(key, group)] for item in group
    }


def slot_of(item: pytest.Item) -> CaseSlot | None:
    """Return the case and repeat that an item runs; None for other items."""
    callspec = getattr(item, "callspec", None)
    slot = callspec.params.get(FIXTURE) if callspec else None
    return slot if isinstance(slot, CaseSlot) else None


def key_of(item: pytest.Item, slot: CaseSlot) -> str:
    """Return the key of an item's test: it outlives a move of the checkout and a change of the cases."""
    root, path = slot.spec.project.root, item.path
    place = path.relative_to(root) if path.is_relative_to(root) else path
    return f"{place.as_posix()}::{_qualified_name(item)}{_others(item)}"


def _qualified_name(item: pytest.Item) -> str:
    function = getattr(item, "function", None)
    return getattr(function, "__qualname__", item.name)


def _others(item: pytest.Item) -> str:
    """Return the other parameters of a test, such as `[lang=en]`."""
    callspec: Any = getattr(item, "callspec", None)
    others = {name: value for name, value in callspec.params.items() if name != FIXTURE}
    shown = [f"{name}={_parameter(value, callspec.indices[name])}" for name, value in sorted(others.items())]
    return f"[{','.join(shown)}]" if shown else ""


def _parameter(value: object, index: int) -> str:
    if isinstance(value, str | int | float | None):
        return str(value)
    return getattr(value, "__qualname__", str(index))


def _test(key: str, items: Sequence[pytest.Item]) -> EvalTest:
    first = items[0]
    slots = [slot for item in items if (slot := slot_of(item))]
    spec = slots[0].spec
    name = spec.project.settings.baseline
    own = first.nodeid.removesuffix(first.name) + getattr(first, "originalname", first.name) + _others(first)
    path, line, _ = first.location
    return EvalTest(
        key=key,
        nodeid=own,
        location=(path, line, own.rpartition("::")[2]),
        spec=spec,
        baseline=spec.project.archive.baseline(name, key) if name else None,
        selected=frozenset((slot.case.id, slot.repeat) for slot in slots),
    )


def _unit(case: Case) -> tuple[str, str]:
    return ("cluster", case.cluster) if case.cluster is not None else ("case", case.id)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
