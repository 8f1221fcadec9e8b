"""Judge which of some words describes an answer best, by their likelihood after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pytest_llmops.calls.exchange import Caller, Response
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.forced import Unforced, forcible, log_likelihoods, no_verdict
from pytest_llmops.scorers.likelihood import likelihood_metric
from pytest_llmops.scorers.score import Score
from pytest_llmops.store.canonical import JsonValue

VERSION: Final = 1
"""Part of the metric version: raised when the same log-probabilities could give another score."""

FORM: Final = '"{text}"\n{criteria}'

CONTENT_FREE: Final = ("N/A", "...", "Here is a reply.")
"""Texts that say nothing: what a model holds of a label after these is its prejudice (Zhao et al. 2021)."""


class LabelJudge:
    """Score how probable the first of some labels is, such as `polite` against `rude`; no verdict is read.

    The model is made to write each label after the quoted answer and the start of a statement about it. From
    its log-probability the mean one after texts without content is taken away, so that a common word has no
    advantage; the softmax of the differences is the probability of each label.
    """

    def __init__(
        self,
        criteria: str,
        *,
        labels: Sequence[str],
        name: str,
        model: str,
        threshold: float | None = None,
        required: bool = False,
    ) -> None:
        """Make the judge.

        Args:
            criteria: the start of the statement that a label ends, such as "This reply is".
            labels: two words or more; the score is the probability of the first.
            name: the metric's name.
            model: `provider:model` of the judge; its server must force answers, as llama.cpp does.
            threshold: the lowest passing score, above 0 and at most 1; None where no single case can fail.
            required: a miss fails its case always, baseline or not.

        Raises:
            MisuseError: there are no criteria or fewer than two labels, or the threshold is not on the scale.
        """
        self._criteria = criteria.strip()
        if not self._criteria:
            raise MisuseError(
                f"The judge {name!r} has labels and no criteria: write the start of a statement that a label "
                'ends, such as "This reply is".'
            )
        self._labels = _checked(labels, name)
        self._model = model
        self.calibrated_by = ""
        """The command that holds this judge against labels of people; empty where none is known."""
        content: dict[str, JsonValue] = {
            "version": VERSION,
            "form": FORM,
            "content_free": CONTENT_FREE,
            "criteria": self._criteria,
            "labels": self._labels,
            "model": model,
        }
        self.metric = likelihood_metric(name, threshold, required=required, version=content)

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:
        """Return the probability of the first label and the likeliest label; an empty answer scores 0.

        Raises:
            JudgeError: the endpoint does not force answers, or the answer is too long.
            CallError: the judge could not be asked.
        """
        try:
            text = forcible(response.text)
            if not text:
                return self.metric.score(0.0, reason="The answer is empty.")
            shares = await self._shares(text, caller)
        except Unforced as why:
            raise no_verdict(self.metric.name, self._model, case.id, why) from None
        told = ", ".join(f"{label} {share:.0%}" for label, share in shares.items())
        score = self.metric.score(shares[self._labels[0]], reason=f"{self._criteria}: {told}.")
        return replace(score, label=max(shares, key=lambda label: shares[label]))

    async def _shares(self, text: str, caller: Caller) -> dict[str, float]:
        texts = (text, *CONTENT_FREE)
        asked = [
            (FORM.format(text=each, criteria=self._criteria), f" {label}")
            for each in texts
            for label in self._labels
        ]
        found = await log_likelihoods(asked, self._model, caller)
        size = len(self._labels)
        own, *prejudices = [found[start : start + size] for start in range(0, len(found), size)]
        means = [math.fsum(each) / len(each) for each in zip(*prejudices, strict=True)]
        gains = [mine - mean for mine, mean in zip(own, means, strict=True)]
        return dict(zip(self._labels, softmax(gains), strict=True))


def softmax(gains: Sequence[float]) -> list[float]:
    """Return the probabilities in proportion to the exponentials of `gains`."""
    most = max(gains)
    weights = [math.exp(gain - most) for gain in gains]
    return [weight / math.fsum(weights) for weight in weights]


def _checked(labels: Sequence[str], name: str) -> tuple[str, ...]:
    words = () if isinstance(labels, str) else tuple(labels)
    fit = [word.strip() for word in words if isinstance(word, str) and word.strip()]
    if len(fit) < len(words) or len(set(fit)) < max(2, len(words)):
        raise MisuseError(
            f'The judge {name!r} takes two or more different labels, such as labels=("polite", "rude"), '
            f"the one that scores best first; not {labels!r}."
        )
    return tuple(fit)
