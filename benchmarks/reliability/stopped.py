"""Stop pytest sessions at random moments, and see what they leave and what the next one asks for."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.reliability.suites import PYTEST, left_behind, write_suite
from benchmarks.server import Served, serving
from pytest_llmops.store.folder import HOME

LATENCY = 0.05

PATIENCE = 60.0
"""Seconds after the signal in which a session has to end."""

GRACE = 2.0
"""Seconds after the end of the first process in which its workers have to be gone."""

PASSED = re.compile(r"^.*\[(case-\d+)\] PASSED|PASSED .*\[(case-\d+)\]", re.MULTILINE)
"""How `-v` reports a case, without and with workers."""

LAST_WORD = re.compile(r"^=+ .*\bpassed\b.* in [\d.]+s", re.MULTILINE)
"""The line that ends pytest's report."""

HELD = ("claims", "owners", "attempts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Say how sessions are stopped."""

    number: signal.Signals
    to_all: bool = False
    """To all processes, as a terminal sends it; else to the one that was started."""
    arguments: Sequence[str] = ()
    """Of pytest."""
    latest: float = 1.0
    """Seconds from the first finished case until the signal, at most."""

    @property
    def named(self) -> str:
        """Return it in words."""
        whom = "all processes" if self.to_all else "the first process"
        return f"{self.number.name} to {whom}, {' '.join(self.arguments) or 'plain'}"

    @property
    def status(self) -> int:
        """Return the exit status that says so, as shells count."""
        return 128 + self.number


@dataclass(slots=True, kw_only=True)
class Stops:
    """Be what came of sessions that were stopped one after the other."""

    stopped: int = 0
    finished: int = 0
    """Sessions that had ended before the signal came."""
    suites: int = 0
    kept: int = 0
    """Cases that sessions reported before they were stopped."""
    statuses: Counter[int] = field(default_factory=Counter)
    """Of stopped sessions."""
    lost: list[str] = field(default_factory=list)
    """Cases that were asked for although an earlier session had reported them."""
    left: list[str] = field(default_factory=list)
    """Threads, sockets, processes and rows of the ledger that stopped sessions left behind."""
    odd: list[str] = field(default_factory=list)
    """Ends of the output of sessions with another status than they should have."""

    def good(self, way: Way) -> bool:
        """Tell whether all sessions ended as they should."""
        return not (self.lost or self.left or self.odd) and set(self.statuses) <= {way.status}


def stop_sessions(root: Path, way: Way, *, stops: int, seed: int, cases: int = 120) -> Stops:
    """Stop one session after the other; each goes on where the one before it was stopped.

    Args:
        root: the folder for the suites.
        way: how they are stopped.
        stops: how many.
        seed: decides the moments.
        cases: of each suite.
    """
    chance, found = random.Random(seed), Stops()
    while found.stopped < stops:
        suite = root / f"suite-{found.suites}"
        write_suite(suite, [f"Question {n}?" for n in range(cases)])
        found.suites += 1
        with serving(latency=LATENCY) as server:
            most = stops - found.stopped
            delays = (chance.uniform(0.0, way.latest) for _ in range(most))
            _use_up(partial(_Session, suite, way, server), delays, cases, found)
    return found


def held(root: Path) -> dict[str, int]:
    """Return how many rows the ledger of a project holds in each table that should be empty."""
    with closing(sqlite3.connect(root / HOME / "local" / "cache.sqlite")) as connection:
        counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in HELD}
    return {table: count for table, count in counts.items() if count}


def running(session: int) -> list[int]:
    """Return the processes that live in a session of the system."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in ("Z", "X"):
                found.append(int(path.parent.name))
    return found


def _use_up(started: Callable[[], _Session], delays: Iterator[float], cases: int, found: Stops) -> None:
    """Stop sessions of one suite until all of it is done."""
    kept: set[str] = set()
    for delay in delays:
        session = started()
        found.lost += sorted(kept & session.run(delay))
        kept |= session.kept
        if session.done:
            found.finished += 1
            break
        found.stopped += 1
        found.statuses[session.status] += 1
        if session.status != session.way.status:
            found.odd.append(f"status {session.status}: ...{session.output[-6000:]}")
        found.left += session.left()
        if len(kept) == cases:
            break
    found.kept += len(kept)


def _case(question: str) -> str:
    return f"case-{question.removeprefix('Question ').removesuffix('?')}"


class _Session:
    """Be one pytest process with its children, in a session of the system."""

    def __init__(self, suite: Path, way: Way, server: Served) -> None:
        self._suite = suite
        self.way = way
        self._server = server
        self._seen = len(server.log())
        (suite / "left.json").unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [*PYTEST, "-v", "--llmops-concurrency=8", *way.arguments],
            cwd=suite,
            env={**os.environ, **server.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            bufsize=0,
        )
        self.output = ""

    @property
    def status(self) -> int:
        """Return the exit status as a shell tells it: also for a process that a signal ended."""
        code = self._process.returncode
        return 128 - code if code < 0 else code

    @property
    def kept(self) -> set[str]:
        """Return the cases that were reported as passed."""
        return {one or other for one, other in PASSED.findall(self.output)}

    @property
    def done(self) -> bool:
        """Tell whether it ended by itself, with nothing left to do."""
        return self.status == 0 and LAST_WORD.search(self.output) is not None

    def run(self, delay: float) -> set[str]:
        """Send the signal some seconds after the first finished case, and return the cases asked for."""
        assert self._process.stdout is not None
        told = b""
        while b"PASSED" not in told and (line := self._process.stdout.readline()):
            told += line
        alarm = threading.Timer(delay, self._send)
        alarm.start()
        try:
            told += self._process.communicate(timeout=delay + PATIENCE)[0]
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            told += self._process.communicate()[0] + b"It did not end."
        finally:
            alarm.cancel()
            alarm.join()
        self.output = told.decode(errors="replace")
        return {_case(entry.text) for entry in self._server.log()[self._seen :]}

    def left(self) -> list[str]:
        """Return what is left of it; what was killed can leave no less than its rows."""
        if self.way.number == signal.SIGKILL:
            return []
        until = time.monotonic() + GRACE
        while (staying := running(self._process.pid)) and time.monotonic() < until:
            time.sleep(0.01)
        found = [f"process {number}" for number in staying]
        found += [f"{count} {table}" for table, count in held(self._suite).items()]
        if not (self._suite / "left.json").exists():
            # A session that has said its last word gives SIGTERM back, and may die of it.
            return found if LAST_WORD.search(self.output) else [*found, "no orderly end"]
        # Workers that are just ending are no trouble: those that stay are found above.
        inside = {kind: what for kind, what in left_behind(self._suite).items() if kind != "children"}
        return found + [f"{kind}: {', '.join(what)}" for kind, what in inside.items()]

    def _send(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.way.to_all:
                os.killpg(self._process.pid, self.way.number)
            elif self._process.poll() is None:
                self._process.send_signal(self.way.number)
