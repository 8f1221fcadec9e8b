"""Make the judge that a marker or the command line describes, so that both make the same version."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.judge import RubricJudge
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

    @property
    def judged_by(self) -> str:
        """Return what it judges by, for people."""
        return ": ".join(part for part in (self.file, self.criteria) if part)

    @property
    def asks_logprobs(self) -> bool:
        """Tell whether log-probabilities are asked for."""
        if self.logprobs is None:
            # The embedded model tells them; elsewhere some servers refuse a question that asks for them.
            return all(model.startswith("local:") for model in self.models)
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
        }
        words = ["llmops", "judge", "calibrate", *([self.file] if self.file else []), "--labels=LABELS.jsonl"]
        words += [f"--{name}={value}" for name, value in options.items() if value]
        words += [f"--model={model}" for model in self.models]
        words += ["--pairwise"] if self.pairwise else []
        if self.logprobs is not None:
            words.append("--logprobs" if self.logprobs else "--no-logprobs")
        return shlex.join(words)

    def judge(self, name: str) -> RubricJudge | PairwiseJudge:
        """Return the judge under a name, which is no part of its version.

        Raises:
            MisuseError: the description is of no judge.
        """
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
