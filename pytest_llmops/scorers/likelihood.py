"""Judge an answer by how much likelier its context makes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from pytest_llmops.calls.exchange import Caller, Response
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.fence import as_text
from pytest_llmops.scorers.forced import Unforced, forcible, log_likelihoods, no_verdict
from pytest_llmops.scorers.score import Metric, Score, divides
from pytest_llmops.store.canonical import SHORT, JsonValue, digest

VERSION: Final = 1
"""Part of the metric version: raised when the same log-probabilities could give another score."""

# The question stands before the text as well: a small model reads a text better when it knows what for.
# The quotes show where the answer ends: the beginning of a better one must not do.
_ASKED: Final = 'So the short answer to the question "{question}" is "'
WITH: Final = f"Question: {{question}}\n{{context}}\n{_ASKED}"
WITHOUT: Final = f"Question: {{question}}\n{_ASKED}"
END: Final = '"'

HALF: Final = 5.0
"""Nats of surprise left, weighted, at which the score is one half."""


class ContextJudge:
    """Score how much likelier its context makes an answer; no word of a judge is read.

    The model is made to write the answer once after context and question, and once after the question alone.
    Of the surprises S = -log P of the two, in nats, the difference is the pointwise mutual information of
    answer and context. The score is the logistic function of log S(alone) - 2 log S(with context) + log 5,
    that is 1 / (1 + left / 5 nats), where `left` is the surprise that the context leaves, times the share
    that it leaves: near 1 where the context makes the answer certain, near 0 where it does not help.
    """

    def __init__(
        self,
        *,
        name: str,
        model: str,
        threshold: float | None = None,
        context: str = "context",
        question: str = "question",
        required: bool = False,
    ) -> None:
        """Make the judge.

        Args:
            name: the metric's name.
            model: `provider:model` of the judge; its server must force answers, as llama.cpp does.
            threshold: the lowest passing score, above 0 and at most 1; None where no single case can fail.
            context: the input that holds the context, where neither answer nor case has passages.
            question: the input that holds the question; the only other input may have any name.
            required: a miss fails its case always, baseline or not.

        Raises:
            MisuseError: the threshold is not on the scale.
        """
        self._model = model
        self._context = context
        self._question = question
        self.calibrated_by = ""
        """The command that holds this judge against labels of people; empty where none is known."""
        content: dict[str, JsonValue] = {
            "version": VERSION,
            "with": WITH,
            "without": WITHOUT,
            "end": END,
            "half": HALF,
            "model": model,
            "inputs": [context, question],
        }
        self.metric = likelihood_metric(name, threshold, required=required, version=content)

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:
        """Return the score, with both likelihoods as reason; an empty answer scores 0.

        Raises:
            JudgeError: the endpoint does not force answers, or the answer is too long.
            MisuseError: the case has no context or no question.
            CallError: the judge could not be asked.
        """
        context, question = self._texts(case, response)
        try:
            answer = forcible(response.text)
            if not answer:
                return self.metric.score(0.0, reason="The answer is empty.")
            prompts = [form.format(question=question, context=context) for form in (WITH, WITHOUT)]
            asked = [(prompt, answer + END) for prompt in prompts]
            informed, alone = await log_likelihoods(asked, self._model, caller)
        except Unforced as why:
            raise no_verdict(self.metric.name, self._model, case.id, why) from None
        return self.metric.score(likelihood_score(informed, alone), reason=_reason(informed, alone))

    def _texts(self, case: Case, response: Response) -> tuple[str, str]:
        inputs = dict(case.inputs)
        passages: JsonValue = response.context or case.context or inputs.get(self._context)
        inputs.pop(self._context, None)
        if self._question in inputs or len(inputs) != 1:
            question = inputs.get(self._question) or _last_asked(case)
        else:
            question = next(iter(inputs.values()))
        if not passages:
            raise self._missing(case, "context", self._context, "or `context`, its passages")
        if question is None or question == "":
            raise self._missing(case, "question", self._question, "or one other input alone")
        return _joined(passages), as_text(question)

    def _missing(self, case: Case, what: str, name: str, otherwise: str) -> MisuseError:
        held = ", ".join(case.inputs) or "none"
        return MisuseError(
            f"The judge {self.metric.name!r} finds no {what} in the case {case.id!r}: give the row an input "
            f"{name!r} {otherwise}, or name the input that holds it: llm_judge({what}=…). Its inputs: {held}."
        )


def likelihood_score(informed: float, alone: float) -> float:
    """Return 1 / (1 + left / 5), with left = informed² / -alone: 0 at the least, 1 for a certain answer.

    Args:
        informed: log-probability of the answer with its context, at most 0.
        alone: the same without it.
    """
    squared = informed * informed
    # The square of next to nothing is nothing.
    return HALF * -alone / (HALF * -alone + squared) if squared else 1.0


def likelihood_metric(
    name: str, threshold: float | None, *, required: bool, version: Mapping[str, JsonValue]
) -> Metric:
    """Return the metric of a likelihood judge, from 0 to 1.

    Args:
        name: the metric's name.
        threshold: the lowest passing score, or None.
        required: a miss fails its case always.
        version: all that decides the score.

    Raises:
        MisuseError: the threshold is not on the scale.
    """
    if threshold is not None and not divides(threshold, 0, 1):
        raise MisuseError(
            f"The threshold {threshold!r} of the judge {name!r} is not on its scale: above 0, at most 1."
        )
    return Metric(
        name=name,
        version=digest(version)[:SHORT],
        kind="score",
        threshold=threshold,
        required=required,
        free=False,
        judged=True,
    )


def _last_asked(case: Case) -> JsonValue:
    asked = [message.get("content") for message in case.messages if message.get("role") == "user"]
    return asked[-1] if asked else None


def _joined(passages: JsonValue) -> str:
    return "\n".join(map(as_text, passages)) if isinstance(passages, list | tuple) else as_text(passages)


def _reason(informed: float, alone: float) -> str:
    taken = 1 - informed / alone if alone else 0.0
    factor = math.exp(min(informed - alone, 700.0))
    return (
        f"The context makes the answer {factor:.3g} times as likely and takes away {taken:.0%} "
        f"of its surprise (log-probability {informed:.1f} with it, {alone:.1f} without)."
    )
