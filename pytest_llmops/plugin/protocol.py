"""Run items of an eval test one after another without what pytest would do anew for each of them in vain."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import pluggy
import pytest

from pytest_llmops.plugin.eval_tests import slot_of
from pytest_llmops.plugin.plan import FIXTURE

FIXTURES = frozenset({FIXTURE, "request"})
"""What an item may need: nothing that has to be torn down, or is shared with other items."""

MARKS = frozenset({"skip", "skipif", "xfail", "usefixtures"})
"""Markers that pytest looks at while it sets an item up."""

HOOKS = (
    "pytest_runtest_protocol",
    "pytest_runtest_setup",
    "pytest_runtest_call",
    "pytest_pyfunc_call",
    "pytest_runtest_teardown",
    "pytest_fixture_setup",
    "pytest_fixture_post_finalizer",
)
"""Hooks by which another plugin has a part in the set-up of items, or may rely on it."""

INDIFFERENT = ("_pytest.", "pytest_llmops.", "pytest_asyncio.", "anyio.", "_hypothesis_pytestplugin.")
"""Modules whose hooks do nothing to a plain function without other fixtures."""

NEEDLESS = tuple(
    f"_pytest.{name}." for name in ("runner", "capture", "skipping", "threadexception", "unraisableexception")
)
"""pytest's modules whose part in set-up and teardown is not needed where nothing is set up."""

OPTIONS = ("setuponly", "setupshow", "setupplan", "usepdb", "trace")


class Protocol:
    """Take items over from pytest where it makes no difference but in time.

    In set-up and teardown pytest fills fixtures and keeps a stack of folders, modules and classes. Between
    two items of one function whose only fixture is `llm_case` the stack stays as it is: so these phases are
    cut down to the one value. All other hooks are called as ever. The first and the last item of a row run
    as pytest runs them; so does every item where another plugin has a hand in set-up, call, teardown or
    fixtures.

    Args:
        config: the session's configuration.
        answer: returns what `llm_case` gives to an item.
    """

    def __init__(self, config: pytest.Config, answer: Callable[[pytest.Item], object]) -> None:
        self._config = config
        self._answer = answer
        self._alone = False
        self._before: pytest.Item | None = None
        self._filled: list[object] = []
        self._keywords: object = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """Look who else has a hand in it."""
        wanted = any(getattr(self._config.option, name, False) for name in OPTIONS)
        self._alone = not wanted and not any(self._others(name) for name in HOOKS)
        self._set_up = self._rest("pytest_runtest_setup")
        self._tear_down = self._rest("pytest_runtest_teardown")

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Note what fills the fixtures of an item: somebody may have put a fixture of their own over ours."""
        self._filled.append((fixturedef.argname, fixturedef.func.__module__))

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run an item that follows one of its kind, and is followed by one."""
        before, self._before = self._before, item
        filled, self._filled = self._filled, []
        if not self._alone or filled != [(FIXTURE, f"{__package__}.fixtures")]:
            return None
        if before is None or nextitem is None or not _alike(before, item, nextitem):
            return None
        # What was filled for the item before is filled for this one, too.
        self._filled = filled
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self._run(item, nextitem)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _run(self, item: Any, nextitem: pytest.Item) -> None:
        def set_up() -> None:
            self._set_up(item=item)
            item.funcargs[FIXTURE] = self._answer(item)

        hook, session = item.ihook, item.session
        passed = self._phase(item, "setup", set_up)
        passed = passed and self._phase(item, "call", lambda: hook.pytest_runtest_call(item=item))
        item.funcargs.clear()
        tear_down = self._tear_down if passed else hook.pytest_runtest_teardown
        # Where the session ends here, all that other items have set up is torn down.
        following = None if session.shouldfail or session.shouldstop else nextitem
        self._phase(item, "teardown", lambda: tear_down(item=item, nextitem=following))

    def _phase(self, item: pytest.Item, when: Any, work: Callable[[], None]) -> bool:
        call = pytest.CallInfo.from_call(work, when, (pytest.exit.Exception, KeyboardInterrupt))
        report = item.ihook.pytest_runtest_makereport(item=item, call=call)
        skipped = call.excinfo is not None and isinstance(call.excinfo.value, pytest.skip.Exception)
        if skipped and when == "setup":
            # A skip in a fixture is shown where the test stands.
            path, line, _ = item.reportinfo()
            report.longrepr = (os.fspath(path), (line or 0) + 1, report.longrepr[2])
        # Reports are kept to the end, and those of an item have the same keywords.
        if report.keywords == self._keywords:
            report.keywords = self._keywords
        self._keywords = report.keywords
        item.ihook.pytest_runtest_logreport(report=report)
        if call.excinfo is not None and not skipped and not hasattr(report, "wasxfail"):
            item.ihook.pytest_exception_interact(node=item, call=call, report=report)
        return bool(report.passed)

    def _others(self, name: str) -> list[object]:
        # A wrapper of the whole protocol is called whoever runs it.
        return [
            impl.plugin
            for impl in getattr(self._config.hook, name).get_hookimpls()
            if not _module(impl.plugin).startswith(INDIFFERENT)
            and not (name == "pytest_runtest_protocol" and (impl.wrapper or impl.hookwrapper))
        ]

    def _rest(self, name: str) -> pluggy.HookCaller:
        impls = getattr(self._config.hook, name).get_hookimpls()
        needless = [impl.plugin for impl in impls if _module(impl.plugin).startswith(NEEDLESS)]
        return self._config.pluginmanager.subset_hook_caller(name, needless)


def _module(plugin: object) -> str:
    name: str = getattr(plugin, "__name__", None) or type(plugin).__module__
    return f"{name}."


@cache
def _arguments(function: Callable[..., object]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def _alike(before: Any, item: Any, following: Any) -> bool:
    """Tell whether three items stand side by side, and the one in the middle is nothing special."""
    return (
        slot_of(item) is not None
        and before.parent is item.parent is following.parent
        and item.obj is getattr(before, "obj", None)
        and item.cls is None
        and _arguments(item.obj) == (FIXTURE,)
        and FIXTURES.issuperset(item.fixturenames)
        and MARKS.isdisjoint(mark.name for mark in item.iter_markers())
    )
