"""Run items of an eval test one after another without what pytest would do anew for each of them in vain."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import pluggy
import pytest

from pytest_llmops.plugin.items import CaseItem, slot_of
from pytest_llmops.plugin.plan import FIXTURE
from pytest_llmops.plugin.recorder import Recorder

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

EXITS = (pytest.exit.Exception, KeyboardInterrupt)

LOG_KEYS: Final = ("caplog_records_key", "caplog_handler_key")
"""Names by which pytest's own plugin for logging keeps what an item logged, in its stash."""

OPTIONS = ("setuponly", "setupshow", "setupplan", "usepdb", "trace")

LISTENERS = ("pytest_runtest_makereport", "pytest_runtest_logreport", "pytest_report_teststatus")
"""Hooks that learn of every phase."""

COUNTING = ("_pytest.junitxml.", "xdist.")
"""Modules that wait for the report of a teardown, as those of other plugins may."""


class Protocol:
    """Take items over from pytest where it makes no difference but in time.

    In set-up and teardown pytest fills fixtures and keeps a stack of folders, modules and classes. Between
    two items of one function whose only fixture is `llm_case` the stack stays as it is: so these phases are
    cut down to the one value, and reported where something went wrong or somebody waits for their reports.
    All other hooks are called as ever. The first and the last item of a row run as pytest runs them; so does
    every item where another plugin has a hand in set-up, call, teardown or fixtures.

    Args:
        config: the session's configuration.
        recorder: returns what `llm_case` gives to an item, and is told of its last report.
    """

    def __init__(self, config: pytest.Config, recorder: Recorder) -> None:
        self._config = config
        self._recorder = recorder
        self._alone = False
        self._brief = False
        self._quick = False
        self._before: pytest.Item | None = None
        self._untouched = False
        """Whether the item whose turn it is holds nothing yet."""
        self._filled: list[object] = []
        self._keywords: object = None
        self._none: list[Any] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """Look who else has a hand in it."""
        wanted = any(getattr(self._config.option, name, False) for name in OPTIONS)
        self._alone = not wanted and not any(self._others(name, INDIFFERENT) for name in HOOKS)
        heard = any(self._others(name, ("_pytest.", "pytest_llmops."), COUNTING) for name in LISTENERS)
        self._brief = not heard and self._config.getoption("durations", None) is None
        self._set_up = self._rest("pytest_runtest_setup")
        self._tear_down = self._rest("pytest_runtest_teardown")
        rest = [*self._set_up.get_hookimpls(), *self._tear_down.get_hookimpls()]
        logging = all(_module(impl.plugin).startswith("_pytest.logging.") for impl in rest)
        logger = self._config.pluginmanager.get_plugin("logging")
        self._log_keys = [getattr(logger, name) for name in LOG_KEYS if hasattr(logger, name)]
        # With a version that keeps the records elsewhere, it is left to pytest.
        self._quick = self._brief and logging and len(self._log_keys) == len(LOG_KEYS)

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Note what fills the fixtures of an item: somebody may have put a fixture of their own over ours."""
        self._filled.append((fixturedef.argname, fixturedef.func.__module__))

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run an item that follows one of its kind, and is followed by one."""
        # Looked up before its turn: pytest's own wrappers of this hook ask it for its markers.
        untouched, self._untouched = self._untouched, isinstance(nextitem, CaseItem) and nextitem.untouched
        before, self._before = self._before, item
        filled, self._filled = self._filled, []
        if not self._alone or filled != [(FIXTURE, f"{__package__}.fixtures")]:
            return None
        if before is None or nextitem is None or not _alike(before, item, nextitem):
            return None
        # What was filled for the item before is filled for this one, too.
        self._filled = filled
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self._run(hook, item, nextitem)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if isinstance(item, CaseItem) and untouched:
            item.strip()
        return True

    def _run(self, hook: Any, item: Any, nextitem: pytest.Item) -> None:
        session = item.session
        known = self._quick and self._recorder.at_hand(item)
        ready = pytest.CallInfo.from_call(lambda: self._ready(item, known=known), "setup", EXITS)
        brief = self._brief and ready.excinfo is None
        passed = brief or self._report(hook, item, ready)
        if passed:
            called = pytest.CallInfo.from_call(lambda: hook.pytest_runtest_call(item=item), "call", EXITS)
            brief = brief and called.excinfo is None
            passed = self._report(hook, item, called, last=brief)
        item.funcargs.clear()
        if brief and known:
            for key in self._log_keys:
                del item.stash[key]
            return
        # Where the session ends here, all that other items have set up is torn down.
        following = None if session.shouldfail or session.shouldstop else nextitem
        tear_down = self._tear_down if passed else hook.pytest_runtest_teardown
        torn = pytest.CallInfo.from_call(lambda: tear_down(item=item, nextitem=following), "teardown", EXITS)
        if not brief or torn.excinfo is not None:
            self._report(hook, item, torn)

    def _ready(self, item: Any, *, known: bool) -> None:
        if known:
            # Nothing is waited for, so nothing is logged: what is left of the set-up is the records' place.
            item.stash[self._log_keys[0]] = {}
        else:
            self._set_up(item=item)
        item.funcargs[FIXTURE] = self._recorder.answer(item)

    def _report(
        self, hook: Any, item: pytest.Item, call: pytest.CallInfo[None], *, last: bool = False
    ) -> bool:
        report = hook.pytest_runtest_makereport(item=item, call=call)
        skipped = call.excinfo is not None and isinstance(call.excinfo.value, pytest.skip.Exception)
        if skipped and call.when == "setup":
            # A skip in a fixture is shown where the test stands.
            path, line, _ = item.reportinfo()
            report.longrepr = (os.fspath(path), (line or 0) + 1, report.longrepr[2])
        # Reports are kept to the end, and those of an item have the same keywords.
        if report.keywords == self._keywords:
            report.keywords = self._keywords
        self._keywords = report.keywords
        if last:
            self._recorder.end(item, report)
        hook.pytest_runtest_logreport(report=report)
        if last and not report.sections and not report.user_properties:
            # All who listen have had it, and two empty lists a report add up.
            report.sections = report.user_properties = self._none
        if call.excinfo is not None and not skipped and not hasattr(report, "wasxfail"):
            hook.pytest_exception_interact(node=item, call=call, report=report)
        return bool(report.passed)

    def _others(self, name: str, known: tuple[str, ...], strange: tuple[str, ...] = ()) -> list[object]:
        # A wrapper of the whole protocol is called whoever runs it.
        return [
            impl.plugin
            for impl in getattr(self._config.hook, name).get_hookimpls()
            if (not _module(impl.plugin).startswith(known) or _module(impl.plugin).startswith(strange))
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
