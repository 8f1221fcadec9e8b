"""F13: meet each kind of fault by itself: nothing of it is kept, and repeats are answers of their own."""

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
from benchmarks.server import Entry, serving

DEADLINE = 10.0
"""Seconds for one call: time for some attempts."""

REPEATS = 5

OWN_PROJECT = "wait_300"
"""A kind that may hold up all calls of its project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """Be what came of each kind of fault by itself."""

    outcomes: Mapping[str, Outcome]
    requests: Mapping[str, Sequence[Entry]]
    kept: int
    """Answers in the cache files."""
    breaches: Mapping[str, Sequence[Breach]]


def alone(
    root: Path, *, kinds: Sequence[str] = tuple(FAULTS), times: int = 0, deadline: float = DEADLINE
) -> Alone:
    """Return what comes of one call for each kind.

    Args:
        root: the folder for projects.
        kinds: of faults.
        times: how many attempts meet the fault; 0 for all.
        deadline: of each call, in seconds.
    """
    asked = {kind: f"Question? fault={kind}{f'*{times}' if times else ''}" for kind in kinds}
    with serving() as server:
        os.environ.update(server.environment)
        found = asyncio.run(_outcomes(root, asked, deadline))
        log = server.log()
    requests = {kind: [entry for entry in log if entry.text == text] for kind, text in asked.items()}
    return Alone(
        outcomes=found,
        requests=requests,
        kept=sum(answers_kept(root / folder) for folder in ("own", "shared")),
        breaches={kind: breaches([found[kind]], requests[kind], deadline=deadline) for kind in kinds},
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
    right = sum(fault.comes_of == "right" for fault in FAULTS.values())
    broken = [breach for kind in FAULTS for breach in found.breaches[kind]]
    requests = sum(len(entries) for entries in found.requests.values())
    kept = found.kept == right and entries == REPEATS and not broken
    print(
        f"never cached: {len(FAULTS)} kinds by themselves, {right} of them with a right answer; {requests} "
        f"requests, {found.kept} answers kept; {REPEATS} repeats of one question are {entries} answers: "
        f"{'kept' if kept else 'BROKEN'}\n{summary(broken)}"
    )
    return kept


async def _outcomes(root: Path, asked: Mapping[str, str], deadline: float) -> dict[str, Outcome]:
    folders = {kind: "own" if kind == OWN_PROJECT else "shared" for kind in asked}
    found: dict[str, Outcome] = {}
    for folder in ("own", "shared"):
        kinds = [kind for kind in asked if folders[kind] == folder]
        requests = [asking(asked[kind], streams=FAULTS[kind].fits == "streams") for kind in kinds]
        found.update(zip(kinds, await outcomes(root / folder, requests, deadline=deadline), strict=True))
    return found
