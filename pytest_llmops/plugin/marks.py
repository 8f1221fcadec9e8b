"""Read the markers of a test function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.golden.case import Case, GoldenSet
from pytest_llmops.plugin.body import body_metric
from pytest_llmops.project import Project
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.score import Metric, Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSpec:
    """Be what the markers of one test function say, read and checked."""

    project: Project
    prompt: Prompt
    golden: GoldenSet
    cases: tuple[Case, ...]
    """Cases after the marker's own tags and limit: what a complete test measures."""
    repeats: int
    model: str
    """`provider:model` that answers."""
    marked_model: str | None
    """The model that the marker names."""
    scorers: tuple[Scorer, ...]
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
        return {metric.name: metric for metric in ([self.body] if self.body else []) + metrics}


def read_spec(definition: pytest.Item, mark: pytest.Mark, project: Project) -> EvalSpec:
    """Return what the markers of a test function say.

    Raises:
        MisuseError: an argument is unknown or wrong, or a file that it names is.
    """
    arguments = _bound(mark, _llm_eval)
    near = definition.path
    prompt = project.prompt(_text(mark, "prompt", arguments["prompt"]), near)
    golden = project.golden_set(_text(mark, "golden", arguments["golden"]), near)
    model = project.model_of(prompt, arguments["model"])
    # A model upgrade by option must not change the judge with it: then nothing would be comparable.
    judge = project.settings.judge_model or project.model_of(prompt, arguments["model"], overridden=False)
    scorers = tuple(_scorers(definition, project, near, _Models(answers=model, judges=judge)))
    body = body_metric(definition)
    spec = EvalSpec(
        project=project,
        prompt=prompt,
        golden=golden,
        cases=_cases(mark, golden, arguments),
        repeats=project.settings.repeat or _count(mark, "repeats", arguments["repeats"]),
        model=model,
        marked_model=arguments["model"],
        scorers=scorers,
        body=body,
    )
    if len(spec.metrics) != len(scorers) + (body is not None):
        raise MisuseError("Two markers make a metric of the same name; give one of them another name=.")
    if not spec.metrics:
        raise MisuseError("The test checks nothing: give it a body, or a marker such as llm_metric.")
    return spec


def _llm_eval(
    prompt: Any,
    golden: Any,
    *,
    model: Any = None,
    repeats: Any = 1,
    tags: Any = (),
    limit: Any = None,
    cluster: Any = None,
) -> None: ...


def _llm_schema(schema: Any, *, name: Any = "schema", required: Any = False) -> None: ...


def _llm_metric(
    metric: Any, *, name: Any = None, value: Any = None, threshold: Any = None, required: Any = False
) -> None: ...


def _llm_judge(
    criteria: Any,
    *,
    name: Any = "judge",
    scale: Any = "pass_fail",
    threshold: Any = None,
    model: Any = None,
    required: Any = False,
) -> None: ...


def _bound(mark: pytest.Mark, form: Callable[..., None]) -> dict[str, Any]:
    """Return the arguments of a marker by name, defaults filled in."""
    signature = inspect.signature(form)
    known = signature.parameters
    for name in mark.kwargs:
        if name not in known:
            raise MisuseError(
                f"{mark.name}() does not know the argument {name!r}. {_guess(name, known)}"
                f"Known: {', '.join(known)}."
            )
    try:
        bound = signature.bind(*mark.args, **mark.kwargs)
    except TypeError as error:
        raise MisuseError(f"{mark.name}(): {error}. It takes: {', '.join(known)}.") from None
    bound.apply_defaults()
    return dict(bound.arguments)


def _guess(name: str, known: Mapping[str, object]) -> str:
    guess = closest(name, known)
    return "" if guess.startswith("Known") else f"{guess} "


@dataclass(frozen=True, slots=True, kw_only=True)
class _Models:
    answers: str
    judges: str


def _scorers(definition: pytest.Item, project: Project, near: Path, models: _Models) -> list[Scorer]:
    makers = {"llm_schema": _schema_scorer, "llm_metric": _metric_scorer, "llm_judge": _judge_scorer}
    # iter_markers gives the marker nearest to the function first; people read them from the top.
    marks = [mark for mark in definition.iter_markers() if mark.name in makers]
    return [makers[mark.name](mark, project, near, models) for mark in reversed(marks)]


def _schema_scorer(mark: pytest.Mark, project: Project, near: Path, models: _Models) -> Scorer:  # noqa: ARG001
    from pytest_llmops.scorers.schema import SchemaScorer, read_schema

    arguments = _bound(mark, _llm_schema)
    schema, source = arguments["schema"], "the marker llm_schema"
    if not isinstance(schema, Mapping):
        path = project.schema_file(_text(mark, "schema", schema), near)
        schema, source = read_schema(path), str(path)
    return SchemaScorer(
        schema,
        name=_text(mark, "name", arguments["name"]),
        required=bool(arguments["required"]),
        source=source,
    )


def _metric_scorer(mark: pytest.Mark, project: Project, near: Path, models: _Models) -> Scorer:  # noqa: ARG001
    from pytest_llmops.scorers.spent import SPENT, spent_scorer
    from pytest_llmops.scorers.text import text_scorer

    arguments = _bound(mark, _llm_metric)
    kind = arguments.pop("metric")
    if not isinstance(kind, str):
        if not hasattr(kind, "metric") or not hasattr(kind, "score"):
            raise MisuseError(f"{mark.name}({kind!r}) is neither a metric's name nor a scorer.")
        if len(mark.args) + len(mark.kwargs) > 1:
            raise MisuseError(f"{mark.name}() takes no other argument beside a scorer, which brings its own.")
        scorer: Scorer = kind
        return scorer
    if kind in SPENT:
        return spent_scorer(
            kind,
            model=models.answers,
            name=arguments["name"],
            threshold=arguments["threshold"],
            required=bool(arguments["required"]),
        )
    if arguments.pop("threshold") is not None:
        raise MisuseError(f"{mark.name}({kind!r}) passes or fails: it takes no threshold.")
    return text_scorer(kind, **arguments)


def _judge_scorer(mark: pytest.Mark, project: Project, near: Path, models: _Models) -> Scorer:  # noqa: ARG001
    from pytest_llmops.scorers.judge import RubricJudge

    arguments = _bound(mark, _llm_judge)
    judge = arguments.pop("model") or models.judges
    return RubricJudge(_text(mark, "criteria", arguments.pop("criteria")), model=judge, **arguments)


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
        cases = cases[: _count(mark, "limit", arguments["limit"])]
    field = arguments["cluster"]
    if field is None:
        return tuple(cases)
    name = _text(mark, "cluster", field)
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


def _text(mark: pytest.Mark, name: str, value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise MisuseError(f"{mark.name}({name}={value!r}): give text.")


def _count(mark: pytest.Mark, name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise MisuseError(f"{mark.name}({name}={value!r}): give a whole number of at least 1.")
