"""Measure how long it takes to compare large runs and to weigh large samples, and the memory for it.

First whole comparisons: from runs with answers and scores to verdicts, with the cases that got worse. Then
the statistics alone, one metric at a time. Everything is measured in a process of its own, several times,
without the imports and without building or reading the data. The shortest time counts, of the processor and
of the clock: they differ where others use the cores too, so limits hold for the processor's. The memory of a
comparison is the most that its process ever held, in all and beyond what it held before; that of weighing is
the most that is held at once beyond the data themselves.

    python -m benchmarks.compare_speed [--times 5] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.compare import Match, Rules, compare
from pytest_llmops.runs.record import CaseResult, Header, Run
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.stats.weigh import Sample, weigh

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """Be one test of a session: how often each side answers a case, and what is scored."""

    __test__ = False  # pytest would collect the name

    repeats: int = 1
    pass_fail: int = 0
    scores: int = 0
    """Number of metrics, of each kind."""

    @property
    def metrics(self) -> list[Metric]:
        """Return what is scored."""
        flags = [Metric(name=f"flag-{number}", version="1") for number in range(self.pass_fail)]
        grades = [
            Metric(name=f"grade-{number}", version="1", kind="score", range=(1.0, 5.0), threshold=3.0)
            for number in range(self.scores)
        ]
        return [*flags, *grades]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Describe a session that is compared, and what this may take."""

    name: str
    cases: int
    tests: tuple[Test, ...]
    seconds: float
    """Most seconds of the processor."""
    megabytes: float | None = None
    """Most megabytes in all; None where nothing is promised."""


SESSIONS = (
    Session(
        name="10,000 cases: 3 pass/fail answered once; 2 scores answered 3 times",
        cases=10_000,
        tests=(Test(pass_fail=3), Test(repeats=3, scores=2)),
        seconds=1.0,
        megabytes=300.0,
    ),
    Session(
        name="10,000 cases: 3 pass/fail and 2 scores, all answered 3 times",
        cases=10_000,
        tests=(Test(repeats=3, pass_fail=3, scores=2),),
        seconds=1.0,
        megabytes=300.0,
    ),
    Session(
        name="100,000 cases: 1 pass/fail and 1 score, answered once",
        cases=100_000,
        tests=(Test(pass_fail=1, scores=1),),
        seconds=5.0,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Describe the data of one metric, and what weighing it may take."""

    cases: int
    baseline: int
    """Answers of the baseline to each case."""
    candidate: int
    levels: int | None
    """Values that a score may have, evenly spaced on [0, 1]; None for any."""
    cluster: int = 1
    """Cases in a cluster."""
    limit: float | None = None
    """Seconds of the processor; None where nothing is promised."""

    @property
    def name(self) -> str:
        """Return one line for the table."""
        kind = {2: "pass/fail", None: "any score"}.get(self.levels, f"{self.levels} levels")
        clusters = f", clusters of {self.cluster}" if self.cluster > 1 else ""
        return f"{self.cases:,} cases, {kind}, {self.baseline}/{self.candidate} answers{clusters}"


SHAPES = (
    Shape(cases=10_000, baseline=1, candidate=1, levels=2, limit=0.015),
    Shape(cases=10_000, baseline=1, candidate=1, levels=None, limit=0.060),
    Shape(cases=10_000, baseline=1, candidate=1, levels=5, limit=0.060),
    Shape(cases=10_000, baseline=3, candidate=3, levels=None, limit=0.130),
    Shape(cases=10_000, baseline=3, candidate=3, levels=5, limit=0.130),
    Shape(cases=10_000, baseline=3, candidate=3, levels=2, limit=0.130),
    Shape(cases=10_000, baseline=5, candidate=1, levels=None),
    Shape(cases=10_000, baseline=5, candidate=5, levels=None),
    Shape(cases=10_000, baseline=8, candidate=8, levels=None),
    Shape(cases=10_000, baseline=3, candidate=3, levels=None, cluster=5),
    Shape(cases=100_000, baseline=1, candidate=1, levels=2, limit=1.0),
    Shape(cases=100_000, baseline=1, candidate=1, levels=None, limit=1.0),
    Shape(cases=100_000, baseline=1, candidate=1, levels=11, limit=1.0),
)


def main() -> int:
    """Print two tables and return 0 when every limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kept = [_print_sessions(options.times, options.seed), _print_shapes(options.times, options.seed)]
    return 0 if all(kept) else 1


def _print_sessions(times: int, seed: int) -> bool:
    width = max(len(session.name) for session in SESSIONS)
    print(f"{'whole comparison':{width}}  processor    clock  limit  MB beyond  MB in all  limit", flush=True)
    kept = True
    for session in SESSIONS:
        busy, passed, beyond, held = _alone(compared, session, times, seed)
        most = session.megabytes
        held_to = busy <= session.seconds and (most is None or held <= most)
        print(
            f"{session.name:{width}}  {busy:9.3f}  {passed:7.3f}  {session.seconds:5.1f}  {beyond:9.0f}  "
            f"{held:9.0f}  {'' if most is None else f'{most:.0f}':>5}  {'kept' if held_to else 'broken'}",
            flush=True,
        )
        kept = kept and held_to
    return kept


def _print_shapes(times: int, seed: int) -> bool:
    width = max(len(shape.name) for shape in SHAPES)
    print(f"\n{'one metric weighed':{width}}  processor    clock    limit       MB", flush=True)
    kept = True
    for shape in SHAPES:
        busy, passed, peak = _alone(measured, shape, times, seed)
        limit = "" if shape.limit is None else f"{shape.limit:.3f}"
        held_to = shape.limit is None or busy <= shape.limit
        verdict = "" if shape.limit is None else "kept" if held_to else "broken"
        line = f"{shape.name:{width}}  {busy:9.3f}  {passed:7.3f}  {limit:>7}  {peak / 1e6:7.1f}  {verdict}"
        print(line.rstrip(), flush=True)
        kept = kept and held_to
    return kept


def _alone(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` returns in a fresh process: nothing finds the memory that another one has left."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()


def compared(session: Session, times: int, seed: int) -> tuple[float, float, float, float]:
    """Return the shortest times of the processor and of the clock, in seconds, and megabytes.

    The latter are those that comparing added to the most that the process ever held, and that most itself.
    """
    rng = random.Random(seed)
    rules = Rules(margins={}, alpha=0.05)
    compare("baseline", [built(Session(name="", cases=20, tests=session.tests, seconds=0), rng)[0]], rules)
    matches = built(session, rng)
    before = _most_held()
    busy, passed = [], []
    for _ in range(times):
        busy_before, started = time.process_time(), time.perf_counter()
        comparison = compare("baseline", matches, rules)
        busy.append(time.process_time() - busy_before)
        passed.append(time.perf_counter() - started)
        del comparison
    return min(busy), min(passed), _most_held() - before, _most_held()


def _most_held() -> float:
    """Return the largest resident size that this process ever had, in megabytes."""
    # Kilobytes, but on macOS bytes.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def built(session: Session, rng: random.Random) -> list[Match]:
    """Return the runs of a session, without a change between the sides."""
    old, new = (Prompt(name="ask", messages=({"role": "user", "content": text},)) for text in ("old", "new"))
    return [
        Match(
            baseline=_run(f"test_{number}.py::test", test, session.cases, old, rng),
            candidate=_run(f"test_{number}.py::test", test, session.cases, new, rng),
            baseline_prompt=old,
            candidate_prompt=new,
        )
        for number, test in enumerate(session.tests)
    ]


def _run(key: str, test: Test, cases: int, prompt: Prompt, rng: random.Random) -> Run:
    metrics = test.metrics
    results = [
        CaseResult(
            test_key=key,
            case_id=f"case-{case:06}",
            row_digest=f"row-{case}",
            inputs={"question": case},
            repeat=repeat,
            requests=(f"{prompt.digest} {case} {repeat}",),
            output=f"{prompt.version} answers {case} for the {repeat}. time",
            scores={metric.name: Score(value=_score(metric, rng)) for metric in metrics},
            nodeid=f"{key}[case-{case:06}-{repeat}]",
        )
        for case in range(cases)
        for repeat in range(1, test.repeats + 1)
    ]
    header = Header(
        test_key=key,
        prompt_name=prompt.name,
        prompt_digest=prompt.digest,
        model="local:model",
        golden_name="cases.jsonl",
        golden_digest="0" * 64,
        metrics={metric.name: metric for metric in metrics},
    )
    return Run(header=header, results=tuple(results))


def _score(metric: Metric, rng: random.Random) -> float:
    return float(rng.random() < 0.8) if metric.kind == "pass_fail" else round(rng.uniform(1, 5), 2)


def measured(shape: Shape, times: int, seed: int) -> tuple[float, float, int]:
    """Return the shortest times of the processor and of the clock, in seconds, and the bytes held at most."""
    sample = drawn(shape, random.Random(seed))
    weigh(sample)
    busy, passed = [], []
    for _ in range(times):
        busy_before, before = time.process_time(), time.perf_counter()
        weigh(sample)
        busy.append(time.process_time() - busy_before)
        passed.append(time.perf_counter() - before)
    tracemalloc.start()
    weigh(sample)
    return min(busy), min(passed), tracemalloc.get_traced_memory()[1]


def drawn(shape: Shape, rng: random.Random) -> Sample:
    """Return a sample of cases of unlike difficulty, without a change."""

    def answers(count: int, ease: float) -> list[float]:
        if shape.levels is None:
            return [rng.betavariate(8 * ease, 8 * (1 - ease)) for _ in range(count)]
        steps = shape.levels - 1
        return [sum(rng.random() < ease for _ in range(steps)) / steps for _ in range(count)]

    eases = [rng.uniform(0.3, 0.99) for _ in range(shape.cases)]
    return Sample(
        baseline=[answers(shape.baseline, ease) for ease in eases],
        candidate=[answers(shape.candidate, ease) for ease in eases],
        clusters=[str(index // shape.cluster) for index in range(shape.cases)] if shape.cluster > 1 else None,
        pass_fail=shape.levels == 2,
    )


if __name__ == "__main__":
    raise SystemExit(main())
