"""Read the markers of a test function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.golden.case import Case, GoldenSet
from pytest_llmops.plugin.arguments import bound, count, text
from pytest_llmops.plugin.body import body_metric
from pytest_llmops.plugin.offered import offered_scorers
from pytest_llmops.plugin.scoring import read_scorers
from pytest_llmops.plugin.site import Site
from pytest_llmops.plugin.target import Target, read_target
from pytest_llmops.project import Project
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.score import Metric, PairScorer, Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSpec:
    """Be what the markers of one test function say, read and checked."""

    project: Project
    prompt: Prompt
    """What is asked; of a target its version."""
    target: Target | None
    """What answers in place of a prompt."""
    near: Path
    """The test file: names are looked up from there."""
    golden: GoldenSet
    cases: tuple[Case, ...]
    """Cases after the marker's own tags and limit: what a complete test measures."""
    repeats: int
    model: str
    """`provider:model` that answers."""
    marked_model: str | None
    """The model that the marker names."""
    scorers: tuple[Scorer, ...]
    """What scores an answer alone."""
    pair_scorers: tuple[PairScorer, ...]
    """What holds an answer against the stored one."""
    body: Metric | None
    """The metric `passed`; None where the test has no body to pass."""

    @property
    def streams(self) -> bool:
        """Tell whether a scorer asks when the first token came, so that answers must be streamed."""
        return any(getattr(scorer, "streams", False) for scorer in self.scorers)

    @property
    def metrics(self) -> dict[str, Metric]:
        """Return all metrics by name, in the order of the report."""
        metrics = [scorer.metric for scorer in self.scorers]
        metrics += [scorer.metric for scorer in self.pair_scorers]
        return {metric.name: metric for metric in ([self.body] if self.body else []) + metrics}


def read_spec(definition: pytest.Item, mark: pytest.Mark, project: Project) -> EvalSpec:
    """Return what the markers of a test function say.

    Raises:
        MisuseError: an argument is unknown or wrong, or a file that it names is.
    """
    arguments = bound(mark, _llm_eval)
    near = definition.path
    if arguments["golden"] is None:
        raise MisuseError(
            f"{mark.name}(): missing a required argument: 'golden'. Write golden=\"rows.jsonl\"."
        )
    target = _target(mark, arguments, project, near)
    prompt = target.identity if target else project.prompt(text(mark, "prompt", arguments["prompt"]), near)
    golden = project.golden_set(text(mark, "golden", arguments["golden"]), near)
    marked = arguments["model"]
    # A target may leave it to each of its prompts.
    model = project.named_model(marked) if target else project.model_of(prompt, marked)
    site = Site(
        project=project,
        near=near,
        golden=golden,
        prompt=prompt,
        model=model,
        marked_model=marked,
        offered=partial(offered_scorers, definition),
    )
    scorers = list(read_scorers(definition, site))
    body = body_metric(definition)
    spec = EvalSpec(
        project=project,
        prompt=prompt,
        target=target,
        near=near,
        golden=golden,
        cases=_cases(mark, golden, arguments),
        repeats=project.settings.repeat or count(mark, "repeats", arguments["repeats"]),
        model=model,
        marked_model=marked,
        scorers=tuple(scorer for scorer in scorers if isinstance(scorer, Scorer)),
        pair_scorers=tuple(scorer for scorer in scorers if isinstance(scorer, PairScorer)),
        body=body,
    )
    if len(spec.metrics) != len(scorers) + (body is not None):
        raise MisuseError("Two markers make a metric of the same name; give one of them another name=.")
    if not spec.metrics:
        raise MisuseError("The test checks nothing: give it a body, or a marker such as llm_metric.")
    return spec


def _llm_eval(
    prompt: Any = None,
    golden: Any = None,
    *,
    target: Any = None,
    version: Any = None,
    artifacts: Any = (),
    concurrent: Any = False,
    model: Any = None,
    repeats: Any = 1,
    tags: Any = (),
    limit: Any = None,
    cluster: Any = None,
) -> None: ...


def _target(mark: pytest.Mark, arguments: Mapping[str, Any], project: Project, near: Path) -> Target | None:
    function, version = arguments["target"], arguments["version"]
    if function is None:
        if arguments["prompt"] is None:
            raise MisuseError(
                f'{mark.name}() needs a prompt, prompt="triage", or code that answers, target=.'
            )
        given = [name for name in ("version", "artifacts", "concurrent") if arguments[name]]
        if given:
            raise MisuseError(f"{mark.name}({given[0]}=...) is for a target=; a prompt says it by itself.")
        return None
    if arguments["prompt"] is not None:
        raise MisuseError(f"{mark.name}() takes a prompt or a target=, not both.")
    named = arguments["artifacts"]
    if isinstance(named, str) or not isinstance(named, Sequence):
        raise MisuseError(f"{mark.name}(artifacts={named!r}): give a list of file names.")
    artifacts = {text(mark, "artifacts", name): project.artifact(name, near) for name in named}
    return read_target(
        function,
        version=None if version is None else text(mark, "version", str(version)),
        artifacts=artifacts,
        concurrent=bool(arguments["concurrent"]),
    )


def _cases(mark: pytest.Mark, golden: GoldenSet, arguments: Mapping[str, Any]) -> tuple[Case, ...]:
    from dataclasses import replace

    tags = _tags(mark, arguments["tags"])
    cases = [case for case in golden if not tags or tags & set(case.tags)]
    if not cases:
        known = {tag for case in golden for tag in case.tags}
        raise MisuseError(
            f"{mark.name}(tags={sorted(tags)}) leaves no case of {golden.name}. {closest(min(tags), known)}"
        )
    if arguments["limit"] is not None:
        cases = cases[: count(mark, "limit", arguments["limit"])]
    field = arguments["cluster"]
    if field is None:
        return tuple(cases)
    name = text(mark, "cluster", field)
    return tuple(replace(case, cluster=_cluster(mark, case, name)) for case in cases)


def _cluster(mark: pytest.Mark, case: Case, field: str) -> str:
    value = case.metadata.get(field, case.inputs.get(field))
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise MisuseError(
        f"{mark.name}(cluster={field!r}): the case {case.id!r} has no text or number {field!r} in its "
        "metadata or inputs."
    )


def _tags(mark: pytest.Mark, value: object) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, Sequence | set | frozenset) and all(isinstance(tag, str) for tag in value):
        return {str(tag) for tag in value}
    raise MisuseError(f"{mark.name}(tags={value!r}): give a tag or a list of tags.")
