"""Leave out the rest of a test whose verdict is clear, in whichever process its cases run."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_llmops.plugin.plan import EvalTest
from pytest_llmops.reports.circumstances import stop_text
from pytest_llmops.runs.board import Board
from pytest_llmops.runs.course import Watch
from pytest_llmops.runs.record import CaseResult


class EarlyStops:
    """Watch the tests that may stop early."""

    def __init__(self, tests: Iterable[EvalTest]) -> None:
        self._watches: dict[tuple[str, str], Watch] = {}
        self._units: dict[tuple[str, str], dict[str, int]] = {}
        self._boards: dict[str, Board] = {}
        for test in tests:
            if test.course is not None:
                self._add(test)

    def post(self, test: EvalTest, result: CaseResult, control: CaseResult | None) -> None:
        """Show a result to all processes."""
        if test.place in self._watches:
            self._board(test).post(result, [control] if control else [])

    def reason(self, test: EvalTest, case_id: str) -> str:
        """Return why a case need not run; "" where it must."""
        if test.place not in self._watches:
            return ""
        watch = self._watches[test.place]
        for result, beside in self._board(test).new(test.key):
            watch.take(result, beside or test.stored.get(result.case_id, ()))
        stop = watch.stop
        if stop is None or case_id not in stop.planned - stop.cases:
            return ""
        return f"not run, early stop {stop_text(stop)}"

    def may_start(self, test: EvalTest, case_id: str) -> bool:
        """Tell whether a case may be asked ahead: not beyond the next look, where the test may end."""
        watch = self._watches.get(test.place)
        if watch is None or case_id not in self._units[test.place]:
            return True
        return watch.stop is None and self._units[test.place][case_id] < watch.course.next_look(watch.done)

    def close(self) -> None:
        """Close the files."""
        for board in self._boards.values():
            board.close()

    def _add(self, test: EvalTest) -> None:
        assert test.course is not None
        self._watches[test.place] = Watch(test.course)
        self._units[test.place] = {
            case_id: place for place, ids in enumerate(test.course.units) for case_id in ids
        }

    def _board(self, test: EvalTest) -> Board:
        root = str(test.spec.project.root)
        if root not in self._boards:
            self._boards[root] = test.spec.project.board()
        return self._boards[root]
