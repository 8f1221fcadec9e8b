"""Declare the hooks that pytest-llmops calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
