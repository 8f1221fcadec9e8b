"""Declare the hooks that pytest-llmops calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_llmops.calls.exchange import Provider


@pytest.hookspec(firstresult=True)
def pytest_llmops_provider(name: str) -> Provider | None:
    """Return the provider of models named `name:…`, or None to leave it to others.

    Called once a session and project for each provider name, the built-in names too.

    Args:
        name: what stands before the colon of a model's name.

    Use in conftest plugins: any conftest.py of the project may answer.
    """


@pytest.hookspec
def pytest_llmops_scorers() -> Sequence[Any] | Mapping[str, Any] | None:
    """Return scorers that the marker llm_metric finds by name: a list, or a mapping from names.

    A scorer is what `pytest_llmops.scorer` makes, a function `(case, response)`, an object in the style of
    autoevals, or an object with `metric` and `score`. The entry point group `pytest_llmops.scorers` does the
    same for packages: each entry is one scorer, found by the entry's name.

    Use in conftest plugins: each conftest.py offers scorers to the tests in its folder.
    """
