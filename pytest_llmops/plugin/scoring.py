"""Make scorers of the markers llm_schema, llm_metric and llm_judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from pytest_llmops.plugin.mark_judge import judge_scorers
from pytest_llmops.plugin.mark_metric import metric_scorers
from pytest_llmops.plugin.mark_schema import schema_scorers
from pytest_llmops.plugin.site import Site
from pytest_llmops.scorers.score import AnyScorer

_Maker = Callable[[pytest.Mark, Site], Sequence[AnyScorer]]

_MAKERS: Mapping[str, _Maker] = {
    "llm_schema": schema_scorers,
    "llm_metric": metric_scorers,
    "llm_judge": judge_scorers,
}


def read_scorers(definition: pytest.Item, site: Site) -> Iterator[AnyScorer]:
    """Yield the scorers that the markers of a test function ask for, in the order in which people read them.

    Raises:
        MisuseError: an argument is unknown or wrong, or a file that it names is.
    """
    # iter_markers gives the marker nearest to the function first; people read them from the top.
    marks = [mark for mark in definition.iter_markers() if mark.name in _MAKERS]
    for mark in reversed(marks):
        yield from _MAKERS[mark.name](mark, site)
