"""F13: meet each kind of fault alone: nothing of it is kept, and repeats are answers of their own."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.calls import answers_kept, asking, outcomes
from benchmarks.reliability.faults import FAULTS
from benchmarks.reliability.laws import Breach, Outcome, breaches, summary
from benchmarks.server import serving

DEADLINE = 3.0
"""Seconds for one call: time for a second attempt, and mostly for a third."""

REPEATS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """Be what came of each kind of fault by itself."""

    breaches: Sequence[Breach]
    kept: Mapping[str, int]
    """Rows in the table of answers, by kind."""
    attempts: Mapping[str, int]
    """Requests, by kind."""


def alone(root: Path) -> Alone:
    """Return what comes of each kind, each in a project and a cache of its own."""
    with serving() as server:
        os.environ.update(server.environment)
        found = asyncio.run(_all(root))
        log = server.log()
    return Alone(
        breaches=breaches(found, log, deadline=DEADLINE),
        kept={kind: answers_kept(root / kind) for kind in FAULTS},
        attempts={kind: sum(entry.fault == kind for entry in log) for kind in FAULTS},
    )


def repeats(root: Path, count: int) -> int:
    """Return how many answers are kept after `count` repeats of one question."""
    with serving() as server:
        os.environ.update(server.environment)
        asyncio.run(outcomes(root, [asking("Once more?", repeat=n + 1) for n in range(count)]))
    return answers_kept(root)


def never_cached() -> bool:
    """Print what was kept, and return whether it was right answers only."""
    with tempfile.TemporaryDirectory() as folder:
        found = alone(Path(folder))
        entries = repeats(Path(folder) / "repeats", REPEATS)
    wrong = {kind: kept for kind, kept in found.kept.items() if kept != (FAULTS[kind].comes_of == "right")}
    print(
        f"never cached: {len(FAULTS)} kinds alone, {sum(found.attempts.values())} requests; kept but should "
        f"not be, or the other way round: {wrong or 'none'}\n"
        f"  {REPEATS} repeats of one question are {entries} answers\n{summary(found.breaches)}"
    )
    return not wrong and entries == REPEATS and not found.breaches


async def _all(root: Path) -> list[Outcome]:
    requests = {
        kind: asking(f"Question? fault={kind}", streams=fault.fits == "streams")
        for kind, fault in FAULTS.items()
    }
    found = await asyncio.gather(
        *(outcomes(root / kind, [request], deadline=DEADLINE) for kind, request in requests.items())
    )
    return [outcome for outcomes in found for outcome in outcomes]
