"""Build sessions of all kinds of data, and print one's comparison: `python runs_mixed.py SEED`."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, replace

from runs_built import ERRORS, GRADE, KEY, PASSED, SECONDS, as_text, match, result, run

from pytest_llmops.runs.compare import Match, Rules, compare
from pytest_llmops.runs.comparison import Comparison, Stop
from pytest_llmops.runs.gate import Gate
from pytest_llmops.runs.record import CaseResult, Run
from pytest_llmops.scorers.score import Metric

TAGS = ("easy", "hard", "de")
RULES = Rules(
    margins={"": 0.05, "grade": 0.1}, alpha=0.05, gate=Gate(("passed", "grade", "passed@easy")), slices=TAGS
)
METRICS = (PASSED, GRADE, ERRORS, SECONDS)


@dataclass(frozen=True)
class Sides:
    """Be both runs of one test."""

    before: list[CaseResult]
    after: list[CaseResult]

    def match(self, stop: Stop | None = None) -> Match:
        return match(side(self.before), side(self.after), stop=stop)


def side(results: list[CaseResult], *metrics: Metric) -> Run:
    return run(results, *(metrics or METRICS))


def sides(seed: int, *, cases: int | None = None) -> Sides:
    """Return a test with any repeats, clusters, tags and changes."""
    rng = random.Random(seed)
    count = rng.choice([1, 5, 9, 14, 40]) if cases is None else cases
    clustered, drop = rng.random() < 0.3, rng.choice([0.0, 0.0, 0.3, 0.7, -0.4])
    built: list[list[CaseResult]] = [[], []]
    tags = {n: tuple(rng.sample(TAGS, rng.randrange(4))) for n in range(count)}
    for number, results in enumerate(built):
        good = max(0.05, min(0.95, 0.7 - number * drop))
        for case in range(count):
            for repeat in range(1, rng.choice([1, 1, 2, 3]) + 1):
                results.append(
                    result(
                        case,
                        {
                            "passed": float(rng.random() < good),
                            "grade": 1 + 4 * round(rng.betavariate(4 * good, 4 * (1 - good)), 3),
                            "errors": float(rng.randrange(11)),
                            "seconds": rng.lognormvariate(0, 0.3),
                        },
                        asked=str(number),
                        repeat=repeat,
                        tags=tags[case],
                        cluster=f"talk-{case // 3}" if clustered else None,
                    )
                )
    return Sides(*built)


def session(*tests: Sides, stop: Stop | None = None) -> Comparison:
    matches = []
    for number, test in enumerate(tests):
        key = f"{KEY}{number or ''}"
        runs = (side([replace(each, test_key=key) for each in half]) for half in (test.before, test.after))
        renamed = [replace(half, header=replace(half.header, test_key=key)) for half in runs]
        matches.append(match(*renamed, stop=stop))
    return compare("production", matches, RULES)


def printed(seed: int) -> str:
    """Return two tests of a session and one that stopped early, as one text."""
    tests = [sides(seed), sides(seed + 1, cases=40)]
    ids = [each.case_id for each in tests[1].after]
    stop = Stop(
        kind="unharmed", cases=frozenset(ids[: len(ids) // 2]), planned=frozenset(ids), level=0.01, metrics=()
    )
    return f"{as_text(session(*tests))}\n{as_text(session(tests[1], stop=stop))}"


if __name__ == "__main__":
    sys.stdout.write(printed(int(sys.argv[1])))
