"""Let models say whether an answer is better than the stored one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from pytest_llmops.calls.exchange import Caller, Request, Response
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.fence import asked_of, fields_of, known_of
from pytest_llmops.scorers.question import Question
from pytest_llmops.scorers.reply import verdict_of
from pytest_llmops.scorers.scale import read_reply
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.scorers.side_by_side import side_by_side
from pytest_llmops.scorers.votes import SPLIT
from pytest_llmops.store.canonical import SHORT, digest

VERSION: Final = 1
"""Part of the metric version: raised when the same reply could give another score."""

BETTER, WORSE, TIE, INCONSISTENT = "better", "worse", "tie", "inconsistent"
"""Classes of an answer beside the stored one; inconsistent is one whose verdict depends on the order."""

VALUES: Final = {BETTER: 1.0, WORSE: -1.0, TIE: 0.0, INCONSISTENT: 0.0, SPLIT: 0.0}

INSTRUCTION: Final = 'as "better" write "first", "second", or "tie" where neither is better'

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "better": {"type": "string", "enum": ["first", "second", "tie"]},
    },
    "required": ["reason", "better"],
    "additionalProperties": False,
}

_PROMPT = Path(__file__).with_name("pairwise.prompt.yml")


class PairwiseJudge:
    """Ask one or more models which of two answers meets a rubric better, in both orders."""

    def __init__(
        self,
        criteria: str = "",
        *,
        name: str,
        model: str | Sequence[str],
        required: bool = False,
        prompt: Prompt | None = None,
    ) -> None:
        """Make the judge.

        Args:
            criteria: the rubric, in words that a careful reader would decide by.
            name: the metric's name.
            model: `provider:model` of the judge, or of each juror; the class that more than half of them
                find counts.
            required: an answer that is worse fails its case always.
            prompt: the judge's own prompt; its variables are those of `Question`, with `first` and `second`
                in place of `output`.

        Raises:
            MisuseError: the rubric is empty.
        """
        if not criteria.strip() and prompt is None:
            raise MisuseError(f"The judge {name!r} has no criteria: say what makes an answer better.")
        self._models = (model,) if isinstance(model, str) else tuple(model)
        self._question = Question(
            prompt or pairwise_prompt(),
            criteria=criteria,
            instruction=INSTRUCTION,
            schema=SCHEMA,
            logprobs=False,
        )
        self.calibrated_by = ""
        """The command that holds this judge against labels of people; empty where none is known."""
        version = digest({**self._question.identity, "models": self._models, "version": VERSION})[:SHORT]
        self.metric = Metric(
            name=name,
            version=version,
            kind="score",
            range=(-1.0, 1.0),
            # An answer that is worse than the stored one is a miss.
            threshold=0.0,
            required=required,
            free=False,
            judged=True,
        )

    async def prefer(self, case: Case, response: Response, stored: Response, caller: Caller) -> Score:
        """Return 1 where `response` is better than `stored`, -1 where it is worse, else 0.

        The score's label says which of better, worse, tie, inconsistent (the verdict depends on the order) or
        split (jurors differ) it is. Equal texts are a tie without a call.

        Raises:
            JudgeError: a judge's reply is not exactly one valid verdict.
            CallError: a judge could not be asked.
        """
        if response.text == stored.text:
            return self._score(TIE, "the answers are equal")
        found = await side_by_side(
            [self._both_orders(case, response, stored, caller, model) for model in self._models]
        )
        label, votes = Counter(label for label, _ in found).most_common(1)[0]
        if len(found) == 1:
            return self._score(*found[0])
        told = "; ".join(
            f"{model} {each}: {why}" for model, (each, why) in zip(self._models, found, strict=True)
        )
        return self._score(label if 2 * votes > len(found) else SPLIT, told)

    def request(
        self, case: Case, first: Response, second: Response, *, known: Response, model: str = ""
    ) -> Request:
        """Return the question in one order; `known` is the answer whose passages count."""
        blocks = {**asked_of(case), "first": first.text, "second": second.text, **known_of(case, known)}
        return self._question.request(
            blocks, model=model or self._models[0], fields=fields_of(case), metadata=case.metadata
        )

    async def _both_orders(
        self, case: Case, response: Response, stored: Response, caller: Caller, model: str
    ) -> tuple[str, str]:
        orders = ((response, stored), (stored, response))
        asked = [self.request(case, first, second, known=response, model=model) for first, second in orders]
        (_, (reason, better)), (_, (_, swapped)) = await side_by_side(
            [verdict_of(request, caller, _read, metric=self.metric, case=case) for request in asked]
        )
        match better, swapped:
            case "first", "second":
                return BETTER, reason
            case "second", "first":
                return WORSE, reason
            case "tie", "tie":
                return TIE, reason
        return INCONSISTENT, f"{better} is better in one order, {swapped} in the other"

    def _score(self, label: str, reason: str) -> Score:
        score = self.metric.score(VALUES[label], reason=f"{label}: {reason}")
        return Score(value=score.value, passed=score.passed, reason=score.reason, label=label)


def _read(reply: str) -> tuple[str, str]:
    reason, better = read_reply(reply, "better")
    if better in ("first", "second", "tie"):
        return reason, str(better)
    raise ValueError(f'its "better" is none of first, second, tie: {better!r:.80}')


@cache
def pairwise_prompt() -> Prompt:
    """Return the prompt of judges that have none of their own."""
    return read_prompt(_PROMPT)
