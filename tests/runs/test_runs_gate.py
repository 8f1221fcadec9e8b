"""Hold the gate: which metrics and slices can turn the build red, and which names are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_built import ERRORS, GRADE, PASSED, SECONDS, answers, compared, result, run, tagged

from pytest_llmops.errors import MisuseError
from pytest_llmops.runs.gate import Gate
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.verdict import Verdict

BARE = replace(GRADE, name="bare", threshold=None)
METRICS = [PASSED, GRADE, BARE, SECONDS, ERRORS]
NAMES = st.sampled_from([metric.name for metric in METRICS])
TAGS = st.sampled_from(["easy", "hard", "de@ch", "@"])


@pytest.mark.parametrize(
    ("metric", "gated"), [(PASSED, True), (GRADE, True), (ERRORS, True), (BARE, False), (SECONDS, False)]
)
def test_without_names_each_metric_has_its_own_default(metric: Metric, gated: bool) -> None:
    assert Gate().covers(metric) is gated
    assert not Gate().covers(metric, "easy")


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1), st.lists(st.tuples(NAMES, TAGS)))
def test_named_metrics_are_the_only_ones(names: list[str], slices: list[tuple[str, str]]) -> None:
    gate = Gate((*names, *(f"{name}@{tag}" for name, tag in slices)))
    for metric in METRICS:
        assert gate.covers(metric) is (metric.name in names)
        for tag in ("easy", "hard", "de@ch", "@", "other"):
            assert gate.covers(metric, tag) is ((metric.name, tag) in slices)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, TAGS)))
def test_slices_leave_the_default_over_all_cases(slices: list[tuple[str, str]]) -> None:
    gate = Gate(tuple(f"{name}@{tag}" for name, tag in slices))
    assert [gate.covers(metric) for metric in METRICS] == [metric.gated for metric in METRICS]
    assert gate.tags == tuple(tag for _, tag in slices)


def test_a_metric_of_another_test_is_no_mistake() -> None:
    Gate(("grade", "elsewhere", "passed@easy")).check([PASSED, GRADE], live=False)


@pytest.mark.parametrize("name", ["pased", "pased@easy"])
def test_an_unknown_metric_is_refused_with_the_closest_name(name: str) -> None:
    with pytest.raises(MisuseError, match=r"measures 'pased'.*passed"):
        Gate((name,)).check([PASSED, GRADE], live=False)


def test_a_session_that_measures_nothing_refuses_nothing() -> None:
    Gate(("passed",)).check([], live=False)


@pytest.mark.parametrize("name", ["seconds", "seconds@easy"])
def test_times_of_another_day_cannot_be_gated(name: str) -> None:
    with pytest.raises(MisuseError, match=r"'seconds'.*--llmops-baseline=alias:NAME"):
        Gate(("passed", name)).check([PASSED, SECONDS], live=False)
    Gate(("passed", name)).check([PASSED, SECONDS], live=True)


def both(count: int, lost: int) -> tuple[list, list]:
    before = [result(n, {"passed": 1.0, "grade": 4.0}, asked="old") for n in range(count)]
    after = [
        result(n, {"passed": float(n >= lost), "grade": 2.0 if n < lost else 4.0}, asked="new")
        for n in range(count)
    ]
    return before, after


def test_a_metric_that_is_not_gated_is_compared_and_counts_nowhere() -> None:
    before, after = both(60, 20)
    comparison = compared(run(before, PASSED, GRADE), run(after, PASSED, GRADE), gate=Gate(("passed",)))
    passed, grade = comparison.tests[0].metrics
    assert (passed.gated, passed.verdict) == (True, Verdict.REGRESSED)
    assert (grade.gated, grade.verdict, grade.p_family) == (False, Verdict.REGRESSED, None)
    assert (comparison.family, comparison.count(Verdict.REGRESSED)) == (1, 1)


def test_a_smaller_gate_costs_less_power() -> None:
    names = [f"m{number}" for number in range(20)]
    metrics = [PASSED, *(Metric(name=name, version="1") for name in names)]
    before, after = (
        [result(n, {**dict.fromkeys(names, 1.0), "passed": float(n >= lost)}, asked=asked) for n in range(30)]
        for asked, lost in (("old", 0), ("new", 6))
    )
    runs = run(before, *metrics), run(after, *metrics)
    wide, narrow = compared(*runs), compared(*runs, gate=Gate(("passed",)))
    assert (wide.tests[0].metrics[0].verdict, wide.tests[0].metrics[0].suspect) == (
        Verdict.INCONCLUSIVE,
        True,
    )
    assert (narrow.tests[0].metrics[0].verdict, narrow.tests[0].metrics[0].suspect) == (
        Verdict.REGRESSED,
        False,
    )
    assert wide.tests[0].metrics[0].p == narrow.tests[0].metrics[0].p


def test_gated_seconds_need_answers_of_this_session_on_both_sides() -> None:
    before, after = answers([1.0] * 40, "old", SECONDS), answers([1.5] * 40, "new", SECONDS)
    gate = Gate(("seconds",))
    fresh = compared(run(before, SECONDS), run(after, SECONDS), gate=gate).tests[0].metrics[0]
    assert (fresh.gated, fresh.verdict) == (True, Verdict.REGRESSED)
    for side in ("before", "after"):
        old = [replace(each, reused=side == "before" and n < 3) for n, each in enumerate(before)]
        new = [replace(each, reused=side == "after" and n < 3) for n, each in enumerate(after)]
        metric = compared(run(old, SECONDS), run(new, SECONDS), gate=gate).tests[0].metrics[0]
        assert metric.verdict is Verdict.NOT_COMPARABLE
        assert metric.reason.startswith("3 answers are from an earlier session")
        assert metric.p is None
        ungated = compared(run(old, SECONDS), run(new, SECONDS)).tests[0].metrics[0]
        assert ungated.verdict is Verdict.REGRESSED


def test_a_gated_slice_is_compared_without_being_asked_for() -> None:
    before, after = both(60, 20)
    hard = {number: ["hard"] for number in range(30)}
    comparison = compared(
        run(tagged(before, hard), PASSED, GRADE),
        run(tagged(after, hard), PASSED, GRADE),
        gate=Gate(("grade@hard",)),
    )
    found = {(each.metric.name, each.tag): each.gated for each in comparison.tests[0].slices}
    assert found == {("passed", "hard"): False, ("grade", "hard"): True}
    assert comparison.family == 3
