"""Run the cases and put what they gave on pytest's reports; active in every process that runs tests."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from pytest_llmops.calls.exchange import Response
from pytest_llmops.calls.prefetch import LoopThread, Prefetch
from pytest_llmops.errors import BudgetError, LlmopsError, MisuseError
from pytest_llmops.plugin.arms import compares
from pytest_llmops.plugin.asking import Answers, Memory, ask_all, recall
from pytest_llmops.plugin.case import LlmCase
from pytest_llmops.plugin.early_stop import EarlyStops
from pytest_llmops.plugin.eval_tests import plan_tests
from pytest_llmops.plugin.items import slot_of
from pytest_llmops.plugin.live import PLACE
from pytest_llmops.plugin.note import NOTE, Note, NotedTest
from pytest_llmops.plugin.plan import FIXTURE, CaseSlot, EvalTest
from pytest_llmops.plugin.progress import PASS, Progress, described, is_miss, missed_body
from pytest_llmops.plugin.projects import Projects
from pytest_llmops.project import Project
from pytest_llmops.reports.escape import escape
from pytest_llmops.scorers.score import Score

AHEAD_PER_CALL = 4
"""Items that the look-ahead starts for each call that may be under way: short answers must not drain it."""

LOOK_AGAIN = 16
"""Items until it is tried again whether answers are at hand: with an empty cache all looks are in vain."""


class Recorder:
    """Measure the cases of this process's items, ahead of the items where possible.

    Args:
        config: the session's configuration.
        projects: the opened projects.
        waiting: called about every second in which an item waits for its answer.
    """

    def __init__(self, config: pytest.Config, projects: Projects, waiting: Callable[[], object]) -> None:
        self._config = config
        self._projects = projects
        self._waiting = waiting
        self._tests: dict[pytest.Item, EvalTest] = {}
        self._index: dict[pytest.Item, int] = {}
        self._prefetch: Prefetch[Answers] | None = None
        self._stops = EarlyStops(())
        self._places: dict[str, str] = {}
        self._missed = 0
        """Items in a row whose answers were not at hand."""
        self._memories: dict[Project, Memory] = {}
        self._recalled: dict[pytest.Item, Answers] = {}
        """What the look-ahead need not ask for."""
        self._progress: dict[pytest.Item, Progress] = {}
        self._announced: set[tuple[str, str]] = set()
        self._answered: set[pytest.Item] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Ask ahead for the answers of the coming items."""
        if _will_run(session) and not self._projects.settings.plan:
            self._look_ahead(session.items)
        try:
            result = yield
        except BaseException:
            if self._prefetch is not None:
                self._prefetch.stop()
            self._forget()
            raise
        if self._prefetch is not None:
            # Another worker may wait for an answer that this one is asking for.
            for project in {test.spec.project for test in self._tests.values()}:
                project.client.drain()
            self._prefetch.finish()
        self._stops.close()
        self._forget()
        return result

    def answer(self, item: pytest.Item) -> LlmCase:
        """Return what the fixture `llm_case` gives to an item; wait for its answer.

        Raises:
            pytest.fail.Exception: nothing could be measured.
        """
        slot = slot_of(item)
        assert slot is not None
        if self._prefetch is None:
            # A worker of xdist runs one item even where nothing must be asked.
            raise pytest.fail.Exception(f"not run: {item.session.shouldfail}", pytrace=False)
        reason = self._stops.reason(self._tests[item], slot.case.id)
        if reason:
            pytest.skip(reason)
        if item in self._answered:
            # It runs anew, so what failed is asked anew.
            slot.spec.project.client.forgive()
        self._answered.add(item)
        progress = self._progress[item] = Progress(test=self._tests[item], slot=slot)
        try:
            known = self.at_hand(item)
            progress.answers = self._recalled.pop(item) if known else self._prefetch.result(self._index[item])
        except LlmopsError as error:
            progress.fault = error
            if isinstance(error, BudgetError):
                pytest.skip(f"not run: {escape(str(error))}")
            told = escape(f"case {slot.case.id!r}: {error}")
            raise pytest.fail.Exception(told, pytrace=False) from None
        measured: Any = progress.measured
        return progress.case(measured.bad_answer or measured.response)

    def at_hand(self, item: pytest.Item) -> bool:
        """Tell whether all that an item needs is known, so that `answer` will not wait."""
        slot = slot_of(item)
        if item in self._recalled:
            return True
        answers = self._recall(item, slot) if slot is not None and self._prefetch is not None else None
        if answers is not None:
            self._recalled[item] = answers
        return answers is not None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Run the body, and hold the answer against the markers of the test."""
        progress = self._progress.get(item)
        if progress is None or progress.measured is None:
            return (yield)
        _run_beside(item, progress)
        if progress.measured.bad_answer is not None:
            # Raised before the yield: no body runs on an unusable answer.
            raise pytest.fail.Exception(escape(str(progress.measured.bad_answer)), pytrace=False)
        try:
            yield
        except BaseException as error:
            progress.note_body(error)
            _describe(item, progress)
            raise
        progress.body = PASS
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
        progress = self._progress.get(item)
        if progress is not None and (call.when == "call" or (call.when == "setup" and progress.fault)):
            self._note(report, self._decided(item, progress, report))
        elif report.outcome == "failed":
            self._note(report, Note(root=test.place[0], key=test.key))
        if call.when == "teardown":
            self.end(item, report)
        return report

    def end(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Let go of an item with its last report, which counts it as done."""
        self._progress.pop(item, None)
        setattr(report, PLACE, self._places[self._tests[item].place[0]])

    def _note(self, report: pytest.TestReport, note: Note) -> None:
        worker = hasattr(self._config, "workerinput")
        setattr(report, NOTE, note.to_text() if worker else note)

    def _look_ahead(self, items: Sequence[pytest.Item]) -> None:
        try:
            self._tests = plan_tests(items)
        except MisuseError as error:
            raise pytest.UsageError(str(error)) from None
        if not self._tests:
            return
        tests = {test.place: test for test in self._tests.values()}.values()
        self._stops = EarlyStops(tests)
        asked = list(self._tests)
        self._places = {root: f"{len(asked)} {root}" for root in {test.place[0] for test in tests}}
        self._index = {item: index for index, item in enumerate(asked)}
        for test in tests:
            test.spec.project.stored_answers.update(_stored_answers(test))
        worker = getattr(self._config, "workerinput", {})
        self._prefetch = Prefetch(
            self._projects.loop,
            _Jobs(self._tests, asked, self._projects.loop),
            ahead=self._ahead,
            first=int(worker.get("workerid", "gw0").removeprefix("gw")),
            stride=int(worker.get("workercount", 1)),
            waiting=self._waiting,
            may_start=lambda index: self._may_start(asked[index]),
        )

    def _ahead(self) -> int:
        workers = int(getattr(self._config, "workerinput", {}).get("workercount", 1))
        return max(AHEAD_PER_CALL, AHEAD_PER_CALL * self._projects.slots // workers)

    def _forget(self) -> None:
        while self._memories:
            _, memory = self._memories.popitem()
            self._projects.loop.run(memory.aclose())

    def _recall(self, item: pytest.Item, slot: CaseSlot) -> Answers | None:
        if self._missed % LOOK_AGAIN:
            self._missed += 1
            return None
        project = slot.spec.project
        if project not in self._memories:
            self._memories[project] = Memory(project)
        answers = recall(self._tests[item], slot, self._memories[project])
        self._missed = 0 if answers else self._missed + 1
        return answers

    def _may_start(self, item: pytest.Item) -> bool:
        """Tell whether the look-ahead may ask for an item now: not where the answer is at hand."""
        slot = slot_of(item)
        if slot is None or not self._stops.may_start(self._tests[item], slot.case.id):
            return False
        target = slot.spec.target
        if target is not None and not target.concurrent:
            # It runs inside its own test, as nobody says that it may run beside others.
            return False
        return not self.at_hand(item)

    def _decided(self, item: pytest.Item, progress: Progress, report: pytest.TestReport) -> Note:
        """Return what the item gave, and leave its misses to the comparison where that covers them."""
        test = progress.test
        result, arms = progress.result(item.nodeid), progress.arm_results(item.nodeid)
        self._stops.post(test, result, arms.get("control"))
        if result.status == "unmeasured" and compares(test.spec.project):
            path, line, _ = item.location
            report.outcome = "skipped"
            report.longrepr = (path, (line or 0) + 1, f"Skipped: not measured: {escape(result.detail)}")
        excused: Sequence[str] = ()
        missed = progress.missed() if result.status in ("measured", "bad_answer") else []
        covered = report.outcome == "failed" and missed and not self._config.getoption("runxfail")
        if covered and all(test.excuses(progress.slot.case, test.spec.metrics[name]) for name in missed):
            name = test.spec.project.settings.baseline if test.compared else None
            judge = f"the comparison with {name} decides" if name else "stored with the baseline"
            report.outcome = "skipped"
            report.wasxfail = f"missed {', '.join(missed)}; {judge}"
            excused = missed
        announced = test.place in self._announced
        self._announced.add(test.place)
        return Note(
            root=test.place[0],
            key=test.key,
            test=None if announced else NotedTest.of(test),
            result=result,
            arms={str(name): each for name, each in arms.items()},
            excused=tuple(excused),
        )


class _Jobs(Sequence[Callable[[], Coroutine[Any, Any, Answers]]]):
    """Make jobs of items when they are due: large sessions would hold many for long."""

    def __init__(
        self, tests: Mapping[pytest.Item, EvalTest], items: Sequence[pytest.Item], loop: LoopThread
    ) -> None:
        self._tests = tests
        self._items = items
        self._loop = loop

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        item = self._items[index]
        slot = slot_of(item)
        assert slot is not None
        return partial(ask_all, self._tests[item], slot, loop=self._loop)


def _will_run(session: pytest.Session) -> bool:
    """Tell whether pytest is about to run the items; else nothing may be asked, and nothing spent."""
    option = session.config.option
    if option.collectonly or getattr(option, "setupplan", False) or session.shouldfail:
        return False
    return not session.testsfailed or option.continue_on_collection_errors


def _run_beside(item: pytest.Item, progress: Progress) -> None:
    """Run the body on the answers beside the candidate's, so that all are held to the same test."""
    test, slot = progress.test, progress.slot
    if test.spec.body is None or progress.answers is None:
        return
    if test.rescores and slot.repeat == 1:
        for result in test.paired_with(slot.case):
            missed = Score(value=0.0, passed=False, reason=result.detail)
            stored = result.response
            progress.stored_body.append(_body_on(item, progress.case(stored)) if stored else missed)
    for name, answered in progress.answers.arms.items():
        response = answered.measured.response if answered.measured else None
        if response is None:
            continue
        try:
            progress.arm_bodies[name] = _body_on(item, progress.case(response, answered))
        except (Exception, pytest.skip.Exception) as error:
            progress.arm_broken[name] = f"the body on the {name}'s answer: {described(error)}"


def _body_on(item: pytest.Item, case: LlmCase) -> Score:
    """Return what the body says of another answer than the candidate's."""
    arguments: dict[str, Any] = getattr(item, "funcargs", {})
    current = arguments.get(FIXTURE)
    arguments[FIXTURE] = case
    try:
        item.runtest()
    except (Exception, pytest.fail.Exception) as error:
        if not is_miss(error):
            raise
        return missed_body(error)
    finally:
        arguments[FIXTURE] = current
    return PASS


def _describe(item: pytest.Item, progress: Progress) -> None:
    """Show the answer, and what the markers say of it, beside the body's own failure."""
    item.add_report_section("call", "llmops", "\n".join([*progress.missed_markers(), _answer_line(progress)]))


def _answer_line(progress: Progress) -> str:
    response: Response | None = progress.measured.response if progress.measured else None
    return escape(f"answer: {response.text if response else ''}")


def _stored_answers(test: EvalTest) -> dict[str, Response]:
    """Return the baseline's answers by request digest, where one request made the answer."""
    results = test.baseline.results if test.baseline else ()
    return {
        result.requests[0]: result.response
        for result in results
        if len(result.requests) == 1 and result.response is not None
    }
