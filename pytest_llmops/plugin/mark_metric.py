"""Read the marker llm_metric."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.plugin.arguments import bound
from pytest_llmops.plugin.site import Site
from pytest_llmops.scorers.score import Scorer


def _llm_metric(
    metric: Any, *, name: Any = None, value: Any = None, threshold: Any = None, required: Any = False
) -> None: ...


def metric_scorers(mark: pytest.Mark, site: Site) -> list[Scorer]:
    """Return the scorers that an llm_metric marker asks for.

    Raises:
        MisuseError: an argument is unknown or wrong, or a file that it names is.
    """
    from pytest_llmops.scorers.spent import SPENT, spent_scorer
    from pytest_llmops.scorers.text import text_scorer
    from pytest_llmops.scorers.tool_calls import ToolCallsScorer

    arguments = bound(mark, _llm_metric)
    kind = arguments.pop("metric")
    if not isinstance(kind, str):
        if not hasattr(kind, "metric") or not hasattr(kind, "score"):
            raise MisuseError(f"{mark.name}({kind!r}) is neither a metric's name nor a scorer.")
        if len(mark.args) + len(mark.kwargs) > 1:
            raise MisuseError(f"{mark.name}() takes no other argument beside a scorer, which brings its own.")
        return [kind]
    if kind in SPENT:
        return [
            spent_scorer(
                kind,
                model=site.model,
                name=arguments["name"],
                threshold=arguments["threshold"],
                required=bool(arguments["required"]),
            )
        ]
    if arguments.pop("threshold") is not None:
        raise MisuseError(f"{mark.name}({kind!r}) passes or fails: it takes no threshold.")
    if kind == "tool_calls":
        return [ToolCallsScorer(site.prompt, cases=site.golden, **arguments)]
    return [text_scorer(kind, **arguments)]
