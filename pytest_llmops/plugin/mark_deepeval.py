"""Read the marker llm_metric where it names a metric of deepeval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.plugin.arguments import bound, text
from pytest_llmops.plugin.site import Site
from pytest_llmops.scorers.deepeval import PREFIX, deepeval_scorer, is_metric, named_metric
from pytest_llmops.scorers.score import Scorer


def _llm_metric(
    metric: Any,
    *,
    name: Any = None,
    threshold: Any = None,
    model: Any = None,
    options: Any = None,
    required: Any = False,
) -> None: ...


def is_deepeval(metric: object) -> bool:
    """Tell whether the first argument of a marker is a metric of deepeval, by name or as object."""
    return metric.startswith(PREFIX) if isinstance(metric, str) else is_metric(metric)


def deepeval_scorers(mark: pytest.Mark, site: Site) -> list[Scorer]:
    """Return the scorer that an llm_metric marker asks for.

    Raises:
        MisuseError: an argument is unknown or wrong, or deepeval is not installed.
    """
    arguments = bound(mark, _llm_metric)
    metric, options = arguments.pop("metric"), arguments.pop("options")
    model = site.judge_model if arguments["model"] is None else text(mark, "model", arguments["model"])
    if arguments["name"] is not None:
        text(mark, "name", arguments["name"])
    if isinstance(metric, str):
        if not isinstance(options or {}, Mapping):
            raise MisuseError(
                f"{mark.name}(options={options!r}): give a mapping of the metric's own arguments."
            )
        metric = named_metric(metric.removeprefix(PREFIX), options or {})
    elif options is not None:
        raise MisuseError(
            f"{mark.name}() takes no options= beside a metric object, which was made with its own."
        )
    arguments["required"] = bool(arguments["required"])
    return [deepeval_scorer(metric, **{**arguments, "model": model})]
