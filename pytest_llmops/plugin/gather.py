"""Gather on the controller what the reports of all processes tell of each eval test."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path

from pytest_llmops.plugin.note import Note, NotedTest
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.comparison import Stop
from pytest_llmops.runs.course import Course, Watch
from pytest_llmops.runs.record import CaseResult, Header, Run


@dataclass(kw_only=True)
class GatheredArm:
    """Hold what a prompt version beside the candidate gave."""

    prompt: Prompt
    model: str
    results: dict[tuple[str, int], CaseResult] = field(default_factory=dict)


@dataclass(kw_only=True)
class GatheredTest:
    """Hold what is known of one test so far."""

    root: Path
    key: str
    nodeid: str = ""
    location: tuple[str, int | None, str] = ("", None, "")
    header: Header | None = None
    prompt: Prompt | None = None
    expected: frozenset[tuple[str, int]] = frozenset()
    notes: tuple[str, ...] = ()
    results: dict[tuple[str, int], CaseResult] = field(default_factory=dict)
    """By case id and repeat; the last one of a rerun counts."""
    excused: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    """Metrics whose misses were left to the comparison, by case id and repeat."""
    failed: int = 0
    """Reports that failed, whatever the reason."""
    arms: dict[str, GatheredArm] = field(default_factory=dict)
    course: Course | None = None
    """How the test may stop early; None where it may not."""

    @property
    def run(self) -> Run:
        """Return what the test measured."""
        assert self.header is not None
        return Run(header=self.header, results=tuple(self.results[key] for key in sorted(self.results)))

    def arm_run(self, name: str) -> Run | None:
        """Return what an arm beside the candidate gave; None where the test has none of that name."""
        arm = self.arms.get(name)
        if arm is None or self.header is None:
            return None
        header = replace(
            self.header,
            prompt_name=arm.prompt.name,
            prompt_digest=arm.prompt.digest,
            model=arm.model,
            reused=sum(result.reused for result in arm.results.values()),
        )
        return Run(header=header, results=tuple(arm.results[key] for key in sorted(arm.results)))

    @property
    def unmeasured(self) -> list[CaseResult]:
        """Return the results lost to faults of a provider or a judge, on either side."""
        control = self.arms["control"].results if "control" in self.arms else {}
        lost = {
            key: result
            for results in (control, self.results)
            for key, result in results.items()
            if result.lost
        }
        return list(lost.values())

    def disown(self, share: float) -> None:
        """Take an exception that a target raised in more than `share` of the cases for a broken target.

        A few cases that it cannot answer are its failures; the same exception in many says nothing of the
        answers, so these are not measured.
        """
        raised = Counter(result.raised for result in self.results.values() if result.raised)
        for place, result in self.results.items():
            count = raised[result.raised]
            if count > share * len(self.results):
                why = f"{result.detail} (and so {count} of {len(self.results)} cases)"
                self.results[place] = replace(result, status="unmeasured", detail=why)

    def stop(self, baseline: Run) -> Stop | None:
        """Return when the test ended, judged again from all results; None where it could not stop early."""
        if self.course is None:
            return None
        stored = baseline.by_case()
        watch = Watch(self.course)
        for result in self.run.results:
            watch.take(result, stored.get(result.case_id, ()))
        return watch.finish()

    def excused_from(self, metric: str | None = None) -> list[str]:
        """Return the node ids of the excused misses, of one metric or of all."""
        return [
            self.results[place].nodeid
            for place, metrics in sorted(self.excused.items())
            if metric is None or metric in metrics
        ]

    def incomplete(self) -> str:
        """Return why the test does not count as complete; "" where it does."""
        measured = {
            key for key, result in self.results.items() if result.status in ("measured", "bad_answer")
        }
        lost = [self.results[key] for key in sorted(self.expected - measured) if key in self.results]
        if lost:
            first = lost[0]
            return (
                f"{len(lost)} of {len(self.expected)} cases gave no result, the first is "
                f"{first.case_id!r}: {first.detail}"
            )
        left_out = len(self.expected - measured)
        return f"{left_out} of {len(self.expected)} cases did not run" if left_out else ""


class Gathering:
    """Add up what the reports of all processes tell."""

    def __init__(self) -> None:
        self._tests: dict[tuple[str, str], GatheredTest] = {}

    @property
    def tests(self) -> list[GatheredTest]:
        """Return the tests of which anything ran, in the order of their keys."""
        return [
            test for _, test in sorted(self._tests.items(), key=itemgetter(0)) if test.header and test.results
        ]

    def take(self, note: Note, *, failed: bool) -> None:
        """Add what a recorder noted on a report.

        Args:
            note: what it noted.
            failed: the report's outcome.
        """
        place = (note.root, note.key)
        if place not in self._tests:
            self._tests[place] = GatheredTest(root=Path(note.root), key=note.key)
        _take_in(self._tests[place], note, failed=failed)


def _take_in(test: GatheredTest, note: Note, *, failed: bool) -> None:
    test.failed += failed
    if note.test is not None:
        _announce(test, note.test)
    if note.result is not None:
        result = note.result
        place = (result.case_id, result.repeat)
        test.results[place] = result
        # The last one of a rerun counts.
        test.excused.pop(place, None)
        if note.excused:
            test.excused[place] = note.excused
        for name, beside in note.arms.items():
            test.arms[name].results[place] = beside


def _announce(test: GatheredTest, told: NotedTest) -> None:
    test.nodeid, test.location = told.nodeid, told.location
    test.header, test.prompt = told.header, told.prompt
    test.expected, test.notes, test.course = told.expected, told.notes, told.course
    for name, arm in told.arms.items():
        test.arms.setdefault(name, GatheredArm(prompt=arm.prompt, model=arm.model))
