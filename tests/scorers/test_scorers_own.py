"""Functions of users make scorers, and each mistake is named."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from pytest_llmops import scorer
from pytest_llmops.errors import FatalCallError, JudgeError, MisuseError
from pytest_llmops.scorers.own import as_scorer
from pytest_llmops.scorers.score import Metric, Score


@scorer
def polite(case, response) -> bool:
    """Tell whether the answer is polite."""
    return "please" in response.text


@scorer(name="grade", range=(1, 5), threshold=3, required=True, version="v1")
def graded(case, response) -> float:
    return float(response.text)


@scorer(threshold=0.5)
async def slow(case, response):
    await asyncio.sleep(0)
    return len(response.text) / 10


def test_a_function_that_says_bool_passes_or_fails(score):
    assert polite.metric.kind == "pass_fail"
    assert polite.metric.gated
    assert (polite.metric.name, polite.metric.free) == ("polite", True)
    assert score(polite, "please") == Score(value=1.0, passed=True)
    assert score(polite, "no") == Score(value=0.0, passed=False)


def test_any_other_gives_a_score_in_its_range(score):
    assert graded.metric == Metric(
        name="grade", version="v1", kind="score", range=(1.0, 5.0), threshold=3, required=True
    )
    assert (score(graded, "3").passed, score(graded, "2.5").passed) == (True, False)


def test_an_async_function_is_awaited(score):
    assert score(slow, "12345") == Score(value=0.5, passed=True)


def test_the_scorer_is_still_the_function():
    class Answer:
        text = "please"

    assert polite(None, Answer()) is True


def test_less_can_be_better(score):
    @scorer(higher_is_better=False, range=(0, 100), threshold=10)
    def typos(case, response):
        return len(response.text)

    assert score(typos, "x" * 10).passed
    assert not score(typos, "x" * 11).passed


def test_a_score_keeps_its_reason_and_label_and_the_threshold_decides(score):
    @scorer(threshold=0.5)
    def told(case, response):
        return Score(value=0.4, passed=True, reason="so so", label="mixed")

    assert score(told, "x") == Score(value=0.4, passed=False, reason="so so", label="mixed")


def test_a_score_without_a_value_is_no_score(score):
    @scorer
    def unknown(case, response):
        return Score(value=None)

    assert score(unknown, "x") == Score(value=None, error="unknown gave no score")


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.int64(1), np.bool_(True)])
def test_numbers_of_numpy_are_numbers(score, number):
    made = scorer(name="np", kind="score")(lambda case, response: number)
    assert score(made, "x").value == float(number)
    assert type(score(made, "x").value) is float


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "gave None, which is not a number (on the case 'case-1')"),
        ("0.5", "gave '0.5', which is not a number"),
        (1.5, "gave 1.5, outside its range 0 to 1"),
        (float("nan"), "gave nan, which is not a finite number"),
        (True, "gave True on the case 'case-1', but does not say that it passes or fails: write `-> bool`"),
    ],
)
def test_what_is_no_score_is_refused(score, given, words):
    def odd(case, response):
        return given

    with pytest.raises(MisuseError) as caught:
        score(scorer(odd), "x")
    assert str(caught.value).startswith("The scorer 'odd' " + words)


def test_a_number_is_no_verdict(score):
    def sure(case, response) -> bool:
        return 0.5

    with pytest.raises(
        MisuseError, match=r"gave 0.5, which is neither True nor False \(on the case 'case-1'\)"
    ):
        score(scorer(sure), "x")


@pytest.mark.parametrize("error", [ValueError("bad\nthing"), AssertionError("bad"), MisuseError("bad")])
def test_a_function_that_raises_is_one_clear_error(score, error):
    def broken(case, response):
        raise error

    with pytest.raises(MisuseError) as caught:
        score(scorer(broken), "x")
    line = broken.__code__.co_firstlineno + 1
    assert str(caught.value) == (
        f"The scorer 'broken' raised {type(error).__name__} on the case 'case-1': bad "
        f"(test_scorers_own.py, line {line})."
    )


@pytest.mark.parametrize("error", [JudgeError("none"), FatalCallError("none")])
def test_a_case_that_a_function_could_not_judge_is_not_measured(score, error):
    def asking(case, response):
        raise error

    with pytest.raises(type(error)):
        score(scorer(asking), "x")


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"range": (1, 0)}, "range=(1, 0): give lowest and highest score"),
        ({"range": (0, float("inf"))}, "give lowest and highest score"),
        ({"range": 5}, "give lowest and highest score"),
        ({"threshold": 0}, "threshold=0: give a number above 0, at most 1"),
        ({"threshold": 1, "higher_is_better": False}, "threshold=1: give a number at least 0, below 1"),
        ({"threshold": "0.5"}, "threshold='0.5'"),
        ({"kind": "ratio"}, "kind='ratio': give 'pass_fail' or 'score'"),
        ({"kind": "pass_fail", "threshold": 0.5}, "passes or fails: it takes no threshold"),
        ({"version": 2}, "version=2: give text"),
        ({"name": " "}, "name=' '"),
        ({"treshold": 1}, "scorer() does not know treshold. Known: name, kind, range, threshold"),
    ],
)
def test_a_wish_that_makes_no_metric_is_refused(wish, words):
    def some(case, response):
        return 1

    with pytest.raises(MisuseError) as caught:
        scorer(**wish)(some)
    assert words in str(caught.value)


def test_what_is_no_function_of_two_is_refused():
    with pytest.raises(MisuseError, match=r"'lonely' does not take \(case, response\)"):

        @scorer
        def lonely(case):
            return 1

    with pytest.raises(MisuseError, match="name='<lambda>': give a name"):
        scorer(lambda case, response: 1)
    with pytest.raises(MisuseError, match="give a function"):
        scorer(polite)
    with pytest.raises(MisuseError, match=r"this is a class; give an object, Metric\(\)"):
        scorer(Metric)


def test_partials_objects_and_lambdas_score(score):
    def longer(limit, case, response) -> bool:
        return len(response.text) > limit

    class Longer:
        async def __call__(self, case, response) -> bool:
            return len(response.text) > 2

    assert score(scorer(name="part", kind="pass_fail")(partial(longer, 2)), "abc").passed
    made = scorer(Longer())
    assert (made.metric.name, made.metric.kind) == ("Longer", "pass_fail")
    assert score(made, "abc").passed
    assert score(scorer(name="any")(lambda case, response: 0.25), "abc").value == 0.25


def test_the_version_is_of_what_is_done_and_not_of_the_name():
    def one(case, response):
        return 1

    def two(case, response):
        return 0

    assert scorer(one).metric.version != scorer(two).metric.version
    assert scorer(one).metric.version == scorer(name="x", threshold=0.5)(one).metric.version


def test_a_marker_may_wish_something_else():
    renamed = as_scorer(slow, name="speed", threshold=0.7)

    assert (renamed.metric.name, renamed.metric.threshold) == ("speed", 0.7)
    assert renamed.metric.version == slow.metric.version
    assert as_scorer(slow) is slow
    assert as_scorer(3) is None


def test_a_scorer_of_another_kind_is_taken_as_it_is():
    @dataclass
    class Other:
        metric: Metric

        async def score(self, case, response, caller):
            return self.metric.score(1)

    other = Other(Metric(name="other", version="1"))
    assert as_scorer(other) is other
    with pytest.raises(MisuseError, match="which brings its own"):
        as_scorer(other, threshold=1)
