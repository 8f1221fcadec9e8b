"""Be the entry point `llmops`: declare, and leave the work to objects that are made when it begins."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_llmops.plugin import hookspecs, stash
from pytest_llmops.plugin.controller import Controller
from pytest_llmops.plugin.fixtures import golden_set, llm, llm_case, prompts
from pytest_llmops.plugin.markers import MARKERS
from pytest_llmops.plugin.options import add_options, read_settings

__all__ = ["golden_set", "llm", "llm_case", "prompts"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, read the settings, and listen for results."""
    for text in MARKERS.values():
        config.addinivalue_line("markers", text)
    config.stash[stash.settings_key] = read_settings(config)
    if config.stash[stash.settings_key].plan:
        stash.plan(config)
    elif not hasattr(config, "workerinput"):
        config.pluginmanager.register(Controller(config), "llmops-controller")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make items of the golden cases of an eval test."""
    definition = metafunc.definition
    mark = definition.get_closest_marker("llm_eval")
    if mark is not None:
        stash.collector(metafunc.config).parametrize(metafunc, mark)
        return
    lonely = next((name for name in MARKERS if definition.get_closest_marker(name)), None)
    if lonely is not None:
        stash.collector(metafunc.config).refuse(
            f"{definition.nodeid}: the marker {lonely} needs llm_eval(prompt, golden) on the same test."
        )


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pycollect_makeitem(collector: pytest.Collector) -> Generator[None, object, object]:
    """Make the items of all cases where pytest has made one that stands in for them."""
    made = yield
    return stash.expanded(collector.config, made) if isinstance(made, list) else made


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let go of connections and of the event loop."""
    stash.close(session.config)
