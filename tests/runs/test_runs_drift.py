"""Hold the canary: it sees a moved model in either direction, and nothing where nothing moved."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_built import ERRORS, GRADE, KEY, PASSED, SECONDS, answers, match, result, run
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from pytest_llmops.runs.compare import Rules
from pytest_llmops.runs.drift import Drift, find_drifts
from pytest_llmops.runs.record import CaseResult
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.stats.verdict import Verdict
from pytest_llmops.stats.weigh import Sample, weigh

RULES = Rules(margins={}, alpha=0.05)


def asked_again(before: Sequence[Any], after: Sequence[Any], *metrics: Metric, **more: Any) -> Drift:
    """Return what answers to the very same requests show; scores of one metric, or of several by name."""
    sides = [
        [
            # An answer is known by its scores here.
            replace(each, requests=(f"{each.case_id} {each.repeat}",), output=f"{each.scores}")
            for each in results
        ]
        for results in (built(before, metrics), built(after, metrics))
    ]
    (drift,) = find_drifts([match(run(sides[0], *metrics), run(sides[1], *metrics), **more)], RULES)
    return drift


def built(values: Sequence[Any], metrics: Sequence[Metric]) -> list[CaseResult]:
    if values and isinstance(values[0], dict):
        return [result(number, scores) for number, scores in enumerate(values)]
    return answers(values, "", metrics[0])


@pytest.mark.parametrize(
    ("metric", "good", "bad"), [(PASSED, 1.0, 0.0), (GRADE, 5.0, 2.0), (ERRORS, 0.0, 4.0)]
)
@pytest.mark.parametrize("worse", [True, False])
def test_a_model_that_moved_is_seen_in_either_direction(
    metric: Metric, good: float, bad: float, worse: bool
) -> None:
    one, other = [good] * 20, [bad] * 12 + [good] * 8
    drift = asked_again(*((one, other) if worse else (other, one)), metric)
    assert drift.moved
    assert (drift.cases, drift.lost, drift.other_answers) == (20, 0, 12)
    (moved,) = drift.metrics
    assert moved.p is not None
    assert moved.p < 0.01
    assert (moved.comparison.change or 0) * (bad - good) * (1 if worse else -1) > 0


@pytest.mark.parametrize("metric", [PASSED, GRADE, ERRORS])
def test_identical_answers_are_no_move(metric: Metric) -> None:
    values = [metric.limits[number % 2] for number in range(20)]
    drift = asked_again(values, values, metric)
    (same,) = drift.metrics
    assert (drift.moved, drift.other_answers) == (False, 0)
    assert (same.comparison.verdict, same.p, same.moved) == (Verdict.UNCHANGED, None, False)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=5, max_size=40))
def test_p_is_the_smaller_tail_twice(flags: list[tuple[float, float]]) -> None:
    before, after = [old for old, _ in flags], [new for _, new in flags]
    (found,) = asked_again(before, after, PASSED).metrics
    if before == after:
        assert found.p is None
        return
    sample = Sample(baseline=[[v] for v in before], candidate=[[v] for v in after], pass_fail=True)
    tails = weigh(sample, alpha=0.025)
    assert found.p == min(1.0, 2 * min(tails.p_drop, tails.p_rise))
    assert found.moved == (found.p <= 0.05)
    (back,) = asked_again(after, before, PASSED).metrics
    assert (back.p, back.moved) == (found.p, found.moved)


def test_a_sampled_model_that_did_not_move_is_seldom_called_moved() -> None:
    rng = random.Random(20)
    moved = 0
    for _ in range(300):
        before, after = ([float(rng.random() < 0.8) for _ in range(40)] for _ in range(2))
        moved += asked_again(before, after, PASSED).moved
    assert binomtest(moved, 300, 0.05, alternative="greater").pvalue > 0.001


def test_all_metrics_of_the_session_share_the_risk() -> None:
    rng = random.Random(3)
    canaries = []
    for key in ("a.py::a", "b.py::b"):
        sides = [
            [
                replace(
                    result(n, {"passed": float(rng.random() < good), "grade": rng.uniform(1, 5)}),
                    test_key=key,
                    output=f"{side}",
                )
                for n in range(30)
            ]
            for side, good in enumerate((0.95, 0.6))
        ]
        canaries.append(match(*(run(side, PASSED, GRADE, test_key=key) for side in sides)))
    drifts = find_drifts([canaries[0], None, canaries[1]], RULES)
    assert [drift.test_key for drift in drifts] == ["a.py::a", "b.py::b"]
    found = [metric for drift in drifts for metric in drift.metrics]
    alone = [metric.p for canary in canaries for metric in separately(canary)]
    assert len(found) == 4
    assert [metric.p for metric in found] == pytest.approx(multipletests(alone, method="holm")[1])
    assert [metric.moved for metric in found] == [(metric.p or 0) <= 0.05 for metric in found]


def separately(canary: Any) -> list[Any]:
    return [
        only
        for name in canary.candidate.header.metrics
        for only in find_drifts([one_metric(canary, name)], RULES)[0].metrics
    ]


def one_metric(canary: Any, name: str) -> Any:
    sides = {
        side: replace(
            getattr(canary, side),
            header=replace(
                getattr(canary, side).header, metrics={name: getattr(canary, side).header.metrics[name]}
            ),
        )
        for side in ("baseline", "candidate")
    }
    return replace(canary, **sides)


def test_repeats_whose_shares_moved_are_seen() -> None:
    drift = asked_again([[1.0, 1.0, 0.0]] * 20, [[1.0, 0.0, 0.0]] * 20, PASSED)
    (metric,) = drift.metrics
    assert metric.p is not None
    assert drift.moved


def test_other_words_with_equal_scores_are_counted_and_no_move() -> None:
    before = [replace(each, requests=(each.case_id,)) for each in answers([1.0] * 20, "old")]
    after = [replace(each, output="in other words") for each in before]
    (drift,) = find_drifts([match(run(before, PASSED), run(after, PASSED))], RULES)
    assert (drift.other_answers, drift.moved) == (20, False)


def test_stored_cases_that_were_not_asked_again_are_no_loss() -> None:
    before = answers([1.0] * 100, "")
    after = answers([1.0] * 100, "")[10:20]
    (drift,) = find_drifts([match(run(before, PASSED), run(after, PASSED))], RULES)
    assert (drift.cases, drift.lost, drift.moved) == (10, 0, False)
    assert drift.metrics[0].comparison.verdict is Verdict.UNCHANGED


def test_few_cases_tell_nothing() -> None:
    drift = asked_again([1.0] * 4, [0.0] * 4, PASSED)
    (metric,) = drift.metrics
    assert (metric.comparison.verdict, metric.p, drift.moved) == (Verdict.TOO_FEW, None, False)
    assert drift.other_answers == 4


def test_answers_that_were_lost_are_counted() -> None:
    before, after = answers([1.0] * 20, ""), answers([1.0] * 20, "")
    after[:3] = [replace(each, status="unmeasured", scores={}, detail="status 503") for each in after[:3]]
    (drift,) = find_drifts([match(run(before, PASSED), run(after, PASSED))], RULES)
    assert (drift.cases, drift.lost, drift.moved) == (17, 3, False)


def test_all_lost_is_no_move_and_no_error() -> None:
    before, after = answers([1.0] * 5, ""), answers([1.0] * 5, "")
    after = [replace(each, status="unmeasured", scores={}) for each in after]
    (drift,) = find_drifts([match(run(before, PASSED), run(after, PASSED))], RULES)
    assert (drift.cases, drift.lost, drift.moved, drift.other_answers) == (0, 5, False, 0)
    assert drift.metrics[0].comparison.verdict is Verdict.TOO_FEW


def test_a_refused_answer_is_a_move_to_the_worst() -> None:
    before, after = answers([5.0] * 20, "", GRADE), answers([5.0] * 20, "", GRADE)
    after = [replace(each, status="bad_answer", scores={}, output=None) for each in after]
    (drift,) = find_drifts([match(run(before, GRADE), run(after, GRADE))], RULES)
    assert drift.moved
    assert drift.metrics[0].comparison.candidate == 1.0


def test_times_and_prices_are_left_out() -> None:
    before = [{"passed": 1.0, "seconds": 1.0}] * 20
    drift = asked_again(before, [{"passed": 1.0, "seconds": 9.0}] * 20, PASSED, SECONDS)
    assert [metric.comparison.metric.name for metric in drift.metrics] == ["passed"]
    assert not drift.moved


def test_another_version_of_a_metric_tells_nothing_until_stored_outputs_are_scored_again() -> None:
    newer = replace(PASSED, version="2")
    before = answers([1.0] * 20, "")
    after = [replace(each, output="other", scores={"passed": Score(value=0.0)}) for each in before]
    (drift,) = find_drifts([match(run(before, PASSED), run(after, newer))], RULES)
    (metric,) = drift.metrics
    assert (metric.comparison.verdict, metric.p, drift.moved) == (Verdict.NOT_COMPARABLE, None, False)
    for today, moved in ((0.0, False), (1.0, True)):
        again = [replace(each, stored_scores={"passed": (Score(value=today),)}) for each in after]
        (drift,) = find_drifts([match(run(before, PASSED), run(again, newer))], RULES)
        assert drift.moved is moved


def test_the_same_words_with_another_score_are_the_scorers_doing() -> None:
    before = answers([1.0] * 20, "")
    after = [replace(each, scores={"passed": Score(value=0.0)}) for each in before]
    (drift,) = find_drifts([match(run(before, PASSED), run(after, PASSED))], RULES)
    assert not drift.moved
    assert drift.metrics[0].comparison.verdict is Verdict.NOT_COMPARABLE
    assert "'case-000'" in drift.metrics[0].comparison.reason


def test_the_test_and_model_are_named() -> None:
    drift = asked_again([1.0] * 5, [1.0] * 5, PASSED)
    assert (drift.test_key, drift.model) == (KEY, "local:m")


def test_no_canary_finds_nothing() -> None:
    assert find_drifts([], RULES) == ()
    assert find_drifts([None], RULES) == ()
