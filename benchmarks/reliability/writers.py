"""F4: put answers into one cache file from many processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.calls import answers_kept
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.exchange import Response
from pytest_llmops.store.canonical import digest_text
from pytest_llmops.store.folder import HOME

ROOT = Path(__file__).parent.parent.parent

LONGEST = 10.0
"""Seconds that the whole of it may take, the start of the processes apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Be what is in a file after many processes wrote to it."""

    kept: int
    """Rows."""
    right: int
    """Answers that a look-up gives back as they were put."""
    seconds: float
    warnings: list[str]


def write(root: Path, *, processes: int, puts: int) -> Written:
    """Return what is left of `puts` answers of each process.

    Args:
        root: the folder of the project.
        processes: how many write at once.
        puts: answers of each.
    """
    path = root / HOME / "local" / "cache.sqlite"
    command = [sys.executable, "-m", "benchmarks.reliability.writers", str(path), str(puts)]
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, str(number)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(processes)
        ]
        # Each says that it is ready, and starts when it is told no more.
        ready = [writer.stdout.readline() for writer in writers if writer.stdout]
        assert ready == ["ready\n"] * processes
        start = time.perf_counter()
        warnings = _let_go(writers)
        seconds = time.perf_counter() - start
    cache = Cache(path, session="reader")
    hits = {key: cache.get(key) for writer in range(processes) for key in _keys(writer, puts)}
    right = sum(hit is not None and hit.response.text == _text(key) for key, hit in hits.items())
    cache.close()
    return Written(kept=answers_kept(root), right=right, seconds=seconds, warnings=warnings)


def writers(processes: int = 8, puts: int = 5000) -> bool:
    """Print what was kept of all that was put, and return whether it was everything, in time."""
    with tempfile.TemporaryDirectory() as folder:
        found = write(Path(folder), processes=processes, puts=puts)
    wanted = processes * puts
    good = (found.kept, found.right) == (wanted, wanted) and not found.warnings and found.seconds <= LONGEST
    print(
        f"writers: {processes} processes, {puts:,} answers each: {found.kept:,} of {wanted:,} kept, "
        f"{found.right:,} come back as they were put, {len(found.warnings)} warnings; {found.seconds:.1f} s "
        f"(at most {LONGEST:.0f}); load {os.getloadavg()[0]:.1f}: {'kept' if good else 'BROKEN'}"
    )
    return good


def _let_go(writers: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Let all begin at once, wait for their end, and return what they warn of."""
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    warnings = [line for writer in writers if writer.stdout for line in writer.stdout]
    statuses = [writer.wait() for writer in writers]
    return warnings + [f"a writer ended with status {status}" for status in statuses if status]


def _keys(writer: int, puts: int) -> list[str]:
    return [digest_text(f"{writer} {number}") for number in range(puts)]


def _text(key: str) -> str:
    return f"The answer to {key}."


def _write(path: Path, puts: int, writer: int) -> None:
    """Put this writer's answers, as soon as standard input ends."""
    cache = Cache(path, session=f"session-{writer}")
    keys = _keys(writer, puts)
    print("ready", flush=True)
    sys.stdin.read()
    for key in keys:
        cache.put(key, Response(text=_text(key), model="a-model", finish_reason="stop"))
    for warning in cache.warnings:
        print(warning)
    cache.close()


if __name__ == "__main__":
    _write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
