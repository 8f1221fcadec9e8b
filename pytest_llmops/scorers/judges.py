"""Make the judge that a marker or the command line describes, so that both make the same version."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llmops.calls.exchange import EMBEDDED, split_model
from pytest_llmops.errors import MisuseError
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.judge import RubricJudge
from pytest_llmops.scorers.label import LabelJudge
from pytest_llmops.scorers.likelihood import ContextJudge
from pytest_llmops.scorers.pairwise import PairwiseJudge


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """Be all that decides the version of a judge."""

    models: Sequence[str]
    """`provider:model` of each juror."""
    criteria: str = ""
    prompt: Prompt | None = None
    """The judge's own prompt; None for the one that comes along."""
    file: str = ""
    """The name under which people know that prompt."""
    scale: str | Sequence[float] = "pass_fail"
    repeats: int = 1
    vote: str | None = None
    logprobs: bool | None = None
    """Ask for log-probabilities; None asks models that are known to tell them."""
    pairwise: bool = False
    likelihood: bool = False
    """Compare how likely the context makes the answer; no verdict is asked for."""
    labels: Sequence[str] | None = None
    """Words of which the likeliest is found; the criteria are the start of the statement that they end."""
    context: str = "context"
    """The input that holds the context."""
    question: str = "question"
    """The input that holds the question."""

    @property
    def judged_by(self) -> str:
        """Return what it judges by, for people."""
        if self.likelihood:
            return "likelihood with and without the context"
        return ": ".join(part for part in (self.file, self.criteria, "/".join(self.labels or ())) if part)

    @property
    def asks_logprobs(self) -> bool:
        """Tell whether log-probabilities are asked for."""
        if self.logprobs is None:
            # The embedded model tells them; elsewhere some servers refuse a question that asks for them.
            return all(split_model(model)[0] == EMBEDDED for model in self.models)
        return self.logprobs

    @property
    def command(self) -> str:
        """Return the command that calibrates it."""
        # As they are written: 0 to 10 are marks, and 0.0 to 10.0 are numbers.
        scale = self.scale if isinstance(self.scale, str) else "-".join(map(repr, self.scale))
        options = {
            "criteria": self.criteria,
            "scale": "" if scale == "pass_fail" else scale,
            "repeats": str(self.repeats) if self.repeats != 1 else "",
            "vote": self.vote or "",
            "labels-of": ",".join(self.labels or ()),
            "context": self.context if self.context != "context" else "",
            "question": self.question if self.question != "question" else "",
        }
        words = ["llmops", "judge", "calibrate", *([self.file] if self.file else []), "--labels=LABELS.jsonl"]
        words += [f"--{name}={value}" for name, value in options.items() if value]
        words += [f"--model={model}" for model in self.models]
        words += [f"--{name}" for name in ("pairwise", "likelihood") if getattr(self, name)]
        if self.logprobs is not None:
            words.append("--logprobs" if self.logprobs else "--no-logprobs")
        return shlex.join(words)

    def judge(self, name: str) -> RubricJudge | PairwiseJudge | ContextJudge | LabelJudge:
        """Return the judge under a name, which is no part of its version.

        Raises:
            MisuseError: the description is of no judge.
        """
        if self.likelihood or self.labels is not None:
            return self.likely(name)
        return self.pairs(name) if self.pairwise else self.verdicts(name)

    def verdicts(self, name: str, *, threshold: float | None = None, required: bool = False) -> RubricJudge:
        """Return the judge of single answers.

        Args:
            name: the metric's name.
            threshold: the lowest passing score, no part of the version.
            required: a miss fails its case always.

        Raises:
            MisuseError: the description is of no judge.
        """
        judge = RubricJudge(
            self.criteria,
            name=name,
            model=self.models,
            threshold=threshold,
            scale=self.scale,
            repeats=self.repeats,
            vote=self.vote,
            logprobs=self.asks_logprobs,
            required=required,
            prompt=self.prompt,
        )
        judge.calibrated_by = self.command
        return judge

    def likely(
        self, name: str, *, threshold: float | None = None, required: bool = False
    ) -> ContextJudge | LabelJudge:
        """Return the judge that compares likelihoods; the arguments are those of `verdicts`.

        Raises:
            MisuseError: the description is of no judge.
        """
        if len(self.models) != 1:
            raise MisuseError(f"The judge {name!r} compares likelihoods, which one model tells: name one.")
        judge: ContextJudge | LabelJudge
        if self.labels is None:
            judge = ContextJudge(
                name=name,
                model=self.models[0],
                threshold=threshold,
                context=self.context,
                question=self.question,
                required=required,
            )
        else:
            judge = LabelJudge(
                self.criteria,
                labels=self.labels,
                name=name,
                model=self.models[0],
                threshold=threshold,
                required=required,
            )
        judge.calibrated_by = self.command
        return judge

    def pairs(self, name: str, *, required: bool = False) -> PairwiseJudge:
        """Return the judge of pairs of answers.

        Raises:
            MisuseError: the description is of no judge.
        """
        judge = PairwiseJudge(
            self.criteria, name=name, model=self.models, required=required, prompt=self.prompt
        )
        judge.calibrated_by = self.command
        return judge
