"""Let a model judge an answer by a rubric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pytest_llmops.calls.exchange import Caller, Request, Response
from pytest_llmops.errors import BadAnswerError, JudgeError, MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.fence import as_text, fenced, marker_of
from pytest_llmops.scorers.scale import Scale, read_scale
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.store.canonical import SHORT, JsonValue, digest

VERSION: Final = 1
"""Part of the metric version: raised when the same reply could give another score."""

_PROMPT = Path(__file__).with_name("rubric.prompt.yml")

_QUOTED = 200
"""Characters of a judge's reply that an error quotes."""


class RubricJudge:
    """Ask a model once per answer whether, or how well, the answer meets a rubric."""

    def __init__(
        self,
        criteria: str,
        *,
        name: str,
        model: str,
        threshold: float | None = None,
        scale: str | Sequence[int] = "pass_fail",
        required: bool = False,
        prompt: Prompt | None = None,
    ) -> None:
        """Make the judge.

        Args:
            criteria: the rubric, in words that a careful reader would decide by.
            name: the metric's name.
            model: `provider:model` of the judge.
            threshold: the lowest passing score on a scale of numbers; None where no single case can fail.
            scale: `pass_fail`, or lowest and highest whole number: `1-5`, `(1, 5)`.
            required: a miss fails its case always, baseline or not.
            prompt: in place of the rubric prompt that comes along; its variables are criteria, data, marker,
                instruction, and expected (true where the case expects something).

        Raises:
            MisuseError: the rubric is empty, the scale unknown, or the threshold not on the scale.
        """
        if not criteria.strip():
            raise MisuseError(f"The judge {name!r} has no criteria: say what a right answer does.")
        self._criteria = criteria
        self._model = model
        self._scale = read_scale(scale)
        form: dict[str, JsonValue] = {"name": "judgement", "strict": True, "schema": self._scale.schema}
        self._prompt = prompt or read_prompt(_PROMPT)
        self._asked = replace(self._prompt, response_format={"type": "json_schema", "json_schema": form})
        self.metric = _metric(name, self._scale, threshold, required=required, version=self._version())

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:
        """Return the judge's score and reason.

        Raises:
            JudgeError: the judge's reply is not exactly one valid verdict.
            CallError: the judge could not be asked.
        """
        try:
            reply = await caller.acall(self.request(case, response))
        except BadAnswerError as error:
            # A judge that refuses or is cut off has judged nothing: its fault must not score the answer.
            raise self._no_verdict(case, str(error)) from error
        try:
            judgement = self._scale.read(reply.text)
        except ValueError as error:
            raise self._no_verdict(case, f"{error}. It replied: {reply.text[:_QUOTED]!r}") from None
        return self.metric.score(judgement.value, reason=judgement.reason)

    def request(self, case: Case, response: Response) -> Request:
        """Return the one question that the judge is asked about an answer."""
        content: dict[str, JsonValue] = {
            "criteria": self._criteria,
            "input": case.inputs,
            "output": response.text,
            "expected": case.expected,
        }
        marker = marker_of(content)
        blocks = {"input": _inputs(case.inputs), "output": response.text}
        if case.expected is not None:
            blocks["expected"] = as_text(case.expected)
        variables = {
            "criteria": self._criteria,
            "data": fenced(blocks, marker),
            "marker": marker,
            "instruction": self._scale.instruction,
            "expected": case.expected is not None,
        }
        return self._asked.render(variables, model=self._model)

    def _version(self) -> str:
        return digest(
            {
                "prompt": self._prompt.digest,
                "criteria": self._criteria,
                "scale": self._scale.schema,
                "instruction": self._scale.instruction,
                "model": self._model,
                "version": VERSION,
            }
        )[:SHORT]

    def _no_verdict(self, case: Case, why: str) -> JudgeError:
        judge = f"The judge {self.metric.name!r} ({self._model})"
        return JudgeError(f"{judge} gave no valid verdict on the case {case.id!r}: {why}")


def _metric(name: str, scale: Scale, threshold: float | None, *, required: bool, version: str) -> Metric:
    if scale.key == "verdict":
        if threshold is not None:
            raise MisuseError(
                f"The judge {name!r} says pass or fail, which takes no threshold; "
                "for one give a scale of numbers, such as '1-5'."
            )
        return Metric(name=name, version=version, required=required, free=False)
    low, high = float(scale.marks[0]), float(scale.marks[-1])
    if threshold is not None and not (isinstance(threshold, int | float) and low < threshold <= high):
        raise MisuseError(
            f"The threshold {threshold!r} of the judge {name!r} is not on its scale: above {low:g}, "
            f"at most {high:g}."
        )
    return Metric(
        name=name,
        version=version,
        kind="score",
        range=(low, high),
        threshold=threshold,
        required=required,
        free=False,
    )


def _inputs(inputs: Mapping[str, JsonValue]) -> str:
    """Return a single input bare, as the prompt's own reader sees it; several as JSON."""
    return as_text(next(iter(inputs.values())) if len(inputs) == 1 else dict(inputs))
