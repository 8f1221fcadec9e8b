"""Read what the marker llm_judge says of likelihood judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_llmops.calls.exchange import EMBEDDED, split_model
from pytest_llmops.errors import MisuseError
from pytest_llmops.plugin.arguments import text
from pytest_llmops.plugin.site import Site
from pytest_llmops.scorers.score import Scorer

LIKELIHOOD_ARGUMENTS = ("likelihood", "labels", "context", "question")
"""Arguments of llm_judge that no other judge takes."""

_INPUTS = ("context", "question")

NOT_FOR_LIKELIHOOD = ("judge", "scale", "repeats", "vote", "logprobs", "pairwise", "canaries")
"""Arguments of judges that are asked for a verdict."""


def wants_likelihood(arguments: Mapping[str, Any]) -> bool:
    """Tell whether the arguments of an llm_judge marker ask for a likelihood judge."""
    return (arguments["criteria"] is None and arguments["judge"] is None) or any(
        arguments[name] is not None and arguments[name] is not False for name in LIKELIHOOD_ARGUMENTS
    )


def likelihood_judge(mark: pytest.Mark, arguments: Mapping[str, Any], site: Site) -> Scorer:
    """Return the likelihood judge that an llm_judge marker asks for.

    Raises:
        MisuseError: an argument is wrong or missing, or does not go with the others.
    """
    from pytest_llmops.scorers.judges import Described

    name = text(mark, "name", "judge" if arguments["name"] is None else arguments["name"])
    model = text(mark, "model", site.judge_model if arguments["model"] is None else arguments["model"])
    named = {key: text(mark, key, arguments[key]) for key in _INPUTS if arguments[key] is not None}
    if arguments["labels"] is not None:
        _check_labelled(mark, arguments)
        criteria = text(mark, "criteria", arguments["criteria"] or "")
        described = Described(criteria=criteria, labels=arguments["labels"], models=[model])
    else:
        _check_alone(mark, arguments, model)
        described = Described(
            likelihood=True,
            models=[model],
            context=named.get("context", "context"),
            question=named.get("question", "question"),
        )
    return described.likely(name, threshold=arguments["threshold"], required=bool(arguments["required"]))


def _check_labelled(mark: pytest.Mark, arguments: Mapping[str, Any]) -> None:
    if arguments["criteria"] is None:
        raise MisuseError(
            f"{mark.name}(labels=…) needs the start of a statement that a label ends: "
            f'{mark.name}("This reply is", labels=("polite", "rude")).'
        )
    for name in ("context", "question"):
        if arguments[name] is not None:
            raise MisuseError(f"{mark.name}(labels=…) looks at the answer alone; leave out {name}=.")


def _check_alone(mark: pytest.Mark, arguments: Mapping[str, Any], model: str) -> None:
    if arguments["criteria"] is not None:
        raise MisuseError(
            f"{mark.name}() takes criteria or compares likelihoods: the likelihood of the answer with and "
            f"without its context needs no criteria ({mark.name}(likelihood=True)), that of labels needs "
            'labels=("polite", "rude").'
        )
    if not arguments["likelihood"] and split_model(model)[0] != EMBEDDED:
        raise MisuseError(
            f"{mark.name}() without criteria compares likelihoods, for which the judge's server must force "
            f"answers, as that of the embedded model does; the judge is {model}. Write "
            f'{mark.name}("what a right answer does"), or {mark.name}(model="local:smollm2-135m"), or '
            f"{mark.name}(likelihood=True) where {model} is served by llama.cpp."
        )
