"""F14: make many calls to a server that goes wrong in many ways, and compare its log with ours."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.calls import DEADLINE, answers_kept, asking, outcomes
from benchmarks.reliability.faults import FAULTS
from benchmarks.reliability.laws import Breach, Outcome, breaches, summary
from benchmarks.server import Entry, serving

STREAMS = 3
"""One of so many calls asks for a stream."""

LONGEST = 60.0
"""Seconds that the whole of it may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """Be what came of many calls."""

    outcomes: Sequence[Outcome]
    log: Sequence[Entry]
    kept: int
    """Answers in the cache file."""
    breaches: Sequence[Breach]


def mixed(
    root: Path,
    *,
    calls: int,
    rate: float,
    seed: int,
    kinds: Sequence[str] = tuple(FAULTS),
    concurrency: int = 64,
) -> Mixed:
    """Return what comes of `calls` calls, of which `rate` meet a fault each time they are tried.

    Args:
        root: the folder of the project.
        calls: how many.
        rate: share of requests that meet a fault.
        seed: decides which.
        kinds: of faults.
        concurrency: most calls under way.
    """
    asked = [asking(f"Question {n}?", streams=n % STREAMS == 0) for n in range(calls)]
    with serving(faults=rate, kinds=kinds, seed=seed) as server:
        os.environ.update(server.environment)
        found = asyncio.run(outcomes(root, asked, concurrency=concurrency))
        log = server.log()
    return Mixed(
        outcomes=found,
        log=log,
        kept=answers_kept(root),
        breaches=breaches(found, log, deadline=DEADLINE),
    )


def faults(calls: int, rate: float, seed: int) -> bool:
    """Print what came of the calls, and return whether all laws were kept."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = mixed(Path(folder), calls=calls, rate=rate, seed=seed)
    seconds = time.perf_counter() - start
    met = Counter(entry.fault for entry in found.log if entry.fault)
    classes = Counter(outcome.comes_of for outcome in found.outcomes)
    kept = not found.breaches and found.kept == classes["right"] and seconds <= LONGEST
    print(
        f"faults: {calls:,} calls, seed {seed}: {len(found.log):,} requests, {met.total():,} of them met "
        f"{len(met)} of {len(FAULTS)} kinds of faults; {seconds:.1f} s (at most {LONGEST:.0f}): "
        f"{'kept' if kept else 'BROKEN'}\n"
        f"  {', '.join(f'{count:,} {name}' for name, count in classes.most_common())}; "
        f"{found.kept:,} answers kept\n{summary(found.breaches)}"
    )
    return kept
