"""F15: ask a server that admits fewer requests than are sent, from many processes at once."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.suites import PYTEST, Ended, run, write_suite
from benchmarks.server import serving

MOST_REQUESTS = 1.3
"""Times the requests that are needed."""

MOST_TIME = 1.25
"""Times the time that the server's limit needs, from the first request to the last answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Be a session under a rate limit."""

    ended: Ended
    requests: int
    answered: int
    """Requests that were admitted."""
    span: float
    """Seconds from the first request to the last answer."""


def storm(
    root: Path, *, cases: int, workers: int, admits: float, tells_wait: bool, latency: float = 0.1
) -> Storm:
    """Return what comes of a session whose server admits `admits` requests a second.

    Args:
        root: the folder for the suite.
        cases: how many, in all.
        workers: of xdist.
        admits: requests a second.
        tells_wait: whether the server says when to come back.
        latency: seconds until an answer.
    """
    write_suite(root, [f"Question {n}?" for n in range(cases)])
    with serving(admits=admits, tells_wait=tells_wait, latency=latency) as server:
        ended = run(root, [*PYTEST, "-q", f"-n{workers}"], server.environment)
        log = server.log()
    return Storm(
        ended=ended,
        requests=len(log),
        answered=sum(entry.status == 200 for entry in log),
        span=max(entry.until or entry.at for entry in log) - log[0].at,
    )


def storms(cases: int = 500, workers: int = 8, admits: float = 20.0) -> bool:
    """Print how two sessions fared, with and without `Retry-After`, and return whether limits were kept."""
    kept = True
    # What is saved up at the start is admitted at once.
    ideal = (cases - admits - 1) / admits
    for tells_wait in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            found = storm(Path(folder), cases=cases, workers=workers, admits=admits, tells_wait=tells_wait)
        calm, brisk = found.requests / cases, found.span / ideal
        good = found.ended.status == 0 and calm <= MOST_REQUESTS and brisk <= MOST_TIME
        kept = kept and good
        print(
            f"storm: {workers} workers, {cases} cases, {admits:g} requests/s admitted, "
            f"{'with' if tells_wait else 'without'} Retry-After: status {found.ended.status}, "
            f"{found.answered} answered\n  {found.requests} requests = {calm:.2f} x needed (at most "
            f"{MOST_REQUESTS}); from the first to the last answer {found.span:.1f} s = {brisk:.2f} x ideal "
            f"(at most {MOST_TIME}); whole session {found.ended.seconds:.1f} s; load "
            f"{os.getloadavg()[0]:.1f}: {'kept' if good else 'BROKEN'}",
            flush=True,
        )
    return kept
