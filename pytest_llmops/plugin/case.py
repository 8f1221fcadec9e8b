"""Hold what a test sees of its case: the fixture `llm_case`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_llmops.calls.exchange import Request, Response
from pytest_llmops.errors import BadAnswerError
from pytest_llmops.golden.case import Case
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.answer import parse_answer
from pytest_llmops.store.canonical import JsonValue

SHOWN = 80
"""Characters of the answer that the case shows of itself."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LlmCase:
    """Be one golden case with the model's answer to it."""

    case: Case
    repeat: int
    prompt: Prompt
    request: Request
    answer: Response | BadAnswerError

    def __repr__(self) -> str:
        # pytest shows it in every traceback: short, and with control characters escaped.
        answer = str(self.answer) if isinstance(self.answer, BadAnswerError) else self.answer.text
        return f"<llm_case {self.id!r}: {answer[:SHOWN]!r}>"

    @property
    def id(self) -> str:
        """Return the id of the golden row."""
        return self.case.id

    @property
    def inputs(self) -> Mapping[str, JsonValue]:
        """Return the variables that the prompt was rendered with."""
        return self.case.inputs

    @property
    def expected(self) -> Any:
        """Return what the golden row expects."""
        return self.case.expected

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags of the golden row."""
        return self.case.tags

    @property
    def messages(self) -> tuple[Mapping[str, JsonValue], ...]:
        """Return the conversation so far that the golden row holds."""
        return self.case.messages

    @property
    def context(self) -> tuple[str, ...]:
        """Return the passages that the answer rests on: a target's own, else those of the golden row."""
        retrieved = () if isinstance(self.answer, BadAnswerError) else self.answer.context
        return retrieved or self.case.context

    @property
    def response(self) -> Response:
        """Return the model's answer with its usage and timing.

        Raises:
            BadAnswerError: the answer is cut off, filtered, refused or empty.
        """
        if isinstance(self.answer, BadAnswerError):
            raise self.answer
        return self.answer

    @property
    def text(self) -> str:
        """Return the text of the answer."""
        return self.response.text

    @property
    def json(self) -> Any:
        """Return the answer as JSON; what it lacks is a miss of the case.

        Raises:
            AnswerError: the text is not JSON, or a key or index that the test asks for is not there.
        """
        return parse_answer(self.text)
