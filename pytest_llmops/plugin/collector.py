"""Turn the markers of test functions into items while pytest collects."""

from __future__ import annotations

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.plugin.calibrated import check_calibrated
from pytest_llmops.plugin.eval_tests import in_running_order
from pytest_llmops.plugin.items import STAND_IN, Slots
from pytest_llmops.plugin.marks import EvalSpec, read_spec
from pytest_llmops.plugin.plan import FIXTURE, CaseSlot
from pytest_llmops.plugin.projects import Projects
from pytest_llmops.plugin.slugs import case_slugs
from pytest_llmops.runs.gate import Gate
from pytest_llmops.scorers.score import Metric


class Collector:
    """Make one item of each case and repeat."""

    def __init__(self, config: pytest.Config, projects: Projects) -> None:
        self._config = config
        self._projects = projects
        self._misuse: list[str] = []
        self._metrics: dict[str, Metric] = {}

    def parametrize(self, metafunc: pytest.Metafunc, mark: pytest.Mark) -> None:
        """Make the items of one test function."""
        definition = metafunc.definition
        if FIXTURE not in metafunc.fixturenames:
            metafunc.fixturenames.append(FIXTURE)
        try:
            spec = read_spec(definition, mark, self._projects.of(definition.path))
            if self._projects.settings.require_calibration:
                check_calibrated(spec, Gate(self._projects.settings.gate))
        except MisuseError as error:
            self.refuse(f"{definition.nodeid}: {error}")
            return
        self._metrics.update(spec.metrics)
        cases = self._chosen(spec)
        slots = {
            slug if repeat == 1 else f"{slug}#{repeat}": CaseSlot(spec=spec, case=case, repeat=repeat)
            for case, slug in zip(cases, case_slugs([case.id for case in cases]), strict=True)
            for repeat in range(1, spec.repeats + 1)
        }
        stand_in = [pytest.param(Slots(slots), id=STAND_IN)] if slots else []
        metafunc.parametrize(FIXTURE, stand_in, indirect=True, scope="function")

    def refuse(self, message: str) -> None:
        """Report a user's mistake, found while collecting."""
        if hasattr(self._config, "workerinput"):
            # The controller does not collect: the mistake must reach it as an error of collection.
            raise pytest.Collector.CollectError(message)
        self._misuse.append(message)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Stop before the first call when a marker, a file or a name is wrong; else order the cases."""
        settings = self._projects.settings
        if settings.baseline is not None:
            self._check_gate(session, Gate(settings.gate), live=settings.live_alias is not None)
        if self._misuse:
            raise pytest.UsageError("\n".join(dict.fromkeys(self._misuse)))
        if settings.early_stop and settings.baseline is not None:
            items[:] = in_running_order(items)

    def _check_gate(self, session: pytest.Session, gate: Gate, *, live: bool) -> None:
        try:
            gate.check(self._metrics.values(), live=live)
        except MisuseError as error:
            if hasattr(self._config, "workerinput"):
                # All is collected: what is left to a worker is to run nothing, and to say why.
                session.shouldfail = str(error)
            else:
                self._misuse.append(str(error))

    def _chosen(self, spec: EvalSpec) -> list[Case]:
        settings = self._projects.settings
        wanted = set(settings.tag)
        return [case for case in spec.cases if not wanted or wanted & set(case.tags)][: settings.limit]
