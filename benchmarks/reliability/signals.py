"""F9 and the sessions of F1: stop whole sessions by Ctrl-C, SIGTERM and kill -9 at random moments."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.reliability.stopped import Way, stop_sessions

ORDERLY = (
    Way(number=signal.SIGINT, to_all=True),
    Way(number=signal.SIGTERM),
    Way(number=signal.SIGINT, to_all=True, arguments=("-n2",)),
    Way(number=signal.SIGTERM, arguments=("-n2",)),
    Way(number=signal.SIGTERM, to_all=True, arguments=("-n2",)),
)

KILLED = (
    Way(number=signal.SIGKILL, to_all=True),
    Way(number=signal.SIGKILL, to_all=True, arguments=("-n2",)),
)


def signals(count: int, seed: int) -> bool:
    """Print what `count` Ctrl-C and as many SIGTERM left, and return whether that was nothing."""
    half = count // 2
    # One half without workers, one with them; SIGTERM comes to the controller, or to all.
    return _all_good(ORDERLY, (half, half, count - half, (count - half) // 2, -(-(count - half) // 2)), seed)


def killed_sessions(count: int, seed: int) -> bool:
    """Print what sessions lost by kill -9, and return whether that was nothing."""
    return _all_good(KILLED, (count // 2, count - count // 2), seed)


def _all_good(ways: Sequence[Way], counts: Sequence[int], seed: int) -> bool:
    turns = enumerate(zip(ways, counts, strict=True))
    good = [_good(way, count, seed + number) for number, (way, count) in turns]
    return all(good)


def _good(way: Way, count: int, seed: int) -> bool:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = stop_sessions(Path(folder), way, stops=count, seed=seed)
    good = found.good(way)
    print(
        f"signals: {way.named}, seed {seed}: {found.stopped} sessions stopped, status "
        f"{', '.join(f'{status} x {times}' for status, times in found.statuses.items())}; {found.kept:,} "
        f"cases reported, {len(found.lost)} of them asked for again; left behind: {found.left or 'nothing'}; "
        f"{time.perf_counter() - start:.0f} s; load {os.getloadavg()[0]:.1f}: {'kept' if good else 'BROKEN'}",
        flush=True,
    )
    for text in found.odd[:3]:
        print(text)
    return good
