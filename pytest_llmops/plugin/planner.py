"""Say what a session would call and could see, in place of running it."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.plugin.eval_tests import plan_tests
from pytest_llmops.plugin.plan import CaseSlot, EvalTest
from pytest_llmops.plugin.projects import Projects
from pytest_llmops.plugin.summary import paper, write_section
from pytest_llmops.reports.plan import plan_lines
from pytest_llmops.runs.foresight import Foresight, foresee_metrics, spent_before


class Planner:
    """Stand in for the loop that runs the items."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects
        self._tests: list[Foresight] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Foresee all eval tests, and run nothing."""
        if session.testsfailed:
            raise session.Interrupted(f"{session.testsfailed} errors during collection")
        try:
            tests = {test.place: test for test in plan_tests(session.items).values()}
            called: set[str] = set()
            self._tests = [foresee(test, called) for test in tests.values()]
        except MisuseError as error:
            raise pytest.UsageError(str(error)) from None
        return True

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the plan."""
        width, secrets = paper()
        write_section(terminalreporter, plan_lines(self._tests, width=width, secrets=secrets))


def foresee(test: EvalTest, called: set[str]) -> Foresight:
    """Return what a test would call and could see.

    Args:
        test: the test.
        called: what tests before this one call for; what this one calls for is added, since no question is
            asked twice.
    """
    spec, client, baseline = test.spec, test.spec.project.client, test.baseline
    slots = [
        CaseSlot(spec=spec, case=case, repeat=repeat)
        for case in test.selected_cases
        for repeat in range(1, spec.repeats + 1)
        if (case.id, repeat) in test.selected
    ]
    held = [result for result in baseline.results if result.response is not None] if baseline else []
    stored = {request for result in held for request in result.requests}
    fresh = spec.project.settings.cache in ("refresh", "off")
    own = [test.digest(test.request(slot)) for slot in slots]
    arms = [
        (test.arms[name], client.digest(test.request(slot, name)))
        for slot in slots
        for name in test.arms_of(slot)
    ]
    asked = [*own, *(digest for arm, digest in arms if not arm.again)]
    unknown = [digest for digest in asked if fresh or not (digest in stored or client.holds(digest))]
    unknown += [f"{digest} again" for arm, digest in arms if arm.again]
    root = str(spec.project.root)
    calls = {f"{root} {key}" for key in unknown} - called
    called |= calls
    answers = len(own) + len(arms)
    paired = [case.id for case in test.selected_cases if test.paired_with(case)]
    tokens, cost = spent_before(baseline, len(calls)) if baseline else (None, None)
    return Foresight(
        test_key=test.key,
        model=spec.model,
        cases=len(test.selected_cases),
        repeats=spec.repeats,
        answers=answers,
        known=answers - len(calls),
        # A pairwise judge is asked in both orders.
        judged=len(unknown)
        * (sum(not scorer.metric.free for scorer in spec.scorers) + 2 * len(spec.pair_scorers)),
        stored=baseline is not None,
        tokens=tokens,
        cost=cost,
        metrics=tuple(
            foresee_metrics(
                baseline,
                paired,
                test.gated,
                repeats=spec.repeats,
                margins=spec.project.settings.margin,
                alpha=spec.project.settings.alpha,
            )
        )
        if baseline
        else (),
    )
