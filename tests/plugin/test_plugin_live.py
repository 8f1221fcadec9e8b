"""Look at a session's progress as a person does: on a terminal, in a log, and with -q."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pyte
import pytest

from pytest_llmops.plugin.live import duration

SIZE = (80, 24)

EAGER = """

import asyncio

import pytest_llmops.plugin.live as live

live.QUIET = live.REFRESH = live.LOG = 0.0


async def slow(request):
    await asyncio.sleep(0.02)
    return reply(request)


def pytest_llmops_provider(name):
    return ScriptedProvider(slow) if name == "scripted" else None
"""
"""Say at once what a session says after seconds."""


@pytest.fixture
def eager(plain_suite: Any) -> Any:
    path = plain_suite.root / "conftest.py"
    path.write_text(path.read_text() + EAGER)
    return plain_suite


def command(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", *arguments]


def on_terminal(suite: Any, *arguments: str) -> tuple[str, str]:
    """Return what was written to a terminal, and what its screen shows in the end."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "COLUMNS": str(SIZE[0]), "TERM": "xterm"}
    child = subprocess.Popen(
        command(*arguments), cwd=suite.root, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    screen = pyte.Screen(*SIZE)
    stream = pyte.ByteStream(screen)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
        stream.feed(part)
    os.close(ours)
    assert child.wait() == 0, written.decode()
    return written.decode(), "\n".join(line.rstrip() for line in screen.display)


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("workers", [("-p", "no:xdist"), ("-n2",)], ids=["plain", "n2"])
def test_a_terminal_shows_one_line_below_and_nothing_of_it_stays(eager: Any, workers: Sequence[str]) -> None:
    written, shown = on_terminal(eager, *workers)

    assert "llmops: 20 of 20 cases" in written
    assert "calls/s" in written
    assert " left" in written
    # The screen is what pytest alone would have left.
    assert "of 20 cases" not in shown
    assert "." * 20 in shown
    assert "20 passed" in shown


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_quiet_says_nothing_on_the_way(eager: Any) -> None:
    written, _ = on_terminal(eager, "-q", "-p", "no:xdist")

    assert "calls/s" not in written


def logged(suite: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("-p", "no:xdist"), cwd=suite.root, capture_output=True, text=True, check=True
    )


def test_a_log_gets_lines_of_plain_text(eager: Any) -> None:
    ran = subprocess.run(
        command("-p", "no:xdist"), cwd=eager.root, capture_output=True, text=True, check=True
    )

    lines = [line for line in ran.stderr.splitlines() if line]
    assert lines[-1].startswith("llmops: 20 of 20 cases, ")
    assert all(line.startswith("llmops: ") and line.isprintable() for line in lines)
    assert "calls/s" not in ran.stdout


def test_a_short_session_says_nothing(plain_suite: Any) -> None:
    ran = logged(plain_suite)

    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89.0, "89 s"), (150.0, "2 min"), (5400.0, "1.5 h"), (5399.0, "90 min")],
)
def test_times_are_rounded_to_what_people_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text
