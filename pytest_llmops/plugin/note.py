"""Carry what a recorder notes on a report to the controller: as it is, or as text from a worker of xdist."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_llmops.plugin.plan import EvalTest
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.course import Course
from pytest_llmops.runs.record import CaseResult, Header

NOTE = "llmops"
"""Attribute of a report that holds a note, until the controller takes it off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedArm:
    """Be a prompt version that answers beside the candidate."""

    prompt: Prompt
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedTest:
    """Be what the controller must know of a test, told once by each process."""

    nodeid: str
    location: tuple[str, int | None, str]
    header: Header
    prompt: Prompt
    expected: frozenset[tuple[str, int]]
    """Case ids and repeats of a complete run."""
    notes: tuple[str, ...]
    """What the user should be told of its files."""
    arms: Mapping[str, NotedArm]
    course: Course | None

    @classmethod
    def of(cls, test: EvalTest) -> NotedTest:
        """Return what is to be told of `test`."""
        arms: dict[str, NotedArm] = {
            name: NotedArm(prompt=arm.prompt, model=arm.model) for name, arm in test.arms.items()
        }
        return cls(
            nodeid=test.nodeid,
            location=test.location,
            header=test.header(),
            prompt=test.spec.prompt,
            expected=test.expected,
            notes=test.spec.golden.notes,
            arms=arms,
            course=test.course,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the test as JSON values."""
        return {
            "nodeid": self.nodeid,
            "location": self.location,
            "header": self.header.to_json(),
            "prompt": _prompt_to_json(self.prompt),
            "expected": sorted(self.expected),
            "notes": self.notes,
            "arms": {
                name: {"prompt": _prompt_to_json(arm.prompt), "model": arm.model}
                for name, arm in self.arms.items()
            },
            "course": self.course.to_json() if self.course else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NotedTest:
        """Return the test that `to_json` wrote."""
        path, line, name = data["location"]
        return cls(
            nodeid=data["nodeid"],
            location=(path, line, name),
            header=Header.from_json(data["header"]),
            prompt=_prompt_from_json(data["prompt"]),
            expected=frozenset((case_id, repeat) for case_id, repeat in data["expected"]),
            notes=tuple(data["notes"]),
            arms={
                name: NotedArm(prompt=_prompt_from_json(arm["prompt"]), model=arm["model"])
                for name, arm in data["arms"].items()
            },
            course=Course.from_json(data["course"]) if data["course"] else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Be what one report tells of a test."""

    root: str
    """The project root."""
    key: str
    """The test's key."""
    test: NotedTest | None = None
    result: CaseResult | None = None
    arms: Mapping[str, CaseResult] = field(default_factory=dict)
    """The results beside the candidate's, by arm."""
    excused: tuple[str, ...] = ()
    """Metrics whose misses are left to the comparison."""

    def to_text(self) -> str:
        """Return the note as text: only plain values travel from the workers of xdist."""
        return json.dumps(
            {
                "root": self.root,
                "key": self.key,
                "test": self.test.to_json() if self.test else None,
                "result": self.result.to_json() if self.result else None,
                "arms": {name: result.to_json() for name, result in self.arms.items()},
                "excused": self.excused,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Note:
        """Return the note that `to_text` wrote."""
        data = json.loads(text)
        return cls(
            root=data["root"],
            key=data["key"],
            test=NotedTest.from_json(data["test"]) if data["test"] else None,
            result=CaseResult.from_json(data["result"]) if data["result"] else None,
            arms={name: CaseResult.from_json(values) for name, values in data["arms"].items()},
            excused=tuple(data["excused"]),
        )


def _prompt_to_json(prompt: Prompt) -> dict[str, Any]:
    return {"version": prompt.to_json(), "source": prompt.source}


def _prompt_from_json(data: Mapping[str, Any]) -> Prompt:
    return Prompt.from_json(data["version"], source=data["source"])
