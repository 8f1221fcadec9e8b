"""F1: kill processes that make calls, at random moments, and see what the next one finds."""

from __future__ import annotations

import random
import select
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

LATEST = 0.25
"""Seconds from the first answer that a process tells of until it is killed, at most."""

LIVES = 25
"""Kills that one file lives through."""

Told = list[tuple[str, str]]
"""What a process said: `called 7` before it asks, `kept 7` when it has the answer."""


@dataclass(slots=True, kw_only=True)
class Kills:
    """Be what came of killing processes one after the other."""

    files: int = 0
    killed: int = 0
    kept: int = 0
    """Answers that a process told of before it was killed."""
    lost: list[str] = field(default_factory=list)
    """Those that a later process asked for again, or had another answer to."""
    unreadable: list[str] = field(default_factory=list)
    """What processes warned of, or SQLite finds wrong with a file."""
    unfinished: int = 0
    """Questions that were asked again, since a kill came before the answer."""

    @property
    def good(self) -> bool:
        """Tell whether all that was told of was there."""
        return not self.lost and not self.unreadable


class Asker:
    """Start a process that gets ready to ask, and waits for the word.

    Args:
        path: of the cache file.
        session: the name of its session.
    """

    def __init__(self, path: Path, session: str) -> None:
        command = [sys.executable, "-m", "benchmarks.reliability.asker", str(path), session]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._output = b""

    def ask(self, first: int, last: int | None = None) -> None:
        """Let it ask on from the number `first`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{first} {'' if last is None else last}\n".encode())

    def killed(self, seconds: float, *, after_word: bool = True) -> Told:
        """Return what it said until it was killed, some seconds after its first answer or right from now."""
        while after_word and b"kept" not in self._output and self._read():
            pass
        until = time.monotonic() + seconds
        # A full pipe would hold it back.
        while (left := until - time.monotonic()) > 0 and self._said_more(left) and self._read():
            pass
        self._process.kill()
        return self.ended()

    def ended(self) -> Told:
        """Return what it said until its end."""
        self._output += self._process.communicate()[0]
        lines = self._output.decode().splitlines()
        told = [(word, text) for word, _, text in (line.partition(" ") for line in lines)]
        if self._process.returncode not in (0, -9):
            told.append(("warned", f"the process ended with status {self._process.returncode}"))
        return told

    def _said_more(self, seconds: float) -> bool:
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def _read(self) -> bool:
        assert self._process.stdout is not None
        more = self._process.stdout.read(65536)
        self._output += more
        return bool(more)


def kill_askers(root: Path, *, kills: int, seed: int, lives: int = LIVES) -> Kills:
    """Kill one process after the other, each on the file that the one before it left.

    The first process on each file is killed at any moment, while it makes the file too.

    Args:
        root: the folder for the files.
        kills: how many.
        seed: decides the moments.
        lives: kills that one file lives through.
    """
    chance = random.Random(seed)
    found = Kills()
    while found.killed < kills:
        path = root / f"project-{found.files}" / ".llmops" / "local" / "cache.sqlite"
        _use_up(path, chance, min(lives, kills - found.killed), found)
        found.files += 1
    return found


def kills(count: int, seed: int) -> bool:
    """Print what was lost by killing processes, and return whether that was nothing."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = kill_askers(Path(folder), kills=count, seed=seed)
    print(
        f"kills: {found.killed:,} processes killed at random moments, seed {seed}, {found.files} files: "
        f"{found.kept:,} answers told of, {len(found.lost)} of them lost, {len(found.unreadable)} files "
        f"unreadable; {found.unfinished:,} unfinished questions asked again; "
        f"{time.perf_counter() - start:.0f} s: {'kept' if found.good else 'BROKEN'}"
    )
    for breach in (*found.lost[:3], *found.unreadable[:3]):
        print(f"  {breach}")
    return found.good


def _use_up(path: Path, chance: random.Random, kills: int, found: Kills) -> None:
    """Kill one process after the other on one file; the last one is left to end."""
    kept: set[str] = set()
    unsure: set[str] = set()
    asker = Asker(path, "session-0")
    for number in range(kills):
        # It gets ready while this one runs.
        following = Asker(path, f"session-{number + 1}")
        asker.ask(_first(kept, unsure))
        told = asker.killed(chance.uniform(0.0, LATEST), after_word=number > 0)
        _weigh(told, kept, unsure, found)
        found.killed += 1
        asker = following
    # The last one looks at all of them, and asks one more question.
    asker.ask(0, _first(kept, ()) + 1)
    told, missing = asker.ended(), set(kept)
    found.kept += len(kept)
    _weigh(told, kept, unsure, found)
    missing -= {text for word, text in told if word == "kept"}
    found.lost += [f"{text} was not there in the end" for text in missing]
    found.unreadable += [f"{path}: {fault}" for fault in _faults(path)]


def _first(kept: Iterable[str], unsure: Iterable[str]) -> int:
    """Return the number to go on from: what was told of and not yet seen again comes first."""
    return min(map(int, unsure), default=max(map(int, kept), default=-1) + 1)


def _weigh(told: Told, kept: set[str], unsure: set[str], found: Kills) -> None:
    """Hold what a process said against what earlier ones were told of."""
    before, called = set(kept), set()
    for word, text in told:
        if word == "called":
            called.add(text)
            if text in before:
                found.lost.append(f"{text} was asked for again")
        elif word == "kept":
            kept.add(text)
            (unsure.discard if text in before else unsure.add)(text)
        elif word == "wrong":
            found.lost.append(f"{text} had another answer")
        else:
            found.unreadable.append(text)
    answered = {text for word, text in told if word == "kept"}
    found.unfinished += len(called - answered)


def _faults(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        told = [text for (text,) in connection.execute("PRAGMA integrity_check")]
    return [] if told == ["ok"] else told
