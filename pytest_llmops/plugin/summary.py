"""Write our part of pytest's terminal summary."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable
from typing import Any

from pytest_llmops.reports.page import Line, Style
from pytest_llmops.settings import known_secrets

_MARKUP: dict[Style, dict[str, bool]] = {
    "plain": {},
    "bold": {"bold": True},
    "red": {"red": True},
    "green": {"green": True},
    "yellow": {"yellow": True},
    "dim": {"light": True},
}


def paper() -> tuple[int, Collection[str]]:
    """Return the columns of the terminal, and the secret values that must not show on it."""
    return shutil.get_terminal_size().columns, known_secrets(os.environ).values()


def write_section(terminalreporter: Any, lines: Iterable[Line]) -> None:
    """Write the lines under a heading of their own."""
    terminalreporter.write_sep("=", "llmops")
    for line in lines:
        terminalreporter.write_line(line.text, **_MARKUP[line.style])
