"""Hold the comparison of two runs: pairing, verdicts, causes, and what makes scores incomparable."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_built import GRADE, PASSED, SECONDS, answers, compared, only, prompt, result, run

from pytest_llmops.runs.comparison import MetricComparison
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.stats.verdict import Verdict


def pass_fail(before: Sequence[float], after: Sequence[float]) -> MetricComparison:
    return only(compared(run(answers(before, "old"), PASSED), run(answers(after, "new"), PASSED)))


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([1] * 40, [0] * 10 + [1] * 30, Verdict.REGRESSED),
        ([0] * 10 + [1] * 30, [1] * 40, Verdict.IMPROVED),
        ([1] * 40, [0] + [1] * 39, Verdict.INCONCLUSIVE),
        ([1] * 400, [1] * 400, Verdict.NO_REGRESSION),
        ([1] * 1000, [0] * 10 + [1] * 990, Verdict.WITHIN_MARGIN),
        ([1] * 4, [0] * 4, Verdict.TOO_FEW),
    ],
)
def test_the_verdict_follows_interval_margin_and_p(
    before: list[float], after: list[float], verdict: Verdict
) -> None:
    assert pass_fail(before, after).verdict is verdict


def test_equal_requests_with_equal_scores_are_unchanged_and_not_tested() -> None:
    same = run(answers([1, 0] * 20, "same"), PASSED)
    comparison = compared(same, same)
    assert only(comparison).verdict is Verdict.UNCHANGED
    assert only(comparison).p is None
    assert comparison.family == 0
    assert comparison.tests[0].replayed


def test_equal_answers_with_another_score_are_not_comparable() -> None:
    before = answers([1] * 20, "same")
    after = [replace(before[0], scores={"passed": Score(value=0.0)}), *before[1:]]
    metric = only(compared(run(before, PASSED), run(after, PASSED)))
    assert metric.verdict is Verdict.NOT_COMPARABLE
    assert "'case-000'" in metric.reason
    assert "--llmops-rescore" in metric.reason


def test_another_answer_to_the_same_request_is_compared() -> None:
    before = answers([1] * 40, "same")
    after = [replace(each, output="no", scores={"passed": Score(value=0.0)}) for each in before[:20]]
    assert (
        only(compared(run(before, PASSED), run([*after, *before[20:]], PASSED))).verdict is Verdict.REGRESSED
    )


def test_another_metric_version_is_not_comparable_until_stored_outputs_have_new_scores() -> None:
    newer = replace(PASSED, version="2")
    before, after = answers([1] * 40, "old"), answers([1] * 40, "new")
    metric = only(compared(run(before, PASSED), run(after, newer)))
    assert metric.verdict is Verdict.NOT_COMPARABLE
    again = [
        replace(each, stored_scores={"passed": (Score(value=0.0),)})
        if number < 20
        else replace(each, stored_scores={"passed": (Score(value=1.0),)})
        for number, each in enumerate(after)
    ]
    metric = only(compared(run(before, PASSED), run(again, newer)))
    assert metric.verdict is Verdict.IMPROVED
    assert metric.baseline == 0.5


def test_a_metric_that_is_gone_is_named() -> None:
    comparison = compared(run(answers([1] * 20, "old"), PASSED, GRADE), run(answers([1] * 20, "new"), PASSED))
    gone = comparison.tests[0].metrics[1]
    assert (gone.metric.name, gone.verdict) == ("grade", Verdict.NOT_COMPARABLE)
    assert "no longer" in gone.reason


def test_unpaired_cases_are_listed_with_their_reasons() -> None:
    before, after = answers([1] * 30, "old"), answers([1] * 30, "new")
    after[3] = replace(after[3], row_digest="edited")
    after[4] = replace(after[4], status="unmeasured", detail="status 429", scores={})
    after[5] = replace(after[5], case_id="brand-new")
    pairing = compared(run(before, PASSED), run(after, PASSED)).tests[0].pairing
    assert pairing.changed == ("case-003",)
    assert pairing.missing == {"case-004": "status 429", "case-005": "not in this run"}
    assert pairing.new == ("brand-new",)
    assert len(pairing.paired) == 27


def test_too_many_unpaired_cases_allow_no_good_verdict() -> None:
    before, after = answers([1] * 400, "old"), answers([1] * 359, "new")
    metric = only(compared(run(before, PASSED), run(after, PASSED)))
    assert metric.verdict is Verdict.INCONCLUSIVE
    assert "10 %" in metric.reason
    metric = only(compared(run(before, PASSED), run(answers([0] * 300, "new"), PASSED)))
    assert metric.verdict is Verdict.REGRESSED


def test_an_unusable_answer_scores_worst_in_every_metric_with_a_range() -> None:
    before = [result(n, {"passed": 1, "grade": 5.0}, asked="old") for n in range(40)]
    after = [
        result(n, {}, asked="new", status="bad_answer", output=None)
        if n < 20
        else result(n, {"passed": 1, "grade": 5.0}, asked="new")
        for n in range(40)
    ]
    test = compared(run(before, PASSED, GRADE), run(after, PASSED, GRADE)).tests[0]
    assert [(m.candidate, m.verdict) for m in test.metrics] == [
        (0.5, Verdict.REGRESSED),
        (3.0, Verdict.REGRESSED),
    ]


def test_repeats_are_averaged_in_their_case() -> None:
    before = [result(n, {"grade": 4.0}, asked="old", repeat=r) for n in range(20) for r in (1, 2, 3)]
    after = [result(n, {"grade": 2.0 + r}, asked="new", repeat=r) for n in range(20) for r in (1, 2)]
    metric = only(compared(run(before, GRADE), run(after, GRADE)))
    assert (metric.cases, metric.baseline, metric.candidate, metric.change) == (20, 4.0, 3.5, -0.5)


def test_clusters_are_the_units() -> None:
    before = [result(n, {"passed": 1}, asked="old", cluster=f"talk-{n // 10}") for n in range(40)]
    after = [result(n, {"passed": 0}, asked="new", cluster=f"talk-{n // 10}") for n in range(40)]
    metric = only(compared(run(before, PASSED), run(after, PASSED)))
    assert (metric.cases, metric.units, metric.verdict) == (40, 4, Verdict.TOO_FEW)


def test_seconds_are_compared_as_ratios_and_not_gated() -> None:
    noise = random.Random(3)
    spread = [math.exp(noise.gauss(0, 0.05)) for _ in range(80)]
    before = [result(n, {"seconds": spread[n]}, asked="old") for n in range(40)]
    after = [result(n, {"seconds": 1.5 * spread[40 + n]}, asked="new") for n in range(40)]
    comparison = compared(run(before, SECONDS), run(after, SECONDS))
    metric = only(comparison)
    assert metric.change == pytest.approx(0.5, abs=0.06)
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low < 0.5 < metric.high
    assert metric.verdict is Verdict.REGRESSED
    assert comparison.family == 0
    assert comparison.count(Verdict.REGRESSED) == 0
    assert metric.p_family is None


def test_lower_is_better_turns_the_verdict_and_not_the_signs() -> None:
    errors = Metric(
        name="errors", version="1", kind="score", range=(0, 10), higher_is_better=False, threshold=3
    )
    noise = random.Random(5)
    before = [result(n, {"errors": noise.uniform(0, 4)}, asked="old") for n in range(40)]
    after = [result(n, {"errors": noise.uniform(4, 8)}, asked="new") for n in range(40)]
    metric = only(compared(run(before, errors), run(after, errors)))
    assert metric.verdict is Verdict.REGRESSED
    assert metric.change is not None
    assert metric.change > 0
    assert metric.low is not None
    assert metric.high is not None
    assert 0 < metric.low < metric.change < metric.high


def test_holm_covers_all_gated_metrics_of_the_session() -> None:
    names = [f"m{number}" for number in range(20)]
    metrics = [Metric(name=name, version="1") for name in names]
    before = [result(n, dict.fromkeys(names, 1), asked="old") for n in range(30)]
    after = [
        result(n, {name: float(name != "m0" or n >= 6) for name in names}, asked="new") for n in range(30)
    ]
    alone = pass_fail([1] * 30, [0] * 6 + [1] * 24)
    assert alone.verdict is Verdict.REGRESSED
    comparison = compared(run(before, *metrics), run(after, *metrics))
    first = comparison.tests[0].metrics[0]
    assert comparison.family == 20
    assert first.p == alone.p
    assert first.p_family == pytest.approx(20 * (alone.p or 0))
    assert (first.verdict, first.suspect) == (Verdict.INCONCLUSIVE, True)


def test_the_cause_is_named() -> None:
    before, after = run(answers([1] * 20, "old"), PASSED), run(answers([1] * 20, "new"), PASSED)
    new = prompt("Tell {{ n }}", parameters={"temperature": 0})
    changed = replace(
        after,
        header=replace(
            after.header,
            prompt_digest=new.digest,
            model="local:n",
            metrics={"passed": replace(PASSED, version="2")},
        ),
    )
    (test,) = compared(before, changed, new=new).tests
    assert test.causes == ("prompt", "model", "parameters", "test")
    assert compared(before, after).tests[0].causes == ()


def test_worse_cases_come_worst_first_with_both_outputs() -> None:
    before = [result(n, {"grade": 5.0}, asked="old") for n in range(10)]
    after = [result(n, {"grade": 5.0 - n / 4}, asked="new") for n in range(10)]
    metric = only(compared(run(before, GRADE), run(after, GRADE)))
    assert [change.case_id for change in metric.worse] == [f"case-{n:03}" for n in range(9, 0, -1)]
    assert metric.worse[0].baseline_output == before[9].output
    assert metric.worse[0].candidate_output == after[9].output
    assert metric.worse[0].nodeid == "test_x.py::test_x[case-009]"


FLAGS = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=5, max_size=40)


@given(FLAGS, st.randoms())
def test_neither_order_nor_names_of_cases_matter(
    flags: list[tuple[float, float]], shuffler: random.Random
) -> None:
    before, after = (answers([pair[side] for pair in flags], str(side)) for side in (0, 1))
    plain = only(compared(run(before, PASSED), run(after, PASSED)))
    ranks = list(range(len(flags)))
    shuffler.shuffle(ranks)
    names = {each.case_id: f"renamed-{rank}" for each, rank in zip(before, ranks, strict=True)}
    shuffler.shuffle(before)
    shuffler.shuffle(after)
    again = only(
        compared(
            run([replace(each, case_id=names[each.case_id]) for each in before], PASSED),
            run([replace(each, case_id=names[each.case_id]) for each in after], PASSED),
        )
    )
    assert replace(again, worse=()) == replace(plain, worse=())


@given(FLAGS)
def test_swapping_the_runs_mirrors_the_figures(flags: list[tuple[float, float]]) -> None:
    before, after = [pair[0] for pair in flags], [pair[1] for pair in flags]
    there, back = pass_fail(before, after), pass_fail(after, before)
    assert there.change == pytest.approx(-(back.change or 0))
    assert there.low == pytest.approx(-(back.high or 0))
    mirror = {Verdict.REGRESSED: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSED}
    if there.verdict in mirror:
        assert back.verdict in (mirror[there.verdict], Verdict.WITHIN_MARGIN)


@given(FLAGS)
def test_an_unpaired_case_changes_no_number(flags: list[tuple[float, float]]) -> None:
    before, after = [pair[0] for pair in flags], [pair[1] for pair in flags]
    plain = pass_fail(before, after)
    extra = result(999, {"passed": 0.0}, asked="new")
    more = only(compared(run(answers(before, "old"), PASSED), run([*answers(after, "new"), extra], PASSED)))
    assert more == plain


def test_an_unknown_score_never_enters_the_numbers() -> None:
    after = answers([0.0] * 3 + [None] + [1.0] * 26, "new")
    metric = only(compared(run(answers([1.0] * 30, "old"), PASSED), run(after, PASSED)))
    assert metric.cases == 29
    assert metric.candidate == pytest.approx(26 / 29)


@pytest.mark.parametrize(
    ("before", "after", "unchanged"),
    [
        ([1.0, 1.0, 0.0], [1.0, 0.0, 0.0], False),
        ([1.0, 1.0, 0.0], [0.0, 1.0, 1.0], True),
        ([1.0, 1.0, 1.0], [1.0], True),
        ([1.0, 0.0, 1.0], [1.0], False),
        ([1.0, 0.0], [1.0, 0.0, 1.0, 0.0], True),
    ],
)
def test_repeats_are_unchanged_where_each_score_is_as_frequent(
    before: list[float], after: list[float], unchanged: bool
) -> None:
    sides = [
        [
            replace(result(n, {"passed": score}, repeat=r), requests=(f"{n}",), output=f"{score}")
            for n in range(20)
            for r, score in enumerate(scores)
        ]
        for scores in (before, after)
    ]
    metric = only(compared(run(sides[0], PASSED), run(sides[1], PASSED)))
    assert (metric.verdict is Verdict.UNCHANGED) is unchanged


@pytest.mark.parametrize("metric", [PASSED, GRADE, replace(GRADE, higher_is_better=False)])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_no_interval_is_wider_than_a_change_can_be(metric: Metric, count: int) -> None:
    low, high = metric.limits
    before = [result(n, {metric.name: (low, high)[n % 2]}, cluster="a" if n else "b") for n in range(count)]
    after = [
        result(n, {metric.name: (high, low)[n % 3 > 0]}, asked="new", cluster="a" if n else "b")
        for n in range(count)
    ]
    metric_found = only(compared(run(before, metric), run(after, metric)))
    assert metric_found.low is not None
    assert metric_found.high is not None
    assert low - high <= metric_found.low <= metric_found.high <= high - low
