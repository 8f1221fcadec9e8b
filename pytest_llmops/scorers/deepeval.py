"""Score answers with the metrics of deepeval; the only file that imports it."""

from __future__ import annotations

import inspect
import os
import re
import warnings
from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Any, Final

from pytest_llmops.calls.exchange import Caller, Response
from pytest_llmops.errors import BadAnswerError, JudgeError, MisuseError, closest
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.deepeval_case import FIELDS, multi_turn, single_turn
from pytest_llmops.scorers.deepeval_identity import Description
from pytest_llmops.scorers.deepeval_judge import PARAMETERS, AskingJudge
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.store.canonical import SHORT, JsonValue, digest

VERSION: Final = 1
"""Part of every metric version: raised when the same answer could get another score."""

PREFIX: Final = "deepeval:"
"""What a metric's name starts with."""

QUIET: Final = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "DEEPEVAL_DISABLE_LEGACY_KEYFILE": "1",
}
"""Variables without which an import sends data, reads `.env` into the environment and makes `.deepeval/`."""

_OURS: Final = {"model": "model=", "threshold": "threshold=", "eval_mode": "nothing"}
"""Options of metrics that the marker has words of its own for."""


def is_metric(thing: object) -> bool:
    """Tell whether `thing` is a metric object of deepeval, or of a class made from one; imports nothing."""
    bases = type(thing).__mro__
    known = any(base.__module__.partition(".")[0] == "deepeval" for base in bases)
    return known and hasattr(thing, "a_measure")


def named_metric(name: str, options: Mapping[str, Any]) -> Any:
    """Return the metric object `name`, such as `faithfulness` or `g_eval`, made with `options`.

    Args:
        name: the class's name in snake case, without `Metric`.
        options: arguments of the class; `evaluation_params` may be given as text.

    Raises:
        MisuseError: deepeval is not installed, knows no such metric, or the options are wrong.
    """
    known = _classes()
    if name not in known:
        _refuse_arena(name)
        raise MisuseError(f"deepeval has no metric {name!r}. {closest(name, known)}")
    kind = known[name]
    takes = inspect.signature(kind).parameters
    for option in options:
        if option in _OURS:
            raise MisuseError(f"The option {option!r} of {PREFIX}{name} is not yours to give: {_why(option)}")
        if option not in takes:
            ours = [each for each in takes if each not in _OURS and not each.startswith("_")]
            raise MisuseError(f"{PREFIX}{name} has no option {option!r}. {closest(option, ours)}")
    given = dict(options)
    if isinstance(given.get("evaluation_params"), list | tuple):
        given["evaluation_params"] = [_parameter(kind, each) for each in given["evaluation_params"]]
    usual = {"name": name, "model": _judge_class()("none"), "eval_mode": "llm"}
    given = {**{option: value for option, value in usual.items() if option in takes}, **given}
    try:
        with warnings.catch_warnings():
            # That the direction of some scores has changed; it is stored with each score.
            warnings.simplefilter("ignore")
            return kind(**given)
    except Exception as error:
        raise MisuseError(
            f"{PREFIX}{name} cannot be made of its options {sorted(options)}: {error}"
        ) from None


def deepeval_scorer(
    template: Any,
    *,
    model: str,
    name: str | None = None,
    threshold: float | None = None,
    required: bool = False,
) -> DeepevalScorer:
    """Return the scorer that measures each answer with a fresh copy of a metric object.

    Args:
        template: the metric object; its own model is not asked.
        model: `provider:model` of the judge.
        name: the metric's name; by default the one that the object or its class has.
        threshold: the score that a case must reach, 0 to 1; the metric's own where None.
        required: a miss fails its case always, baseline or not.

    Raises:
        MisuseError: the metric cannot be used in an eval suite, or the threshold is out of range.
    """
    own = getattr(template, "name", None)
    name = name or (own if isinstance(own, str) and own else _snake(type(template).__name__))
    _library()
    _refuse_arena(_snake(type(template).__name__))
    if str(getattr(template, "eval_mode", None) or "llm") != "llm":
        raise MisuseError(f"The deepeval metric {name!r} cannot be used: {_why('eval_mode')}")
    if threshold is not None:
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
            raise MisuseError(f"The threshold {threshold!r} of {name!r} is not a number from 0 to 1.")
        template = copy(template)
        template.threshold = threshold
    description = Description(lambda thing: isinstance(thing, _models().DeepEvalBaseLLM))
    content = description.of_metric(template)
    models = tuple(description.models)
    _copied(name, template, {id(each): _judge_class()(model) for each in models})
    limit = template.threshold
    metric = Metric(
        name=name,
        version=_version(content, model if models else None),
        kind="score",
        higher_is_better=_higher_is_better(template),
        threshold=None if limit is None else float(limit),
        required=required,
        free=not models and _is_own(type(template)),
    )
    return DeepevalScorer(metric=metric, model=model, template=template, models=models)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepevalScorer:
    """Measure answers with a metric of deepeval; `deepeval_scorer` makes it."""

    metric: Metric
    model: str
    """`provider:model` of the judge."""
    template: Any
    """The metric object that is copied for each answer, for it keeps what it finds."""
    models: tuple[object, ...]
    """The models in it, in whose place the judge is put."""
    waits: bool = True
    """It needs an event loop, even where all answers are known."""
    packages: tuple[str, ...] = ("deepeval",)
    """Whose version the header of a run names."""

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:
        """Return the metric's score and reason.

        Raises:
            MisuseError: the case lacks what the metric needs.
            JudgeError: the judge's replies make no score.
            CallError: the judge could not be asked.
        """
        judge = _judge_class()(self.model, caller)
        metric = _copied(self.metric.name, self.template, {id(each): judge for each in self.models})
        try:
            await metric.a_measure(_test_case(metric, case, response), **_quietly(metric))
        except Exception as error:
            self._check_asked(case, judge)
            if type(error).__name__ == "MissingTestCaseParamsError":
                raise MisuseError(self._lacking(case, str(error))) from None
            raise self._no_score(case, f"{type(error).__name__}: {error}") from error
        self._check_asked(case, judge)
        refusal = self.metric.refusal(metric.score)
        if refusal:
            raise self._no_score(case, refusal)
        return self.metric.score(float(metric.score), reason=str(metric.reason or ""))

    def _check_asked(self, case: Case, judge: AskingJudge) -> None:
        """Raise what a call raised, whatever deepeval made of it."""
        if isinstance(judge.fault, BadAnswerError):
            # A judge that refuses or is cut off has judged nothing: its fault must not score the answer.
            raise self._no_score(case, str(judge.fault)) from judge.fault
        if judge.fault is not None:
            raise judge.fault

    def _lacking(self, case: Case, told: str) -> str:
        lacking = [field for field in re.findall(r"'(\w+)'", told) if field in FIELDS]
        cure = " and ".join(dict.fromkeys(FIELDS[field] for field in lacking))
        hint = f" Add {cure} to the row." if cure else ""
        lack = f"The case {case.id!r} lacks what the metric {self.metric.name!r} needs"
        return f"{lack}: {told.rstrip('.')}.{hint}"

    def _no_score(self, case: Case, why: str) -> JudgeError:
        judge = f"The judge {self.metric.name!r} ({self.model})"
        return JudgeError(f"{judge} gave no score on the case {case.id!r}: {why}")


@cache
def _library() -> Any:
    """Import deepeval so that it sends nothing, reads no `.env` and makes no folder."""
    try:
        version_of("deepeval")
    except PackageNotFoundError:
        raise MisuseError(
            "Metrics of deepeval need its package: pip install 'pytest-llmops[deepeval]'."
        ) from None
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    before = set(os.environ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import deepeval.metrics
    # It sets some for libraries that are not used here.
    for variable in set(os.environ) - before:
        del os.environ[variable]
    return deepeval.metrics


def _models() -> Any:
    _library()
    import deepeval.models

    return deepeval.models


@cache
def _judge_class() -> type[AskingJudge]:
    return type("CachedJudge", (AskingJudge, _models().DeepEvalBaseLLM), {})


@cache
def _classes() -> dict[str, Any]:
    """Return the metric classes by name."""
    metrics = _library()
    bases = (metrics.BaseMetric, metrics.BaseConversationalMetric)
    found = [kind for kind in vars(metrics).values() if isinstance(kind, type) and issubclass(kind, bases)]
    return {_snake(kind.__name__): kind for kind in found if kind not in bases}


def _snake(name: str) -> str:
    bare = name.removesuffix("Metric")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", bare).lower()


def _is_own(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "deepeval"


def _is_conversational(metric: Any) -> bool:
    kind = metric if isinstance(metric, type) else type(metric)
    return issubclass(kind, _library().BaseConversationalMetric)


def _refuse_arena(name: str) -> None:
    if name.startswith("arena_"):
        # It shuffles the contestants and gives them names by chance, so that no call is ever the same.
        raise MisuseError(f"{PREFIX}{name} compares several answers: use llm_judge(pairwise=True).")


def _why(option: str) -> str:
    if option == "eval_mode":
        return "only eval_mode 'llm' asks the judge of the session, whose calls are cached and counted."
    return f"give the marker {_OURS[option]}."


def _parameter(kind: type, value: Any) -> Any:
    """Return the parameter of test cases that a text names."""
    if not isinstance(value, str):
        return value
    import deepeval.test_case as cases

    known = cases.MultiTurnParams if _is_conversational(kind) else cases.SingleTurnParams
    names = [each.value for each in known]
    if value not in names:
        raise MisuseError(f"deepeval's test cases have no field {value!r}. {closest(value, names)}")
    return known(value)


def _copied(name: str, template: Any, judges: dict[int, Any]) -> Any:
    try:
        return deepcopy(template, dict(judges))
    except Exception as error:
        raise MisuseError(
            f"The deepeval metric {name!r} cannot be copied for each case ({type(error).__name__}: {error}): "
            f"give it by name, as {PREFIX}<name> with options=."
        ) from None


def _version(content: JsonValue, model: str | None) -> str:
    asked: JsonValue = None if model is None else [model, PARAMETERS]
    library = version_of("deepeval")
    return f"{library}+{digest({'metric': content, 'judge': asked, 'version': VERSION})[:SHORT]}"


def _higher_is_better(template: Any) -> bool:
    """Ask the metric itself whether 1 passes: until version 4 some counted what is wrong."""

    def passes(score: float) -> bool:
        probe = copy(template)
        probe.threshold, probe.error, probe.success, probe.score = 0.5, None, None, score
        return bool(probe.is_successful())

    return passes(1.0) or not passes(0.0)


def _test_case(metric: Any, case: Case, response: Response) -> Any:
    import deepeval.test_case as cases

    def called(fields: dict[str, Any]) -> dict[str, Any]:
        tools = {name: fields[name] for name in ("tools_called", "expected_tools") if fields.get(name)}
        return {
            **fields,
            **{name: [cases.ToolCall(**each) for each in calls] for name, calls in tools.items()},
        }

    if not _is_conversational(metric):
        return cases.LLMTestCase(**called(single_turn(case, response)))
    fields = multi_turn(case, response)
    turns = [cases.Turn(**called(turn)) for turn in fields["turns"]]
    return cases.ConversationalTestCase(**{**fields, "turns": turns})


def _quietly(metric: Any) -> dict[str, bool]:
    """Return the argument that keeps a metric from drawing on the terminal; a user's own may not know it."""
    takes = inspect.signature(metric.a_measure).parameters.values()
    knows = any(each.name == "_show_indicator" or each.kind is each.VAR_KEYWORD for each in takes)
    return {"_show_indicator": False} if knows else {}
