"""Read what the marker llm_judge says of likelihood judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_llmops.calls.exchange import split_model
from pytest_llmops.errors import MisuseError
from pytest_llmops.plugin.arguments import text
from pytest_llmops.plugin.site import Site
from pytest_llmops.scorers.score import Scorer

LIKELIHOOD_ARGUMENTS = ("likelihood", "labels", "context", "question")
"""Arguments of llm_judge that no other judge takes."""

LOCAL = "local"
"""The provider of the embedded model, whose server forces answers."""


def wants_likelihood(arguments: Mapping[str, Any]) -> bool:
    """Tell whether the arguments of an llm_judge marker ask for a likelihood judge."""
    return arguments["criteria"] is None or any(
        arguments[name] is not None and arguments[name] is not False for name in LIKELIHOOD_ARGUMENTS
    )


def likelihood_judge(mark: pytest.Mark, arguments: Mapping[str, Any], site: Site) -> Scorer:
    """Return the likelihood judge that an llm_judge marker asks for.

    Raises:
        MisuseError: an argument is wrong or missing, or does not go with the others.
    """
    from pytest_llmops.scorers.label import LabelJudge
    from pytest_llmops.scorers.likelihood import ContextJudge

    common: dict[str, Any] = {
        "name": text(mark, "name", arguments["name"]),
        "model": arguments["model"] or site.judge_model,
        "threshold": arguments["threshold"],
        "required": bool(arguments["required"]),
    }
    if arguments["scale"] != "pass_fail":
        raise MisuseError(f"{mark.name}(): a likelihood judge scores from 0 to 1; leave out scale=.")
    if arguments["labels"] is not None:
        _check_labelled(mark, arguments)
        return LabelJudge(
            text(mark, "criteria", arguments["criteria"] or ""), labels=arguments["labels"], **common
        )
    _check_alone(mark, arguments, common["model"])
    for name in ("context", "question"):
        if arguments[name] is not None:
            common[name] = text(mark, name, arguments[name])
    return ContextJudge(**common)


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
    if not arguments["likelihood"] and split_model(model)[0] != LOCAL:
        raise MisuseError(
            f"{mark.name}() without criteria compares likelihoods, for which the judge's server must force "
            f"answers, as that of the embedded model does; the judge is {model}. Write "
            f'{mark.name}("what a right answer does"), or {mark.name}(model="local:smollm2-135m"), or '
            f"{mark.name}(likelihood=True) where {model} is served by llama.cpp."
        )
