"""Show what a lucky baseline does, and what a baseline of several answers a case is worth.

python -m benchmarks.baselines [--seed 1] [--draws 4000]
"""

from __future__ import annotations

import argparse
import math
from functools import cache

import numpy as np

from benchmarks.calibration.worlds import Repeats
from pytest_llmops.stats.paired import unconditional_p
from pytest_llmops.stats.verdict import Verdict, decide
from pytest_llmops.stats.weigh import weigh

ALPHA = 0.05
MARGIN = 0.05
CASES = 100
RATE = 0.8
CORRELATION = 0.3
CHOSEN_FROM = 5
DROP = 0.10
SIZES = ((1, 1), (5, 1), (5, 5))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=4_000)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print(f"{CASES} cases, pass rate {RATE}, correlation {CORRELATION}, seed {options.seed}\n")
    print(
        f"false alarms, nothing changed ({options.draws} draws, standard error {_error(options.draws):.4f})"
    )
    for name, share in lucky(rng, options.draws).items():
        print(f"  {name:<42} {share:.3f}")
    draws = options.draws // 4
    print(f"\na drop of {DROP:.2f} is called regressed ({draws} draws, standard error at most .016)")
    for before, after in SIZES:
        print(f"  {before} stored, {after} asked {power(rng, draws, before, after):>28.3f}")


def lucky(rng: np.random.Generator, draws: int) -> dict[str, float]:
    """Return how often an unchanged prompt is called regressed, by how the baseline came about."""
    alarms = dict.fromkeys(("the first run", f"the best of {CHOSEN_FROM} runs", "a fresh run of the best"), 0)
    strength = (1 - CORRELATION) / CORRELATION
    for _ in range(draws):
        rates = rng.beta(RATE * strength, (1 - RATE) * strength, CASES)
        runs = rng.random((CHOSEN_FROM + 2, CASES)) < rates
        best = runs[:CHOSEN_FROM].sum(axis=1).argmax()
        candidate = runs[-1]
        for name, baseline in zip(alarms, (runs[0], runs[best], runs[-2]), strict=True):
            alarms[name] += _regressed(int((baseline & ~candidate).sum()), int((~baseline & candidate).sum()))
    return {name: count / draws for name, count in alarms.items()}


def power(rng: np.random.Generator, draws: int, before: int, after: int) -> float:
    """Return how often a drop is called regressed."""
    world = Repeats(
        before=before,
        after=after,
        cases=CASES,
        rate=RATE,
        correlation=CORRELATION,
        drop=DROP,
        unlike=0.0,
    )
    found = 0
    for _ in range(draws):
        evidence = weigh(world.sample(rng), alpha=ALPHA)
        verdict = decide(evidence, p_family=evidence.p_drop, margin=MARGIN, alpha=ALPHA)
        found += verdict is Verdict.REGRESSED
    return found / draws


@cache
def _regressed(losses: int, gains: int) -> bool:
    return unconditional_p(losses=losses, gains=gains, cases=CASES) <= ALPHA


def _error(draws: int) -> float:
    return math.sqrt(ALPHA * (1 - ALPHA) / draws)


if __name__ == "__main__":
    main()
