"""Run the cases and put what they gave on pytest's reports; active in every process that runs tests."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import pytest

from pytest_llmops.calls.exchange import Request, Response
from pytest_llmops.calls.prefetch import Prefetch
from pytest_llmops.errors import LlmopsError
from pytest_llmops.plugin.case import LlmCase
from pytest_llmops.plugin.plan import FIXTURE, CaseSlot, EvalTest, plan_tests, slot_of
from pytest_llmops.plugin.progress import Progress, first_line, is_miss
from pytest_llmops.plugin.projects import Projects
from pytest_llmops.reports.escape import escape
from pytest_llmops.runs.measure import Measured, measure
from pytest_llmops.scorers.score import Score

AHEAD_PER_CALL = 4
"""Items that the look-ahead starts for each call that may be under way: short answers must not drain it."""


NOTE = "llmops"
"""Attribute of a report that holds what the recorder notes."""


class Recorder:
    """Measure the cases of this process's items, ahead of the items where possible."""

    def __init__(self, config: pytest.Config, projects: Projects) -> None:
        self._config = config
        self._projects = projects
        self._tests: dict[pytest.Item, EvalTest] = {}
        self._index: dict[pytest.Item, int] = {}
        self._prefetch: Prefetch[tuple[Request, Measured]] | None = None
        self._progress: dict[pytest.Item, Progress] = {}
        self._announced: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Ask ahead for the answers of the coming items."""
        if _will_run(session):
            self._look_ahead(session.items)
        try:
            result = yield
        except BaseException:
            if self._prefetch is not None:
                self._prefetch.stop()
            raise
        if self._prefetch is not None:
            # Another worker may wait for an answer that this one is asking for.
            for project in {test.spec.project for test in self._tests.values()}:
                project.client.drain()
            self._prefetch.finish()
        return result

    def answer(self, item: pytest.Item) -> LlmCase:
        """Return what the fixture `llm_case` gives to an item; wait for its answer.

        Raises:
            pytest.fail.Exception: nothing could be measured.
        """
        slot = slot_of(item)
        assert slot is not None
        assert self._prefetch is not None
        progress = self._progress[item] = Progress(test=self._tests[item], slot=slot)
        try:
            progress.request, progress.measured = self._prefetch.result(self._index[item])
        except LlmopsError as error:
            progress.fault = error
            told = escape(f"case {slot.case.id!r}: {error}")
            raise pytest.fail.Exception(told, pytrace=False) from None
        answer: Any = progress.measured.bad_answer or progress.measured.response
        return progress.case(answer)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Run the body, and hold the answer against the markers of the test."""
        progress = self._progress.get(item)
        if progress is None or progress.measured is None:
            return (yield)
        _run_stored(item, progress)
        if progress.measured.bad_answer is not None:
            # Raised before the yield: no body runs on an unusable answer.
            raise pytest.fail.Exception(escape(str(progress.measured.bad_answer)), pytrace=False)
        try:
            yield
        except BaseException as error:
            progress.note_body(error)
            _describe(item, progress)
            raise
        progress.body = Score(value=1.0, passed=True)
        missed = progress.missed_markers()
        if missed:
            raise pytest.fail.Exception("\n".join([*missed, _answer_line(progress)]), pytrace=False)
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the result on the report, and leave misses to the comparison where it covers them."""
        report = yield
        test = self._tests.get(item)
        if test is None:
            return report
        note: dict[str, Any] = {"key": test.key, "root": str(test.spec.project.root)}
        if test.nodeid not in self._announced:
            self._announced.add(test.nodeid)
            note["test"] = _announcement(test)
        progress = self._progress.get(item)
        if progress is not None and (call.when == "call" or (call.when == "setup" and progress.fault)):
            self._decide(item, progress, report, note)
        # Text, since only plain values travel from the workers of xdist to their controller.
        setattr(report, NOTE, json.dumps(note))
        if call.when == "teardown":
            self._progress.pop(item, None)
        return report

    def _look_ahead(self, items: Sequence[pytest.Item]) -> None:
        self._tests = plan_tests(items)
        if not self._tests:
            return
        asked = list(self._tests)
        self._index = {item: index for index, item in enumerate(asked)}
        for test in {id(test): test for test in self._tests.values()}.values():
            test.spec.project.stored_answers.update(_stored_answers(test))
        worker = getattr(self._config, "workerinput", {})
        self._prefetch = Prefetch(
            self._projects.loop,
            [partial(_measure, self._tests[item], slot) for item in asked if (slot := slot_of(item))],
            ahead=AHEAD_PER_CALL * self._projects.settings.concurrency,
            first=int(worker.get("workerid", "gw0").removeprefix("gw")),
            stride=int(worker.get("workercount", 1)),
        )

    def _decide(
        self, item: pytest.Item, progress: Progress, report: pytest.TestReport, note: dict[str, Any]
    ) -> None:
        result = progress.result(item.nodeid)
        note["result"] = result.to_json()
        test = progress.test
        if result.status == "unmeasured" and self._projects.compares(test.spec.project):
            path, line, _ = item.location
            report.outcome = "skipped"
            report.longrepr = (path, (line or 0) + 1, f"Skipped: not measured: {escape(result.detail)}")
        missed = progress.missed() if result.status in ("measured", "bad_answer") else []
        if report.outcome != "failed" or not missed or self._config.getoption("runxfail"):
            return
        if all(test.excuses(progress.slot.case, test.spec.metrics[name]) for name in missed):
            name = test.spec.project.settings.baseline if test.baseline else None
            judge = f"the comparison with {name} decides" if name else "stored with the baseline"
            report.outcome = "skipped"
            report.wasxfail = f"missed {', '.join(missed)}; {judge}"
            note["excused"] = missed


def _will_run(session: pytest.Session) -> bool:
    """Tell whether pytest is about to run the items; else nothing may be asked, and nothing spent."""
    option = session.config.option
    if option.collectonly or getattr(option, "setupplan", False):
        return False
    return not session.testsfailed or option.continue_on_collection_errors


async def _measure(test: EvalTest, slot: CaseSlot) -> tuple[Request, Measured]:
    spec = test.spec
    request = spec.prompt.render(slot.case.inputs, model=spec.model, repeat=slot.repeat)
    stored = test.paired_with(slot.case) if slot.repeat == 1 else ()
    return request, await measure(
        slot.case,
        request,
        spec.scorers,
        spec.project.client,
        stored=stored,
        rescorers=test.rescorers if stored else (),
    )


def _run_stored(item: pytest.Item, progress: Progress) -> None:
    """Run the body on the stored outputs, so that old and new ones are held to the same test."""
    test, slot = progress.test, progress.slot
    if not test.rescores or test.spec.body is None or slot.repeat != 1:
        return
    arguments: dict[str, Any] = getattr(item, "funcargs", {})
    current = arguments.get(FIXTURE)
    for result in test.paired_with(slot.case):
        stored = result.response
        if stored is None:
            progress.stored_body.append(Score(value=0.0, passed=False, reason=result.detail))
            continue
        arguments[FIXTURE] = progress.case(stored)
        try:
            item.runtest()
        except (Exception, pytest.fail.Exception) as error:
            if not is_miss(error):
                raise
            progress.stored_body.append(Score(value=0.0, passed=False, reason=first_line(error)))
        else:
            progress.stored_body.append(Score(value=1.0, passed=True))
        finally:
            arguments[FIXTURE] = current


def _describe(item: pytest.Item, progress: Progress) -> None:
    """Show the answer, and what the markers say of it, beside the body's own failure."""
    item.add_report_section("call", "llmops", "\n".join([*progress.missed_markers(), _answer_line(progress)]))


def _answer_line(progress: Progress) -> str:
    response: Response | None = progress.measured.response if progress.measured else None
    return escape(f"answer: {response.text if response else ''}")


def _announcement(test: EvalTest) -> dict[str, Any]:
    return {
        "nodeid": test.nodeid,
        "location": list(test.location),
        "header": test.header().to_json(),
        "prompt": test.spec.prompt.to_json(),
        "prompt_source": test.spec.prompt.source,
        "expected": sorted(test.expected),
        "notes": list(test.spec.golden.notes),
    }


def _stored_answers(test: EvalTest) -> dict[str, Response]:
    """Return the baseline's answers by request digest, where one request made the answer."""
    results = test.baseline.results if test.baseline else ()
    return {
        result.requests[0]: result.response
        for result in results
        if len(result.requests) == 1 and result.response is not None
    }
