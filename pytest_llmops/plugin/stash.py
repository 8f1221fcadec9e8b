"""Keep what a session shares on pytest's own stash, each part made on first use."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from pytest_llmops.settings import Settings

if TYPE_CHECKING:
    from pytest_llmops.plugin.collector import Collector
    from pytest_llmops.plugin.live import Live
    from pytest_llmops.plugin.projects import Projects
    from pytest_llmops.plugin.recorder import Recorder

settings_key = pytest.StashKey[Settings]()
session_key = pytest.StashKey[str]()
_projects_key = pytest.StashKey["Projects"]()
_collector_key = pytest.StashKey["Collector"]()
_live_key = pytest.StashKey["Live"]()
_recorder_key = pytest.StashKey["Recorder"]()


def session_name(config: pytest.Config) -> str:
    """Return the session's own name, the same in the controller and its workers."""
    worker = getattr(config, "workerinput", {})
    if session_key not in config.stash:
        config.stash[session_key] = worker.get("llmops_session") or os.urandom(8).hex()
    return config.stash[session_key]


def projects(config: pytest.Config) -> Projects:
    """Return the projects of this process."""
    if _projects_key not in config.stash:
        from pytest_llmops.plugin.projects import Projects

        config.stash[_projects_key] = Projects(config, config.stash[settings_key], session_name(config))
    return config.stash[_projects_key]


def collector(config: pytest.Config) -> Collector:
    """Return the collector; the first call switches collecting and measuring on."""
    if _collector_key not in config.stash:
        from pytest_llmops.calls.prefetch import nothing
        from pytest_llmops.plugin.collector import Collector
        from pytest_llmops.plugin.interrupts import end_worker_in_order
        from pytest_llmops.plugin.protocol import Protocol
        from pytest_llmops.plugin.recorder import Recorder

        config.stash[_collector_key] = Collector(config, projects(config))
        if hasattr(config, "workerinput"):
            end_worker_in_order()
            # Nobody would see how far the session is.
            waiting: Callable[[], object] = nothing
        else:
            waiting = live(config).show
        config.stash[_recorder_key] = Recorder(config, projects(config), waiting)
        config.pluginmanager.register(config.stash[_collector_key], "llmops-collector")
        config.pluginmanager.register(config.stash[_recorder_key], "llmops-recorder")
        config.pluginmanager.register(Protocol(config, config.stash[_recorder_key]), "llmops-protocol")
    return config.stash[_collector_key]


def expanded(config: pytest.Config, items: list[object]) -> list[object]:
    """Return items with those of all cases in place of the one that stands in for them."""
    if _collector_key not in config.stash:
        return items
    from pytest_llmops.plugin.items import expand

    return list(expand(items))


def live(config: pytest.Config) -> Live:
    """Return what shows how far the session is; the first call switches it on."""
    if _live_key not in config.stash:
        from pytest_llmops.plugin.live import Live

        config.stash[_live_key] = Live(config, projects(config))
        config.pluginmanager.register(config.stash[_live_key], "llmops-live")
    return config.stash[_live_key]


def plan(config: pytest.Config) -> None:
    """Let a planner stand in for the loop that runs the items."""
    from pytest_llmops.plugin.planner import Planner

    # The items are needed in this process, and xdist asks for them only where it distributes tests.
    if hasattr(config.option, "dist"):
        config.option.dist = "no"
    config.pluginmanager.register(Planner(projects(config)), "llmops-planner")


def recorder(config: pytest.Config) -> Recorder:
    """Return the recorder of a process that has collected an eval test."""
    return config.stash[_recorder_key]


def close(config: pytest.Config) -> None:
    """Let go of what this process opened."""
    if _projects_key in config.stash:
        projects = config.stash[_projects_key]
        if hasattr(config, "workeroutput"):
            # Counts that are in memory only are gone when it is closed.
            config.workeroutput["llmops_unseen"] = asdict(projects.unseen())
        projects.close()
        if hasattr(config, "workeroutput"):
            config.workeroutput["llmops_warnings"] = projects.warnings()
