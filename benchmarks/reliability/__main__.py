"""Put the calls under faults, storms and silence, and sessions under kills, signals, budgets and poor disks.

python -m benchmarks.reliability [server faults never_cached hang storm] [--calls 2000] [--rate .3] [--seed 1]
python -m benchmarks.reliability [kills killed_sessions signals writers workers poor budgets] [--seed 1]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from benchmarks.reliability.alone import never_cached
from benchmarks.reliability.budgets import budgets
from benchmarks.reliability.hang import hangs
from benchmarks.reliability.kills import kills
from benchmarks.reliability.mixed import faults
from benchmarks.reliability.poor import poor_environments
from benchmarks.reliability.server_speed import server_speed
from benchmarks.reliability.signals import killed_sessions, signals
from benchmarks.reliability.storm import storms
from benchmarks.reliability.workers import workers
from benchmarks.reliability.writers import writers


def main() -> int:
    """Run what is named, or everything, and return 0 when every limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    known: dict[str, Callable[[], bool]] = {
        "server": lambda: server_speed(32_000),
        "faults": lambda: faults(options.calls, options.rate, options.seed),
        "never_cached": never_cached,
        "hang": hangs,
        "storm": storms,
        "kills": lambda: kills(1000, options.seed),
        "killed_sessions": lambda: killed_sessions(30, options.seed),
        "signals": lambda: signals(100, options.seed),
        "writers": writers,
        "workers": workers,
        "poor": poor_environments,
        "budgets": lambda: budgets(200, options.seed),
    }
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(known)}")
    kept = [known[name]() for name in options.names or known]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
