"""Ask the model to mend an answer that its schema refuses, and count what that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_llmops.calls.exchange import Caller, Request, Response
from pytest_llmops.errors import BadAnswerError, MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.fence import as_text, fenced, marker_of
from pytest_llmops.scorers.schema import SchemaScorer
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.store.canonical import SHORT, JsonValue, digest

VERSION: Final = 1
"""Part of the metric version: raised when the same replies could give another score."""

MOST: Final = 3
"""Repairs that may be asked for: an answer that three cannot mend needs another prompt."""

_LEAST: Final = 0.0001
"""US dollars below which no amount is named."""

_PROMPT = Path(__file__).with_name("repair.prompt.yml")


class RepairScorer:
    """Score whether an answer fits a schema after at most so many repairs; a valid one is not touched."""

    def __init__(
        self, first: SchemaScorer, *, model: str, repair: int, name: str = "", required: bool = False
    ) -> None:
        """Make the scorer.

        Args:
            first: what scores the first answer.
            model: `provider:model` that repairs: the one that answers.
            repair: most repairs of one answer, 1 to `MOST`.
            name: the metric's name; that of the first answer's with `_repaired` where empty.
            required: a miss fails its case always, baseline or not.

        Raises:
            MisuseError: `repair` is out of its range.
        """
        if isinstance(repair, bool) or not isinstance(repair, int) or not 1 <= repair <= MOST:
            raise MisuseError(f"repair={repair!r}: give a whole number of repairs, 0 to {MOST}.")
        self._first = first
        self._model = model
        self._repair = repair
        self._prompt = _prompt(first.schema)
        version = digest(
            {
                "first": first.metric.version,
                "prompt": self._prompt.digest,
                "model": model,
                "repair": repair,
                "version": VERSION,
            }
        )[:SHORT]
        name = name or f"{first.metric.name}_repaired"
        self.metric = Metric(name=name, version=version, required=required, free=False)

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:  # noqa: ARG002
        """Return 1 where the answer is valid, or was made so, else 0; the reason says what the repairs took.

        Raises:
            CallError: the model could not be asked.
        """
        answer, spent = response.text, Spent()
        violations = self._first.reason(answer)
        while violations and spent.repairs < self._repair:
            try:
                reply = await caller.acall(self.request(answer, violations))
            except BadAnswerError as error:
                # The same question again would most likely give the same.
                spent = spent.plus_bad(error)
                violations = f"the repair is no answer: {error}"
                break
            spent = spent.plus(reply)
            if reply.text == answer:
                break
            answer, violations = reply.text, self._first.reason(reply.text)
        if not spent.repairs:
            return self.metric.score(True)
        if violations:
            return self.metric.score(False, reason=f"not valid after {spent}: {violations}")
        return self.metric.score(True, reason=f"valid after {spent}")

    def request(self, answer: str, violations: str) -> Request:
        """Return the question for one repair."""
        content: dict[str, JsonValue] = {
            "answer": answer,
            "schema": self._first.schema,
            "violations": violations,
        }
        marker = marker_of(content)
        blocks = {name: as_text(value) for name, value in content.items()}
        return self._prompt.render({"data": fenced(blocks, marker), "marker": marker}, model=self._model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Count what the repairs of one answer took; as text it is for the reader."""

    repairs: int = 0
    tokens: int | None = 0
    """In and out; None where the provider did not count them."""
    cost: float | None = 0.0
    """US dollars; None where the price is not known."""

    def plus(self, reply: Response) -> Spent:
        """Return the sum with one more repair."""
        usage = reply.usage
        return self._plus(usage.input_tokens, usage.output_tokens, reply.cost)

    def plus_bad(self, error: BadAnswerError) -> Spent:
        """Return the sum with one more repair, whose reply was unusable."""
        return self._plus(error.input_tokens, error.output_tokens, None)

    def __str__(self) -> str:
        tokens = "tokens not counted" if self.tokens is None else f"{self.tokens} tokens"
        return f"{self.repairs} repair{'s' if self.repairs > 1 else ''} ({tokens}{_dollars(self.cost)})"

    def _plus(self, given: int | None, written: int | None, cost: float | None) -> Spent:
        counted = self.tokens is not None and given is not None and written is not None
        return Spent(
            repairs=self.repairs + 1,
            tokens=self.tokens + given + written if counted else None,  # type: ignore[operator]
            cost=self.cost + cost if self.cost is not None and cost is not None else None,
        )


def _dollars(cost: float | None) -> str:
    if cost is None:
        return ""
    return ", under $0.0001" if 0 < cost < _LEAST else f", ${cost:.4f}"


def _prompt(schema: Mapping[str, JsonValue]) -> Prompt:
    prompt = read_prompt(_PROMPT)
    if schema.get("type") != "object":
        # Endpoints take a schema of an object alone, and refuse the call for any other.
        return prompt
    form: dict[str, JsonValue] = {"name": "corrected", "schema": schema}
    return replace(prompt, response_format={"type": "json_schema", "json_schema": form})
