"""Gather on the controller what the reports of all processes tell of each eval test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

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
    excused: dict[tuple[str, int], list[str]] = field(default_factory=dict)
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
            if metrics and (metric is None or metric in metrics)
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


def gather(notes: Iterable[tuple[str, str]]) -> list[GatheredTest]:
    """Return the tests of which anything ran, in the order of their keys.

    Args:
        notes: what recorders put on reports, each with the outcome of its report.
    """
    tests: dict[tuple[str, str], GatheredTest] = {}
    for text, outcome in notes:
        note = json.loads(text)
        place = (note["root"], note["key"])
        if place not in tests:
            tests[place] = GatheredTest(root=Path(note["root"]), key=note["key"])
        _take_in(tests[place], note, failed=outcome == "failed")
    return [tests[place] for place in sorted(tests) if tests[place].header and tests[place].results]


def _take_in(test: GatheredTest, note: Mapping[str, Any], *, failed: bool) -> None:
    test.failed += failed
    if "test" in note:
        told = note["test"]
        path, line, name = told["location"]
        test.nodeid, test.location = told["nodeid"], (path, line, name)
        test.header = Header.from_json(told["header"])
        test.prompt = Prompt.from_json(told["prompt"], source=told["prompt_source"])
        test.expected = frozenset((case_id, repeat) for case_id, repeat in told["expected"])
        test.notes = tuple(told["notes"])
        test.course = Course.from_json(told["course"]) if told["course"] else None
        for name, arm in told["arms"].items():
            prompt = Prompt.from_json(arm["prompt"], source=arm["source"])
            test.arms.setdefault(name, GatheredArm(prompt=prompt, model=arm["model"]))
    if "result" in note:
        result = CaseResult.from_json(note["result"])
        test.results[result.case_id, result.repeat] = result
        test.excused[result.case_id, result.repeat] = note.get("excused", [])
        for name, values in note["arms"].items():
            beside = CaseResult.from_json(values)
            test.arms[name].results[beside.case_id, beside.repeat] = beside
