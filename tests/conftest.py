from __future__ import annotations

import signal
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import pytest
from fake_endpoint import Endpoint, serving
from hypothesis import settings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("llmops", deadline=None)
settings.load_profile("llmops")

try:
    version("deepeval")
except PackageNotFoundError:
    # `make test` runs these in the environment that has deepeval.
    collect_ignore = ["deepeval"]


def pytest_configure() -> None:
    """Hear Ctrl-C: background jobs of a shell do not, nor do their children, and many tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the embedded model, which answers one after another: else all wait for it in the end."""
    items.sort(key=lambda item: item.get_closest_marker("embedded") is None)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Serve chat completions on 127.0.0.1: see fake_endpoint.py."""
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own key and server out of all tests."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
