"""Read the marker llm_metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.plugin.arguments import bound
from pytest_llmops.plugin.offered import ELSEWHERE, SIMILARITY, TOOL_CALLS
from pytest_llmops.plugin.site import Site
from pytest_llmops.scorers.score import Scorer

_WISHES = ("name", "threshold", "required")
"""Arguments that a user's own scorer takes, too."""


def _llm_metric(
    metric: Any,
    *,
    name: Any = None,
    value: Any = None,
    threshold: Any = None,
    required: Any = False,
    tolerance: Any = None,
    ignore: Any = None,
) -> None: ...


def metric_scorers(mark: pytest.Mark, site: Site) -> list[Scorer]:
    """Return the scorers that an llm_metric marker asks for.

    Raises:
        MisuseError: an argument is unknown or wrong, or a file that it names is.
    """
    from pytest_llmops.plugin.mark_deepeval import deepeval_scorers, is_deepeval
    from pytest_llmops.scorers.spent import SPENT, spent_scorer
    from pytest_llmops.scorers.text import KINDS, text_scorer

    first = mark.args[0] if mark.args else mark.kwargs.get("metric")
    if is_deepeval(first):
        return deepeval_scorers(mark, site)
    if first == SIMILARITY:
        from pytest_llmops.plugin.mark_similarity import similarity_scorers

        return similarity_scorers(mark)
    arguments = bound(mark, _llm_metric)
    metric = arguments.pop("metric")
    given = {name: value for name, value in arguments.items() if value is not None and value is not False}
    if not isinstance(metric, str):
        return [_own(mark, metric, given)]
    offered = site.offered()
    if metric in offered:
        return [_own(mark, offered[metric](), given)]
    kind = metric.replace("-", "_")
    if kind in SPENT:
        _refuse(mark, kind, given)
        return [spent_scorer(kind, model=site.model, **given)]
    if kind == TOOL_CALLS:
        from pytest_llmops.scorers.tool_calls import ToolCallsScorer

        _refuse(mark, kind, {name: value for name, value in given.items() if name != "value"})
        if arguments["threshold"] is not None:
            raise MisuseError(f"{mark.name}({kind!r}) passes or fails: it takes no threshold.")
        wishes = {name: arguments[name] for name in ("name", "value", "required")}
        return [ToolCallsScorer(site.prompt, cases=site.golden, **wishes)]
    if kind not in KINDS:
        known = closest(metric, [*KINDS, *SPENT, *offered, *ELSEWHERE])
        raise MisuseError(f"{mark.name}({metric!r}): there is no such metric. {known}")
    return [text_scorer(kind, **arguments)]


def _own(mark: pytest.Mark, thing: Any, given: Mapping[str, Any]) -> Scorer:
    from pytest_llmops.scorers.own import as_scorer

    _refuse(mark, thing, given)
    try:
        scorer = as_scorer(thing, **given)
    except MisuseError as error:
        raise MisuseError(f"{mark.name}(): {error}") from None
    if scorer is None:
        raise MisuseError(f"{mark.name}({thing!r}) is neither a metric's name nor a scorer.")
    return scorer


def _refuse(mark: pytest.Mark, metric: Any, given: Mapping[str, Any]) -> None:
    """Refuse what only text metrics take."""
    other = sorted(given.keys() - set(_WISHES))
    if other:
        shown = repr(metric) if isinstance(metric, str) else "a scorer"
        raise MisuseError(f"{mark.name}(): {shown} takes no {' and no '.join(other)}.")
