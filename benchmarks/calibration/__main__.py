"""Calibrate the rule by drawing and by enumeration, and say which limits it keeps.

python -m benchmarks.calibration [--quick] [--seed 1] [--processes N]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def main() -> int:
    """Print the report and return 0 when every limit is kept."""
    options = _options()
    # Each process has a core of its own: the threads of a matrix product would only wait for each other. Set
    # before numpy is loaded, here and in the processes that are started.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from benchmarks.calibration.plan import FULL, QUICK
    from benchmarks.calibration.run import report

    start = time.perf_counter()
    plan = QUICK if options.quick else FULL
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        kept = report(plan, options.seed, pool.map)
    print(f"{time.perf_counter() - start:.0f} s in {options.processes} processes, seed {options.seed}")
    return 0 if kept else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a part of the cells, drawn less often")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
