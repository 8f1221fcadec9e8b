"""F16: ask servers that never answer, drip, stall or never close; all ends, and nothing is left."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.faults import FAULTS
from benchmarks.reliability.suites import PYTEST, Ended, left_behind, run, write_suite
from benchmarks.server import Entry, serving

KINDS = ("silence", "drip", "never_closes", "stream_stalls")

CASES = 6

GRACE = 1.0
"""Seconds that a call may take beyond its deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """Be a session whose server never gives a whole answer."""

    ended: Ended
    longest: float
    """Seconds from the first request of a call until its last connection was gone, at most."""
    told: int
    """Cases whose report says that the call was given up."""
    left: Mapping[str, Sequence[str]]
    """Threads, sockets and children at the end of the process."""


def hang(root: Path, kinds: Sequence[str], *, deadline: float, streams: bool = False) -> Hang:
    """Return what comes of a session in which every request meets a fault that lasts.

    Args:
        root: the folder for the suite.
        kinds: of the faults, one for each case.
        deadline: of each call, in seconds.
        streams: whether the prompt asks for streams.
    """
    write_suite(root, [f"Question {n}? fault={kind}" for n, kind in enumerate(kinds)], streams=streams)
    with serving() as server:
        ended = run(root, [*PYTEST, "-q"], {**server.environment, "LLMOPS_DEADLINE": f"{deadline:g}"})
        log = server.log()
    told = re.findall(rf"Given up after .* the deadline is {deadline:g} s", ended.output)
    return Hang(ended=ended, longest=_longest(log), told=len(told), left=left_behind(root))


def hangs() -> bool:
    """Print how each session ended, and return whether it did so in time and left nothing."""
    kept = True
    deadline = 3.0
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            found = hang(
                Path(folder), [kind] * CASES, deadline=deadline, streams=FAULTS[kind].fits == "streams"
            )
        good = found.longest <= deadline + GRACE and not found.left and found.told >= CASES
        kept = kept and good
        print(
            f"hang: {kind}: {CASES} calls ended after at most {found.longest:.2f} s (deadline {deadline:g} "
            f"s), {found.told} reports of it, the session after {found.ended.seconds:.1f} s; left behind: "
            f"{dict(found.left) or 'nothing'}: {'kept' if good else 'BROKEN'}"
        )
    return kept


def _longest(log: Sequence[Entry]) -> float:
    calls = defaultdict(list)
    for entry in log:
        calls[entry.text].append(entry)
    return max(
        ((entries[-1].until or float("inf")) - entries[0].at for entries in calls.values()), default=0.0
    )
