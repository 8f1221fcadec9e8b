"""Hold the comparison inside slices: its numbers, its order, its part of the risk, and the margins."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_built import (
    ERRORS,
    GRADE,
    KEY,
    PASSED,
    SECONDS,
    answers,
    compared,
    match,
    only,
    result,
    run,
    tagged,
)
from statsmodels.stats.multitest import multipletests

from pytest_llmops.runs.compare import Rules, compare
from pytest_llmops.runs.comparison import Comparison, MetricComparison
from pytest_llmops.runs.gate import Gate
from pytest_llmops.runs.record import CaseResult
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.verdict import Verdict

TAGS = ("easy", "hard", "de")

CASES = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0]),
        st.sampled_from([0.0, 1.0]),
        st.sampled_from([1.0, 2.5, 5.0]),
        st.sampled_from([1.0, 2.5, 5.0]),
        st.sets(st.sampled_from(TAGS)),
    ),
    min_size=1,
    max_size=24,
)
Cases = Sequence[tuple[float, float, float, float, set[str]]]


def sides(cases: Cases) -> tuple[list[CaseResult], list[CaseResult]]:
    return tuple(
        [
            result(
                number,
                {"passed": case[side], "grade": case[2 + side]},
                asked=str(side),
                tags=tuple(sorted(case[4])),
            )
            for number, case in enumerate(cases)
        ]
        for side in (0, 1)
    )  # type: ignore[return-value]


def session(before: Sequence[CaseResult], after: Sequence[CaseResult], **rules: object) -> Comparison:
    return compared(run(before, PASSED, GRADE), run(after, PASSED, GRADE), **rules)


@settings(deadline=None)
@given(CASES)
def test_a_slice_has_the_numbers_of_a_comparison_of_its_cases_alone(cases: Cases) -> None:
    before, after = sides(cases)
    (test,) = session(before, after, slices=TAGS).tests
    for tag in TAGS:
        inside = [[each for each in side if tag in each.tags] for side in (before, after)]
        found = [each for each in test.slices if each.tag == tag]
        if not inside[0]:
            assert found == []
            continue
        alone = session(*inside).tests[0].metrics
        assert [ungated(each) for each in found] == [ungated(each) for each in alone]


def ungated(compared: MetricComparison) -> MetricComparison:
    """Return what belongs to the cases: not the gate, and what follows from it."""
    verdict = Verdict.REGRESSED if compared.suspect else compared.verdict
    return replace(compared, tag="", gated=False, p_family=None, need=None, suspect=False, verdict=verdict)


@settings(deadline=None)
@given(st.lists(st.sampled_from(TAGS)), st.lists(st.sampled_from(TAGS)))
def test_slices_stand_in_the_order_in_which_they_were_asked_for(asked: list[str], gated: list[str]) -> None:
    before, after = sides([(1.0, 1.0, 5.0, 5.0, {*TAGS})] * 6)
    gate = Gate(tuple(f"passed@{tag}" for tag in gated))
    (test,) = session(before, after, slices=tuple(asked), gate=gate).tests
    order = list(dict.fromkeys([*asked, *gated]))
    assert [(each.tag, each.metric.name) for each in test.slices] == [
        (tag, name) for tag in order for name in ("passed", "grade")
    ]


def test_the_family_counts_gated_slices_and_no_others() -> None:
    before, after = sides([(1.0, float(n >= 7), 4.0, 4.0 - (n < 12), {"easy"}) for n in range(40)])
    gate = Gate(("passed", "passed@easy", "grade@easy"))
    comparison = session(before, after, slices=("easy", "hard"), gate=gate)
    (test,) = comparison.tests
    gated = [each for each in (*test.metrics, *test.slices) if each.gated]
    assert comparison.family == 3
    assert [each.label for each in gated] == ["passed", "passed@easy", "grade@easy"]
    corrected = multipletests([each.p for each in gated], method="holm")[1]
    assert [each.p_family for each in gated] == pytest.approx(corrected)
    assert all(each.p_family is None for each in (*test.metrics, *test.slices) if not each.gated)


def test_the_family_spans_the_tests_of_a_session() -> None:
    runs = []
    for key, lost in (("a.py::a", 4), ("b.py::b", 7)):
        before, after = (
            [replace(each, test_key=key, tags=("easy",)) for each in answers(values, asked)]
            for values, asked in (([1.0] * 40, "old"), ([0.0] * lost + [1.0] * (40 - lost), "new"))
        )
        runs.append(match(run(before, PASSED, test_key=key), run(after, PASSED, test_key=key)))
    comparison = compare("p", runs, Rules(margins={}, alpha=0.05, gate=Gate(("passed", "passed@easy"))))
    found = [each for test in comparison.tests for each in (*test.metrics, *test.slices)]
    assert comparison.family == len(found) == 4
    corrected = multipletests([each.p for each in found], method="holm")[1]
    assert [each.p_family for each in found] == pytest.approx(corrected)


def test_a_regression_in_a_slice_counts_only_where_it_is_gated() -> None:
    cases: Cases = [(1.0, float(n >= 15), 4.0, 4.0, {"hard"} if n < 20 else set()) for n in range(200)]
    before, after = sides(cases)
    shown = session(before, after, slices=("hard",))
    (hard,) = [each for each in shown.tests[0].slices if each.metric.name == "passed"]
    assert (hard.verdict, hard.gated, hard.cases) == (Verdict.REGRESSED, False, 20)
    assert shown.count(Verdict.REGRESSED) == 1
    gated = session(before, after, gate=Gate(("grade", "passed@hard")))
    assert [each.label for each in gated.tests[0].slices if each.gated] == ["passed@hard"]
    assert gated.count(Verdict.REGRESSED) == 1
    assert gated.family == 2


def test_a_slice_without_enough_cases_is_no_part_of_the_family() -> None:
    before, after = sides([(1.0, float(n >= 12), 4.0, 4.0, {"rare"} if n < 4 else set()) for n in range(40)])
    comparison = session(before, after, gate=Gate(("passed", "passed@rare")))
    (rare,) = [each for each in comparison.tests[0].slices if each.gated]
    assert (rare.verdict, rare.p_family, comparison.family) == (Verdict.TOO_FEW, None, 1)


def test_the_tags_of_today_decide() -> None:
    before, after = answers([1.0] * 20, "old"), answers([1.0] * 20, "new")
    old, new = (
        tagged(before, {n: ["easy"] for n in range(20)}),
        tagged(after, {n: ["easy"] for n in range(7)}),
    )
    comparison = compared(run(old, PASSED), run(new, PASSED), slices=("easy",))
    assert [each.cases for each in comparison.tests[0].slices] == [7]


def test_what_is_comparable_nowhere_has_no_slices() -> None:
    before, after = answers([1.0] * 20, "old", tags=("easy",)), answers([1.0] * 20, "new", tags=("easy",))
    newer = replace(PASSED, version="2")
    (test,) = compared(run(before, PASSED), run(after, newer), slices=("easy",)).tests
    assert test.metrics[0].verdict is Verdict.NOT_COMPARABLE
    assert test.slices == ()


def test_a_gated_slice_that_is_not_comparable_does_not_vanish() -> None:
    before, after = answers([1.0] * 20, "old", tags=("easy",)), answers([1.0] * 20, "new", tags=("easy",))
    newer = replace(PASSED, version="2")
    gate = Gate(("grade", "passed@easy"))
    comparison = compared(run(before, PASSED), run(after, newer), slices=("easy",), gate=gate)
    (easy,) = comparison.tests[0].slices
    assert (easy.label, easy.gated, easy.verdict) == ("passed@easy", True, Verdict.NOT_COMPARABLE)
    assert "--llmops-rescore" in easy.reason
    assert comparison.count(Verdict.NOT_COMPARABLE) == 1


def test_a_bad_score_elsewhere_leaves_a_gated_slice_comparable() -> None:
    before = answers([9.0] + [4.0] * 40, "old", GRADE)
    after = answers([4.0] * 41, "new", GRADE)
    tags = {number: ["easy"] for number in range(1, 41)}
    runs = run(tagged(before, tags), GRADE), run(tagged(after, tags), GRADE)
    (test,) = compared(*runs, gate=Gate(("grade", "grade@easy"))).tests
    assert test.metrics[0].verdict is Verdict.NOT_COMPARABLE
    assert (test.slices[0].gated, test.slices[0].cases) == (True, 40)
    assert test.slices[0].verdict is not Verdict.NOT_COMPARABLE


def test_many_unpaired_cases_allow_no_good_verdict_in_a_slice_either() -> None:
    tags = {n: ["easy"] for n in range(150)}
    before, after = tagged(answers([1.0] * 400, "old"), tags), tagged(answers([1.0] * 300, "new"), tags)
    (test,) = compared(run(before, PASSED), run(after, PASSED), slices=("easy",), margins={"": 0.2}).tests
    assert [each.verdict for each in (*test.metrics, *test.slices)] == [Verdict.INCONCLUSIVE] * 2


@pytest.mark.parametrize(
    ("metric", "margins", "limit"),
    [
        (PASSED, {}, 0.05),
        (PASSED, {"": 0.02}, 0.02),
        (PASSED, {"": 0.02, "passed": 0.01}, 0.01),
        (GRADE, {}, 0.2),
        (GRADE, {"grade": 0.1, "passed": 0.3}, 0.4),
        (ERRORS, {"": 0.1}, 1.0),
        (SECONDS, {}, 0.1),
        # The margin of all others is a share of a range, which a ratio has none of.
        (SECONDS, {"": 0.02}, 0.1),
        (SECONDS, {"seconds": 0.5}, 0.5),
    ],
)
def test_each_metric_has_its_margin(metric: Metric, margins: dict[str, float], limit: float) -> None:
    worst = metric.worst if metric.worst is not None else 1.0
    before, after = answers([worst] * 8, "old", metric), answers([worst] * 8, "new", metric)
    assert only(compared(run(before, metric), run(after, metric), margins=margins)).margin == pytest.approx(
        limit
    )


@pytest.mark.parametrize(
    ("margin", "verdict"),
    [(0.01, Verdict.REGRESSED), (0.05, Verdict.REGRESSED), (0.30, Verdict.WITHIN_MARGIN)],
)
def test_the_margin_parts_regressed_from_within(margin: float, verdict: Verdict) -> None:
    before, after = answers([1.0] * 100, "old"), answers([0.0] * 15 + [1.0] * 85, "new")
    found = only(compared(run(before, PASSED), run(after, PASSED), margins={"passed": margin}))
    assert found.verdict is verdict


def test_the_margin_of_seconds_is_a_relative_rise() -> None:
    noise = random.Random(7)
    spread = [noise.lognormvariate(0, 0.1) for _ in range(600)]
    before = answers(spread[:300], "old", SECONDS)
    after = answers([1.25 * value for value in spread[300:]], "new", SECONDS)
    runs = run(before, SECONDS), run(after, SECONDS)
    assert only(compared(*runs, margins={"seconds": 0.3})).verdict is Verdict.WITHIN_MARGIN
    assert only(compared(*runs, margins={"seconds": 0.2})).verdict is Verdict.REGRESSED


def test_a_slice_has_the_margin_of_its_metric() -> None:
    before, after = answers([1.0] * 9, "old", tags=("easy",)), answers([1.0] * 9, "new", tags=("easy",))
    (test,) = compared(
        run(before, PASSED), run(after, PASSED), slices=("easy",), margins={"passed": 0.01}
    ).tests
    assert [each.margin for each in (*test.metrics, *test.slices)] == [0.01, 0.01]
    assert test.test_key == KEY


def test_suspect_is_what_only_the_correction_saved() -> None:
    before, after = sides([(1.0, float(n >= 4), 5.0, 5.0, {"easy"}) for n in range(30)])
    alone = session(before, after, gate=Gate(("passed",))).tests[0].metrics[0]
    crowd = session(before, after, gate=Gate(("passed", "grade", "grade@easy"))).tests[0].metrics[0]
    assert (alone.verdict, alone.suspect) == (Verdict.REGRESSED, False)
    assert (crowd.verdict, crowd.suspect) == (Verdict.INCONCLUSIVE, True)
    assert alone.p == crowd.p
    assert alone.p_family == alone.p
    assert crowd.p_family == pytest.approx(3 * (crowd.p or 0))
    assert crowd.need is not None
