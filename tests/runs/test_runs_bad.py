"""Hold that bad input gives a named verdict with the case, or a typed error, and never a traceback."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_built import ERRORS, GRADE, PASSED, SECONDS, answers, as_text, compared, match, only, result, run

from pytest_llmops.calls.exchange import Caller, Request, Response
from pytest_llmops.errors import BadAnswerError, MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.runs.compare import Rules, compare
from pytest_llmops.runs.comparison import MetricComparison
from pytest_llmops.runs.course import Course, Watch
from pytest_llmops.runs.drift import find_drifts
from pytest_llmops.runs.gate import Gate
from pytest_llmops.runs.measure import measure, rescore
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.stats.verdict import Verdict

METRICS = [PASSED, GRADE, ERRORS, SECONDS]
GOOD = {"passed": 1.0, "grade": 4.0, "errors": 2.0, "seconds": 1.5}
NOT_NUMBERS: list[Any] = ["high", "", [], {}, [1.0], b"1", 1j, object()]
NOT_FINITE = [math.nan, math.inf, -math.inf]
HUGE: list[Any] = [10**400, -(10**400), 1e308, -1e308]
OUTSIDE = {
    "passed": [-0.1, 1.1, 2, -1],
    "grade": [0.999, 5.001, 0.0, -4.0],
    "errors": [-0.001, 11.0],
    "seconds": [-0.5, -1],
}


def pair_of(before: Sequence[Any], after: Sequence[Any], metric: Metric, **more: Any) -> MetricComparison:
    sides = (answers(before, "old", metric), answers(after, "new", metric))
    return only(compared(*(run(side, metric) for side in sides), **more))


def bad_scores(metric: Metric) -> list[Any]:
    huge = [value for value in HUGE if metric is not SECONDS or not 0 < value < 1e309]
    return [*NOT_NUMBERS, *NOT_FINITE, *huge, *OUTSIDE[metric.name]]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("side", ["baseline", "candidate"])
@pytest.mark.parametrize("repeats", [1, 3])
def test_a_score_that_is_none_is_not_comparable_and_names_its_case(
    metric: Metric, side: str, repeats: int
) -> None:
    good = GOOD[metric.name]
    for bad in bad_scores(metric):
        whole = [[good] * repeats for _ in range(12)]
        spoilt = [[*values] for values in whole]
        spoilt[7][-1] = bad
        found = pair_of(*((spoilt, whole) if side == "baseline" else (whole, spoilt)), metric)
        assert found.verdict is Verdict.NOT_COMPARABLE, bad
        assert found.reason.startswith(f"the {side}'s score of case 'case-007' is "), bad
        assert (found.p, found.low, found.change) == (None, None, None)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_none_means_that_a_score_is_unknown(metric: Metric) -> None:
    good = GOOD[metric.name]
    found = pair_of([None, *[good] * 11], [good] * 11 + [None], metric)
    assert found.cases == 10
    assert found.verdict is not Verdict.NOT_COMPARABLE
    found = pair_of([None] * 12, [good] * 12, metric)
    assert (found.verdict, found.reason) == (Verdict.TOO_FEW, "no case is paired")
    found = pair_of([[None, good]] * 12, [[good, None, good]] * 12, metric)
    assert (found.cases, found.change) == (12, pytest.approx(0.0))


@pytest.mark.parametrize("metric", [PASSED, GRADE, ERRORS], ids=lambda metric: metric.name)
def test_true_and_whole_numbers_are_numbers(metric: Metric) -> None:
    mixed: list[Any] = [True, 1, 1.0, True] * 5
    plain = [1.0] * 20
    assert pair_of(mixed, plain, metric) == pair_of(plain, plain, metric)
    assert pair_of([[True, 1.0]] * 20, [[1, 1.0]] * 20, metric) == pair_of(
        [[1.0, 1.0]] * 20, [[1.0, 1.0]] * 20, metric
    )


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("both", [True, False])
def test_an_empty_side_pairs_nothing(metric: Metric, both: bool) -> None:
    full = [GOOD[metric.name]] * 12
    for before, after in ([], [] if both else full), ([] if both else full, []):
        comparison = compared(
            run(answers(before, "old", metric), metric), run(answers(after, "new", metric), metric)
        )
        found = only(comparison)
        assert (found.verdict, found.reason, found.cases) == (Verdict.TOO_FEW, "no case is paired", 0)
        assert comparison.family == 0


def test_no_match_at_all_is_an_empty_comparison() -> None:
    comparison = compare("production", [], Rules(margins={}, alpha=0.05))
    assert (comparison.tests, comparison.family) == ((), 0)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_under_five_cases_is_too_few(metric: Metric, count: int) -> None:
    good = GOOD[metric.name]
    worse = good * 2 if metric is SECONDS else metric.worst
    for after in (good, worse):
        found = pair_of([good] * count, [after] * count, metric)
        assert (found.verdict, found.units, found.p_family) == (Verdict.TOO_FEW, count, None)
        assert found.need is None


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_constant_scores_and_ties_have_an_honest_verdict(metric: Metric) -> None:
    good = GOOD[metric.name]
    for count, repeats in ((5, 1), (12, 1), (12, 3), (400, 1)):
        values = [[good] * repeats] * count
        found = pair_of(values, values, metric)
        assert found.change == 0.0
        assert found.low is not None
        assert found.high is not None
        assert found.low <= 0.0 <= found.high
        assert found.verdict in (Verdict.INCONCLUSIVE, Verdict.NO_REGRESSION)
    assert pair_of([[good]] * 400, [[good]] * 400, metric, margins={"": 0.05, "seconds": 0.1}).verdict in (
        Verdict.NO_REGRESSION,
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1.0, 1e308),
        (1e308, 1.0),
        (1e308, 1e308),
        (1e-308, 1e308),
        (0.0, 1e308),
        (0.0, 0.0),
        (5e-324, 1.0),
        (1, 10**300),
    ],
)
@pytest.mark.parametrize("repeats", [1, 2])
def test_huge_and_tiny_seconds_have_a_verdict(before: float, after: float, repeats: int) -> None:
    found = pair_of([[before] * repeats] * 12, [[after] * repeats] * 12, SECONDS)
    numbers = (found.baseline, found.candidate, found.change, found.low, found.high, found.p)
    if found.verdict is Verdict.NOT_COMPARABLE:
        assert "case" in found.reason
    else:
        assert all(number is not None and math.isfinite(number) for number in numbers)


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([0.0, 1.0, 2.0, 5.0, *NOT_NUMBERS, *HUGE]),
    st.text(max_size=2),
)
REPEATS = st.lists(ANYTHING, min_size=1, max_size=3)
STATUS = st.sampled_from(["measured", "measured", "measured", "bad_answer", "unmeasured", "skipped", "error"])


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(REPEATS, REPEATS, STATUS, STATUS), max_size=14),
    st.sampled_from(METRICS),
    st.booleans(),
)
def test_whatever_a_stored_run_holds_the_comparison_ends(
    cases: list[tuple[list[Any], list[Any], Any, Any]], metric: Metric, replayed: bool
) -> None:
    before, after = (
        [
            result(
                number,
                {metric.name: value},
                asked="" if replayed else str(side),
                repeat=repeat,
                status=case[2 + side],
                tags=("tag",),
            )
            for number, case in enumerate(cases)
            for repeat, value in enumerate(case[side], start=1)
        ]
        for side in (0, 1)
    )
    gate = Gate((metric.name, f"{metric.name}@tag"))
    runs = run(before, metric), run(after, metric)
    comparison = compared(*runs, gate=gate)
    for found in (*comparison.tests[0].metrics, *comparison.tests[0].slices):
        values = (found.baseline, found.candidate, found.change, found.low, found.high, found.p)
        assert all(value is None or math.isfinite(value) for value in values)
        assert found.verdict is not Verdict.NOT_COMPARABLE or "case" in found.reason
    find_drifts([match(*runs)], Rules(margins={}, alpha=0.05))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(REPEATS, REPEATS), min_size=1, max_size=14), st.sampled_from(METRICS))
def test_whatever_comes_a_watch_goes_on(cases: list[tuple[list[Any], list[Any]]], metric: Metric) -> None:
    course = Course(
        units=tuple((f"case-{number:03}",) for number in range(len(cases))),
        repeats=1,
        metrics=(metric,),
        margins={},
        alpha=0.05,
        strict=False,
    )
    watch = Watch(course)
    for number, (before, after) in enumerate(cases):
        stored = [
            result(number, {metric.name: value}, asked="old", repeat=repeat)
            for repeat, value in enumerate(before, start=1)
        ]
        watch.take(result(number, {metric.name: after[0]}, asked="new"), stored)
    assert watch.finish().cases <= watch.finish().planned


def test_a_bad_score_of_one_metric_spoils_no_other() -> None:
    before = [result(n, {"passed": 1.0, "grade": 4.0}, asked="old") for n in range(40)]
    after = [
        result(n, {"passed": float(n > 20), "grade": math.nan if n == 3 else 4.0}, asked="new")
        for n in range(40)
    ]
    comparison = compared(run(before, PASSED, GRADE), run(after, PASSED, GRADE))
    passed, grade = comparison.tests[0].metrics
    assert (passed.verdict, grade.verdict) == (Verdict.REGRESSED, Verdict.NOT_COMPARABLE)
    assert (comparison.family, passed.p_family) == (1, passed.p)
    assert "'case-003'" in as_text(comparison)


def test_a_bad_score_outside_a_slice_does_not_spoil_it() -> None:
    before = [result(n, {"grade": 4.0}, asked="old", tags=("easy",) if n else ()) for n in range(40)]
    after = [replace(each, requests=("new",), output="new") for each in before]
    before[0] = result(0, {"grade": 99.0}, asked="old")
    (test,) = compared(run(before, GRADE), run(after, GRADE), slices=("easy",)).tests
    assert test.metrics[0].verdict is Verdict.NOT_COMPARABLE
    assert test.slices == ()


class Fixed:
    """Score every answer alike."""

    def __init__(self, metric: Metric, score: Score) -> None:
        self.metric = metric
        self._score = score

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:
        return self._score


class Answering:
    """Answer every request alike."""

    def __init__(self, error: BadAnswerError | None = None) -> None:
        self._error = error

    async def acall(self, request: Request) -> Response:
        if self._error is not None:
            raise self._error
        return Response(text="yes", model="m")


CASE = Case(id="case-7", inputs={})
REQUEST = Request(provider="scripted", model="m", messages=({"role": "user", "content": "x"},))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_score_that_is_none_is_refused_when_it_is_measured(metric: Metric) -> None:
    for bad in bad_scores(metric):
        scorer = Fixed(metric, Score(value=bad))
        stored = [result(7, {}, output="yes")]
        for measuring in (
            measure(CASE, REQUEST, [scorer], Answering()),
            rescore(CASE, stored, [scorer], Answering()),
        ):
            with pytest.raises(MisuseError, match=f"'{metric.name}' gave "):
                asyncio.run(measuring)


@pytest.mark.parametrize(("given", "kept"), [(True, 1.0), (1, 1.0), (0.5, 0.5), (None, None)])
def test_a_good_score_is_kept_as_a_plain_number(given: Any, kept: float | None) -> None:
    scorer = Fixed(PASSED, Score(value=given, reason="why"))
    measured = asyncio.run(measure(CASE, REQUEST, [scorer], Answering()))
    score = measured.scores["passed"]
    assert (score.value, type(score.value), score.reason) == (kept, type(kept), "why")


def test_an_unusable_answer_is_not_scored() -> None:
    error = BadAnswerError("cut off", kind="length")
    measured = asyncio.run(measure(CASE, REQUEST, [Fixed(PASSED, Score(value=math.nan))], Answering(error)))
    assert (measured.response, measured.bad_answer, measured.scores) == (None, error, {})
