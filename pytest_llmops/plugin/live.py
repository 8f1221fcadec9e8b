"""Say on stderr how far a long session is, and end it in order; active where reports come together."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from pytest_llmops.calls.tally import Tally
from pytest_llmops.plugin.interrupts import Interrupts
from pytest_llmops.plugin.projects import Projects
from pytest_llmops.reports.figures import dollars_text

QUIET = 5.0
"""Seconds from the start in which nothing is said: most sessions need no word."""

REFRESH = 1.0
"""Seconds between two looks of a person at a terminal."""

LOG = 30.0
"""Seconds between two lines in a log."""

BELOW = "\x1b[K\x1bD\x1bM\x1b7\x1b[1B\r\x1b[2K{text}\x1b8"
"""Write on the line below, and leave the cursor where pytest goes on: line feeds keep the column."""

CLEAR = "\x1b[J"
"""Clear what is below the cursor."""


PLACE = "llmops_place"
"""Attribute of an item's last report: how many cases the session has, and the project's root."""


class Live:
    """Show cases done, calls a second, dollars and the time that is left; end in order when told to stop.

    Args:
        config: the session's configuration.
        projects: the opened projects.
        clock: seconds; replaced in tests.
    """

    def __init__(
        self, config: pytest.Config, projects: Projects, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._projects = projects
        self._clock = clock
        self._interrupts = Interrupts()
        self._interrupts.listen()
        self._start = clock()
        self._next = self._start + QUIET
        self._drawn = False
        self._done = 0
        self._place = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the finished cases."""
        place = getattr(report, PLACE, None)
        if place is not None:
            self._done, self._place = self._done + 1, place
            self.show()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_keyboard_interrupt(
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> Generator[None, object, object]:
        """Note that a person stopped the session."""
        self._interrupts.note(excinfo.value)
        try:
            return (yield)
        except TypeError:
            # It may come where Python knows no line, and then pytest cannot show where it came.
            return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Say by the exit status what stopped the session, and give SIGTERM back."""
        self._clear()
        if self._interrupts.status is not None:
            session.exitstatus = self._interrupts.status
        try:
            yield
        finally:
            self._interrupts.close()

    def show(self) -> None:
        """Write where the session is, where that is due."""
        now = self._clock()
        if now < self._next or self._config.option.verbose < 0:
            return
        with _uncaptured(self._config):
            # Asked here, since a captured stream is never a terminal.
            terminal = sys.stderr.isatty()
            self._next = now + (REFRESH if terminal else LOG)
            if not terminal and now < self._start + LOG:
                return
            text = self._text(now - self._start)
            sys.stderr.write(BELOW.format(text=text) if terminal else f"\n{text}\n")
            sys.stderr.flush()
            self._drawn = self._drawn or terminal

    def _clear(self) -> None:
        if self._drawn:
            self._drawn = False
            with _uncaptured(self._config):
                sys.stderr.write(CLEAR)
                sys.stderr.flush()

    def _text(self, seconds: float) -> str:
        total, _, root = (self._place or "0").partition(" ")
        spent = self._projects.at(Path(root)).spent() if root else Tally()
        facts = [f"{self._done:,} of {int(total):,} cases", f"{spent.calls / seconds:.1f} calls/s"]
        if spent.calls:
            facts.append(dollars_text(spent.cost, spent.unpriced))
        if 0 < self._done < int(total):
            facts.append(f"{duration(seconds / self._done * (int(total) - self._done))} left")
        return f"llmops: {', '.join(facts)}"


def duration(seconds: float) -> str:
    """Return a time in words, rounded to what people can use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _uncaptured(config: pytest.Config) -> Any:
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    if manager is None:
        return nullcontext()
    return manager.global_and_fixture_disabled()
