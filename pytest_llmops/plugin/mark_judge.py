"""Read the marker llm_judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pytest_llmops.calls.exchange import full_name
from pytest_llmops.errors import MisuseError
from pytest_llmops.plugin.arguments import bound, changed, count, text
from pytest_llmops.plugin.mark_likelihood import (
    LIKELIHOOD_ARGUMENTS,
    NOT_FOR_LIKELIHOOD,
    likelihood_judge,
    wants_likelihood,
)
from pytest_llmops.plugin.site import Site
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.score import AnyScorer

_NOT_FOR_PAIRS = ("scale", "threshold", "repeats", "vote", "logprobs", "canaries")
"""Arguments of judges that score one answer."""


def _llm_judge(
    criteria: Any = None,
    *,
    judge: Any = None,
    name: Any = None,
    scale: Any = "pass_fail",
    threshold: Any = None,
    repeats: Any = 1,
    model: Any = None,
    vote: Any = None,
    logprobs: Any = None,
    pairwise: Any = False,
    canaries: Any = None,
    required: Any = False,
    likelihood: Any = False,
    labels: Any = None,
    context: Any = None,
    question: Any = None,
) -> None: ...


def judge_scorers(mark: pytest.Mark, site: Site) -> list[AnyScorer]:
    """Return the judges that an llm_judge marker asks for: one for each of its criteria.

    Raises:
        MisuseError: an argument is unknown or wrong, or a file that it names is.
    """
    arguments = bound(mark, _llm_judge)
    if wants_likelihood(arguments):
        if argument := changed(arguments, _llm_judge, NOT_FOR_LIKELIHOOD):
            raise MisuseError(f"{mark.name}(): a likelihood judge scores from 0 to 1; leave out {argument}=.")
        return [likelihood_judge(mark, arguments, site)]
    for argument in LIKELIHOOD_ARGUMENTS:
        del arguments[argument]
    prompt = _prompt(mark, arguments["judge"], site)
    criteria = _criteria(mark, arguments.pop("criteria"), arguments.pop("name"), prompt)
    arguments["model"] = _models(mark, arguments["model"], prompt, site)
    pairwise = arguments.pop("pairwise")
    make = _pairwise if pairwise else _verdicts
    return [make(mark, name, rubric, prompt, arguments, site) for name, rubric in criteria.items()]


def _verdicts(
    mark: pytest.Mark, name: str, rubric: str, prompt: Prompt | None, arguments: Mapping[str, Any], site: Site
) -> AnyScorer:
    from pytest_llmops.scorers.canaries import CanariedJudge
    from pytest_llmops.scorers.judges import Described

    described = Described(
        criteria=rubric,
        prompt=prompt,
        file=arguments["judge"] or "",
        models=arguments["model"],
        scale=arguments["scale"],
        repeats=count(mark, "repeats", arguments["repeats"]),
        vote=arguments["vote"],
        logprobs=arguments["logprobs"],
    )
    judge = described.verdicts(name, threshold=arguments["threshold"], required=bool(arguments["required"]))
    wrong = arguments["canaries"]
    answers = None if wrong is None else _texts(mark, "canaries", wrong)
    return CanariedJudge(judge, case=site.golden.cases[0], answers=answers)


def _pairwise(
    mark: pytest.Mark,
    name: str,
    rubric: str,
    prompt: Prompt | None,
    arguments: Mapping[str, Any],
    site: Site,
) -> AnyScorer:
    from pytest_llmops.scorers.canaries import CanariedPair
    from pytest_llmops.scorers.judges import Described

    if argument := changed(arguments, _llm_judge, _NOT_FOR_PAIRS):
        raise MisuseError(
            f"{mark.name}(pairwise=True) takes no {argument}: both orders are asked once, and the answer "
            "is better, worse or neither."
        )
    described = Described(
        criteria=rubric,
        prompt=prompt,
        file=arguments["judge"] or "",
        models=arguments["model"],
        pairwise=True,
    )
    judge = described.pairs(name, required=bool(arguments["required"]))
    return CanariedPair(judge, case=site.golden.cases[0])


def _prompt(mark: pytest.Mark, spec: object, site: Site) -> Prompt | None:
    return None if spec is None else site.project.judge(text(mark, "judge", spec), site.near)


def _criteria(mark: pytest.Mark, criteria: object, name: object, prompt: Prompt | None) -> Mapping[str, str]:
    """Return the rubrics by the names of their metrics."""
    if isinstance(criteria, Mapping):
        if name is not None or not criteria:
            raise MisuseError(f"{mark.name}({{name: criteria, ...}}) takes its names from the mapping.")
        return {text(mark, "name", key): text(mark, str(key), value) for key, value in criteria.items()}
    if criteria is None and prompt is None:
        raise MisuseError(
            f'{mark.name}() needs criteria, such as {mark.name}("The reply names the next step."), or '
            'judge="judges/tone.prompt.yml".'
        )
    usual = prompt.name if prompt else "judge"
    named = usual if name is None else text(mark, "name", name)
    return {named: "" if criteria is None else text(mark, "criteria", criteria)}


def _models(mark: pytest.Mark, model: object, prompt: Prompt | None, site: Site) -> Sequence[str]:
    usual = (prompt.model if prompt else None) or site.judge_model
    chosen = usual if model is None else model
    names = [chosen] if isinstance(chosen, str) else _texts(mark, "model", chosen)
    if len(set(names)) < len(names):
        raise MisuseError(
            f"{mark.name}(model={chosen!r}) names a juror twice: repeats= asks the same model again."
        )
    return [full_name(name) for name in names]


def _texts(mark: pytest.Mark, name: str, value: object) -> Sequence[str]:
    if isinstance(value, list | tuple) and value:
        return [text(mark, name, each) for each in value]
    raise MisuseError(f"{mark.name}({name}={value!r}): give a list of texts.")
