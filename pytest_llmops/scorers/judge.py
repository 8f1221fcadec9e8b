"""Let models judge an answer by a rubric."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from pytest_llmops.calls.exchange import Caller, Request, Response
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.certainty import expected_value
from pytest_llmops.scorers.fence import asked_of, fields_of, known_of
from pytest_llmops.scorers.question import Question
from pytest_llmops.scorers.reply import verdict_of
from pytest_llmops.scorers.scale import Judgement, Scale, read_scale
from pytest_llmops.scorers.score import Metric, Score, divides
from pytest_llmops.scorers.side_by_side import side_by_side
from pytest_llmops.scorers.votes import Vote, added_up, rule_of
from pytest_llmops.store.canonical import SHORT, digest

VERSION: Final = 2
"""Part of the metric version: raised when the same reply could give another score."""

_PROMPT = Path(__file__).with_name("rubric.prompt.yml")


class RubricJudge:
    """Ask one or more models whether, or how well, an answer meets a rubric."""

    def __init__(
        self,
        criteria: str = "",
        *,
        name: str,
        model: str | Sequence[str],
        threshold: float | None = None,
        scale: str | Sequence[float] = "pass_fail",
        repeats: int = 1,
        vote: str | None = None,
        logprobs: bool = False,
        required: bool = False,
        prompt: Prompt | None = None,
    ) -> None:
        """Make the judge.

        Args:
            criteria: the rubric, in words that a careful reader would decide by.
            name: the metric's name.
            model: `provider:model` of the judge, or of each juror.
            threshold: the lowest passing score; None where no single case can fail. Pass and fail need none,
                where their probabilities or the jurors' mean are the score it is 0.5.
            scale: `pass_fail`; lowest and highest whole number: `1-5`, `(1, 5)`; or `(0, 1)` for any between.
            repeats: how often each model is asked.
            vote: how several verdicts make one score: `majority` (of passes and fails) or `mean`.
            logprobs: ask for log-probabilities: the score is the probability of a pass, or the mean mark;
                where the endpoint tells none, the verdict itself.
            required: a miss fails its case always, baseline or not.
            prompt: the judge's own prompt in place of the one that comes along; see `Question`.

        Raises:
            MisuseError: the rubric is empty, the scale unknown, or the threshold not on the scale.
        """
        if not criteria.strip() and prompt is None:
            raise MisuseError(f"The judge {name!r} has no criteria: say what a right answer does.")
        self._models = (model,) if isinstance(model, str) else tuple(model)
        self._scale = read_scale(scale)
        self._repeats = repeats
        self._rule = rule_of(vote, self._scale, probable=logprobs)
        self._question = Question(
            prompt or rubric_prompt(),
            criteria=criteria,
            instruction=self._scale.instruction,
            schema=self._scale.schema,
            logprobs=logprobs,
        )
        self.calibrated_by = ""
        """The command that holds this judge against labels of people; empty where none is known."""
        fractions = logprobs or self._rule == "mean"
        self.metric = _metric(
            name, self._scale, threshold, fractions=fractions, required=required, version=self._version()
        )

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:
        """Return what the judges say together, with their reasons.

        Raises:
            JudgeError: a judge's reply is not exactly one valid verdict.
            CallError: a judge could not be asked.
        """
        asked = [(model, repeat) for model in self._models for repeat in range(1, self._repeats + 1)]
        votes = await side_by_side(
            [self._vote(case, response, caller, model, repeat) for model, repeat in asked]
        )
        judgement, label = added_up(votes, self._rule, span=self._scale.high - self._scale.low)
        score = self.metric.score(judgement.value, reason=judgement.reason)
        return Score(value=score.value, passed=score.passed, reason=score.reason, label=label)

    def request(self, case: Case, response: Response, *, model: str = "", repeat: int = 1) -> Request:
        """Return the question that one judge, the first where none is named, is asked about an answer."""
        blocks = {**asked_of(case), "output": response.text, **known_of(case, response)}
        return self._question.request(
            blocks,
            model=model or self._models[0],
            repeat=repeat,
            fields=fields_of(case),
            metadata=case.metadata,
        )

    async def _vote(self, case: Case, response: Response, caller: Caller, model: str, repeat: int) -> Vote:
        request = self.request(case, response, model=model, repeat=repeat)
        reply, judgement = await verdict_of(request, caller, self._scale.read, metric=self.metric, case=case)
        likely = expected_value(reply, self._scale) if reply.logprobs else None
        if likely is not None:
            judgement = Judgement(value=likely, reason=judgement.reason)
        return Vote(by=model, judgement=judgement)

    def _version(self) -> str:
        return digest(
            {
                **self._question.identity,
                "scale": self._scale.schema,
                "models": self._models,
                "repeats": self._repeats,
                "vote": self._rule,
                "version": VERSION,
            }
        )[:SHORT]


@cache
def rubric_prompt() -> Prompt:
    """Return the prompt of judges that have none of their own."""
    return read_prompt(_PROMPT)


def _metric(
    name: str, scale: Scale, threshold: float | None, *, fractions: bool, required: bool, version: str
) -> Metric:
    if scale.key == "verdict":
        if threshold is None and fractions:
            threshold = 0.5
        if threshold is not None and not fractions:
            raise MisuseError(
                f"The judge {name!r} says pass or fail, which takes no threshold; "
                "for one give a scale of numbers such as '1-5', or vote='mean', or logprobs=True."
            )
    if threshold is not None and not divides(threshold, scale.low, scale.high):
        raise MisuseError(
            f"The threshold {threshold!r} of the judge {name!r} is not on its scale: above {scale.low:g}, "
            f"at most {scale.high:g}."
        )
    return Metric(
        name=name,
        version=version,
        kind="pass_fail" if scale.key == "verdict" else "score",
        range=(float(scale.low), float(scale.high)),
        threshold=threshold,
        required=required,
        free=False,
        judged=True,
    )
