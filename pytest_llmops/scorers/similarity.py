"""Score how near the answer is in meaning to what was expected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_llmops.calls.exchange import Caller, EmbeddingRequest, Response, full_name, split_model
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.providers.wordllama import DEFAULT_MODEL, INSTALL, PACKAGE, is_installed
from pytest_llmops.scorers.score import Metric, Score, divides
from pytest_llmops.store.canonical import SHORT, JsonValue, digest

VERSION: Final = 1
"""Part of every metric version: raised when the same answer could get another score."""

_SHOWN = 120
"""Characters of a text that a reason quotes."""


def similarity_scorer(
    *,
    model: str | None = None,
    name: str | None = None,
    value: JsonValue = None,
    threshold: float | None = None,
    required: bool = False,
) -> SimilarityScorer:
    """Return the scorer of the cosine between the vectors of answer and expected text; below 0 counts as 0.

    Args:
        model: `provider:model` that makes the vectors; None for wordllama's, which needs no endpoint.
        name: the metric's name; `similarity` where None.
        value: text, or texts of which the nearest counts; None takes what the case expects.
        threshold: the lowest passing score, above 0 and at most 1; None where no single case can fail.
        required: a miss fails its case always, baseline or not.

    Raises:
        MisuseError: no model is named and wordllama is not installed, or a value or threshold is wrong.
    """
    if model is None and not is_installed():
        raise MisuseError(
            f"The metric similarity needs a model: {INSTALL} brings one, or name an endpoint's, "
            "model='openai:text-embedding-3-small'."
        )
    if threshold is not None and not divides(threshold, 0, 1):
        raise MisuseError(f"The threshold {threshold!r} of similarity is not a number above 0, at most 1.")
    named = f"{PACKAGE}:{DEFAULT_MODEL}" if model in (None, PACKAGE) else full_name(str(model))
    if value is not None:
        _texts(value, "The value of the metric similarity")
    metric = Metric(
        name=name or "similarity",
        version=digest({"model": named, "value": value, "version": VERSION})[:SHORT],
        kind="score",
        threshold=threshold,
        required=required,
        free=named.startswith(f"{PACKAGE}:"),
    )
    return SimilarityScorer(metric=metric, model=named, value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityScorer:
    """Compare answers by their vectors; `similarity_scorer` makes it."""

    metric: Metric
    model: str
    """`provider:model` that makes the vectors."""
    value: JsonValue
    """What all answers are compared with; None takes what each case expects."""
    waits: bool = True
    """Vectors are looked up side by side, which takes an event loop even where all are known."""

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:
        """Return the cosine with the nearest expected text, 0 to 1.

        Raises:
            MisuseError: the case expects no text.
            CallError: the vectors could not be had.
        """
        if self.value is None:
            subject = f"What the case {case.id!r} expects for the metric {self.metric.name!r}"
            texts = _texts(case.expected, subject)
        else:
            texts = _texts(self.value, f"The value of the metric {self.metric.name!r}")
        if not response.text.strip():
            return self.metric.score(0.0, reason="the answer is empty")
        provider, model = split_model(self.model)
        request = EmbeddingRequest(provider=provider, model=model, texts=(response.text, *texts))
        answer, *expected = await caller.aembed(request)
        cosines = [cosine(answer, vector) for vector in expected]
        best = max(range(len(texts)), key=cosines.__getitem__)
        nearest = "" if len(texts) == 1 else f"nearest to {texts[best][:_SHOWN]!r}"
        return self.metric.score(min(max(cosines[best], 0.0), 1.0), reason=nearest)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors of one length, -1 to 1; 0 where one is all zeros."""
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


def _texts(expected: JsonValue, subject: str) -> list[str]:
    several = isinstance(expected, Sequence) and not isinstance(expected, str)
    texts = list(expected) if several else [expected]  # type: ignore[arg-type]
    if texts and all(isinstance(text, str) and text.strip() for text in texts):
        return [str(text) for text in texts]
    raise MisuseError(
        f"{subject} is {expected!r}: similarity needs a text, or a list of texts, that is not empty."
    )
