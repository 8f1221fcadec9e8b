"""Draw suites of scores whose tests may stop early, and let the plugin itself end and compare them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.calibration.cells import Cell, Shown, Values, false_alarms
from benchmarks.calibration.exact import ALPHA
from benchmarks.calibration.outcome import Check
from benchmarks.calibration.worlds import STARS, Scores
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.compare import Match, Rules, compare
from pytest_llmops.runs.course import Course, Watch
from pytest_llmops.runs.record import CaseResult, Header, Run
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.stats.verdict import Verdict

PROMPT = Prompt(name="ask", messages=({"role": "user", "content": "{{ n }}"},))
RHO = 0.3
SIZES = (40, 100)
DROPS = (0.0, 0.1)


class ScoreSession:
    """Be a test of one gated score that may stop early."""

    def __init__(self, kind: str, cases: int, drop: float) -> None:
        self.world = Scores(kind=kind, cases=cases, correlation=RHO, drop=drop)
        self.part = "early stop of scores"
        self.name = f"{kind} n={cases} rho={RHO} D={drop}"
        self.weight = 5.0 + cases / 20
        low, high = (1.0, 5.0) if kind in STARS else (0.0, 1.0)
        self._metric = Metric(name="grade", version="1", kind="score", range=(low, high), threshold=low)

    def read(self, rng: np.random.Generator, draws: int) -> Values:
        """Return the shares of red sessions and of the cases that count."""
        found = [self._session(rng) for _ in range(draws)]
        return {
            "red": sum(red for red, _ in found) / draws,
            "used": sum(used for _, used in found) / draws / self.world.cases,
        }

    def _session(self, rng: np.random.Generator) -> tuple[bool, int]:
        before, after = (
            self._run(asked, side) for asked, side in zip("ba", self.world.answers(rng), strict=True)
        )
        watch = Watch(
            Course(
                units=tuple((result.case_id,) for result in after.results),
                repeats=1,
                metrics=(self._metric,),
                margins={},
                alpha=ALPHA,
                strict=False,
            )
        )
        for stored, result in zip(before.results, after.results, strict=True):
            watch.take(result, [stored])
        stop = watch.finish()
        match = Match(
            baseline=before, candidate=after, baseline_prompt=None, candidate_prompt=PROMPT, stop=stop
        )
        (test,) = compare("stored", [match], Rules(margins={}, alpha=ALPHA)).tests
        return test.metrics[0].verdict is Verdict.REGRESSED, len(stop.cases)

    def _run(self, asked: str, scores: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Run:
        header = Header(
            test_key="t",
            prompt_name=PROMPT.name,
            prompt_digest=asked,
            model="m",
            golden_name="g",
            golden_digest="g",
            metrics={self._metric.name: self._metric},
        )
        results = (
            CaseResult(
                test_key="t",
                case_id=f"{number:04}",
                row_digest="",
                inputs={},
                requests=(f"{asked} {number}",),
                output="",
                scores={self._metric.name: Score(value=value)},
            )
            for number, value in enumerate(scores.tolist())
        )
        return Run(header=header, results=tuple(results))

    def checks(self, values: Values, draws: int) -> Iterator[Check]:
        """Yield the check of false alarms."""
        if not self.world.drop:
            yield false_alarms(self.part, self.name, values["red"], draws)

    def shown(self, values: Values) -> Iterator[Shown]:
        """Yield the shares of red sessions and of the cases that count."""
        row = f"{self.world.kind}, {self.world.cases} cases, drop {self.world.drop}"
        yield Shown(row, "red with early stops", values["red"], None)
        yield Shown(row, "share of cases run", values["used"], None)


def score_session_cells() -> Iterator[Cell]:
    """Yield the cells of scores with early stops."""
    for kind in (*STARS, "0 to 1"):
        for cases in SIZES:
            for drop in DROPS:
                yield ScoreSession(kind, cases, drop)
