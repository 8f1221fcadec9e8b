"""Read the marker llm_metric where it asks for similarity."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llmops.plugin.arguments import bound, text
from pytest_llmops.scorers.score import Scorer


def _llm_metric(
    metric: Any,
    *,
    name: Any = None,
    value: Any = None,
    threshold: Any = None,
    model: Any = None,
    required: Any = False,
) -> None: ...


def similarity_scorers(mark: pytest.Mark) -> list[Scorer]:
    """Return the scorer that an llm_metric marker asks for.

    Raises:
        MisuseError: an argument is unknown or wrong, or no model is at hand.
    """
    from pytest_llmops.scorers.similarity import similarity_scorer

    arguments = bound(mark, _llm_metric)
    del arguments["metric"]
    for name in ("name", "model"):
        if arguments[name] is not None:
            text(mark, name, arguments[name])
    arguments["required"] = bool(arguments["required"])
    return [similarity_scorer(**arguments)]
