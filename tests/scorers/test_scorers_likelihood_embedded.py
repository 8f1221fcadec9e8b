"""Hold on the embedded model itself what the likelihood judge is worth, beside the verbal judge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import mannwhitneyu

from pytest_llmops.calls.exchange import Request, Response
from pytest_llmops.errors import JudgeError
from pytest_llmops.golden.case import Case
from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.providers.local import LocalProvider
from pytest_llmops.scorers import judge as rubric
from pytest_llmops.scorers.forced import forcible, log_likelihoods
from pytest_llmops.scorers.judge import RubricJudge
from pytest_llmops.scorers.label import LabelJudge
from pytest_llmops.scorers.likelihood import ContextJudge

pytestmark = pytest.mark.embedded

MODEL = "local:smollm2-135m"
ANSWERS = Path(__file__).parents[2] / "examples" / "answers"


def rows_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ANSWERS / name).read_text(encoding="utf-8").splitlines()]


class Direct:
    """Ask the embedded model, and remember what it said."""

    def __init__(self) -> None:
        self.provider = LocalProvider()
        self._known: dict[str, Response] = {}

    async def acall(self, request: Request) -> Response:
        key = request.digest({})
        if key not in self._known:
            self._known[key] = await self.provider.complete(request)
        return self._known[key]


def values_of(judge: Any, rows: Sequence[dict[str, Any]]) -> list[float | None]:
    """Return a judge's scores, None where it gave no verdict."""

    async def main() -> list[float | None]:
        caller = Direct()
        try:
            return [await one(row, caller) for row in rows]
        finally:
            await caller.provider.aclose()

    async def one(row: dict[str, Any], caller: Direct) -> float | None:
        case = Case(id=row["id"], inputs=row["inputs"])
        try:
            return (await judge.score(case, Response(text=row["output"], model="m"), caller)).value
        except JudgeError:
            return None

    return asyncio.run(main())


def auc(rows: Sequence[dict[str, Any]], values: Sequence[float | None]) -> float:
    """Return how often a right answer scores above a wrong one, ties half; no verdict says nothing."""
    right, wrong = (
        [
            0.5 if value is None else value
            for row, value in zip(rows, values, strict=True)
            if row["label"] is label
        ]
        for label in (True, False)
    )
    return float(mannwhitneyu(right, wrong).statistic / (len(right) * len(wrong)))


def test_each_row_has_a_right_and_a_wrong_answer_of_its_own() -> None:
    rows = rows_of("labels.jsonl")
    golden = [
        json.loads(line) for line in (ANSWERS.parents[1] / "golden" / "qa.jsonl").read_text().splitlines()
    ]

    assert [row["inputs"] for row in rows[::2]] == [row["inputs"] for row in rows[1::2]]
    assert [row["inputs"] for row in rows[::2]] == [row["inputs"] for row in golden]
    assert [row["label"] for row in rows] == [True, False] * len(golden)
    assert all(right["output"] != wrong["output"] for right, wrong in zip(rows[::2], rows[1::2], strict=True))
    assert all(row["expected"].lower() in row["output"].lower() for row in rows[::2])


def test_the_likelihood_judge_tells_right_answers_from_wrong_ones_of_the_same_type() -> None:
    rows = rows_of("labels.jsonl")
    values = values_of(ContextJudge(name="likely", model=MODEL), rows)

    assert auc(rows, values) >= 0.9
    better = [right > wrong for right, wrong in zip(values[::2], values[1::2], strict=True)]
    assert sum(better) / len(better) >= 0.95


def test_the_label_judge_tells_polite_replies_from_rude_ones() -> None:
    rows = rows_of("tone_labels.jsonl")[:20]
    judge = LabelJudge("This reply is", labels=("polite", "rude"), name="tone", model=MODEL)

    assert auc(rows, values_of(judge, rows)) >= 0.7


def test_the_verbal_judge_does_not() -> None:
    rows = rows_of("labels.jsonl")[:10]
    prompt = read_prompt(rubric._PROMPT)
    # It may ramble: what does not end here is no verdict.
    brief = replace(prompt, parameters={**prompt.parameters, "max_tokens": 60})
    judge = RubricJudge(
        "The output answers the question correctly.", name="correct", model=MODEL, prompt=brief
    )

    values = values_of(judge, rows)

    assert 0.3 <= auc(rows, values) <= 0.7, values


@pytest.mark.parametrize(
    "text",
    [
        'he said "six"',
        "two\nlines\tand a tab \\ backslash",
        "ü 東京 👋 é \u2028 x",
        "a\x00b\x1b[0m\x7f",
        "<|im_end|>six<|im_start|>",
        "{{ seven }} [x] <b>y</b>",
        '"%llguidance {}\nstart: "ten"',
        "\ud83d half a pair",
    ],
    ids=range(8),
)
def test_the_runtime_writes_any_text_that_is_forced(text: str) -> None:
    async def main() -> list[float]:
        caller = Direct()
        try:
            return await log_likelihoods([("The answer is", f" {forcible(text)}")], MODEL, caller)
        finally:
            await caller.provider.aclose()

    (found,) = asyncio.run(main())
    assert found < 0.0
