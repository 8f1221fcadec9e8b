"""Build runs of made-up cases, compare them, and write comparisons as one text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.calibration import Calibration
from pytest_llmops.runs.compare import Match, Rules, compare
from pytest_llmops.runs.comparison import Comparison, MetricComparison
from pytest_llmops.runs.record import CaseResult, Header, Run
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.store.canonical import canonical

PASSED = Metric(name="passed", version="1")
GRADE = Metric(name="grade", version="1", kind="score", range=(1.0, 5.0), threshold=3.0)
ERRORS = Metric(
    name="errors", version="1", kind="score", range=(0.0, 10.0), higher_is_better=False, threshold=3.0
)
SECONDS = Metric(name="seconds", version="1", kind="ratio", range=None, higher_is_better=False, volatile=True)

KEY = "test_x.py::test_x"


def prompt(text: str = "Say {{ n }}", **more: Any) -> Prompt:
    return Prompt(name="ask", messages=({"role": "user", "content": text},), **more)


def result(
    number: int, scores: Mapping[str, Any], *, asked: str = "", repeat: int = 1, **more: Any
) -> CaseResult:
    return CaseResult(
        **{
            "test_key": KEY,
            "case_id": f"case-{number:03}",
            "row_digest": f"row-{number}",
            "inputs": {"n": number},
            "repeat": repeat,
            "requests": (f"{asked} {number} {repeat}",),
            "output": f"{asked} {scores}",
            "scores": {name: Score(value=value) for name, value in scores.items()},
            "nodeid": f"{KEY}[case-{number:03}]",
            **more,
        }
    )


def run(results: Iterable[CaseResult], *metrics: Metric, **more: Any) -> Run:
    header = Header(
        **{
            "test_key": KEY,
            "prompt_name": "ask",
            "prompt_digest": prompt().digest,
            "model": "local:m",
            "golden_name": "x.jsonl",
            "golden_digest": "golden",
            "metrics": {metric.name: metric for metric in metrics},
            **more,
        }
    )
    return Run(header=header, results=tuple(results))


def answers(values: Sequence[Any], asked: str, metric: Metric = PASSED, **more: Any) -> list[CaseResult]:
    """Return one result a case; a list of values is the repeats of its case."""
    return [
        result(number, {metric.name: each}, asked=asked, repeat=repeat, **more)
        for number, value in enumerate(values)
        for repeat, each in enumerate(value if isinstance(value, list | tuple) else [value], start=1)
    ]


def tagged(results: Iterable[CaseResult], tags: Mapping[int, Sequence[str]]) -> list[CaseResult]:
    """Return the results with tags by the number of their case."""
    return [replace(each, tags=tuple(tags.get(int(each.inputs["n"]), ()))) for each in results]


def match(before: Run, after: Run, **more: Any) -> Match:
    return Match(
        **{
            "baseline": before,
            "candidate": after,
            "baseline_prompt": prompt(),
            "candidate_prompt": prompt(),
            **more,
        }
    )


def compared(
    before: Run,
    after: Run,
    *,
    stop: Any = None,
    new: Prompt | None = None,
    calibrations: Mapping[str, Calibration] | None = None,
    **rules: Any,
) -> Comparison:
    matched = match(
        before, after, stop=stop, candidate_prompt=new or prompt(), calibrations=calibrations or {}
    )
    return compare("production", [matched], Rules(**{"margins": {}, "alpha": 0.05, **rules}))


def only(comparison: Comparison) -> MetricComparison:
    (test,) = comparison.tests
    (metric,) = test.metrics
    return metric


def as_text(comparison: Comparison) -> str:
    """Return all that a comparison holds as one canonical text."""
    return canonical(_plain(asdict(comparison)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
