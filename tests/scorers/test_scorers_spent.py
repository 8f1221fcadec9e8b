"""Seconds and dollars are scores that no build fails for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_llmops.calls.exchange import Response, Timing, Usage
from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.spent import spent_scorer

ANSWER = Response(
    text="x", model="m", usage=Usage(input_tokens=1_000, output_tokens=500), timing=Timing(seconds=1.25)
)


def test_seconds_are_those_of_the_answer(score):
    assert score(spent_scorer("latency", model="openai:gpt-4o"), ANSWER).value == 1.25


def test_dollars_are_those_of_the_answer(score):
    found = score(spent_scorer("cost", model="openai:gpt-5-mini"), replace(ANSWER, cost=0.25))

    assert found.value == 0.25
    assert found.passed is None


def test_tokens_in_and_out_are_counted_together(score):
    assert score(spent_scorer("tokens", model="m"), ANSWER).value == 1_500


def test_tokens_that_the_provider_did_not_count_are_no_score(score):
    found = score(spent_scorer("tokens", model="m"), Response(text="x", model="m"))

    assert found.value is None
    assert found.error == "the provider did not count the tokens"


@pytest.mark.parametrize("answer", [ANSWER, Response(text="x", model="m")])
def test_an_unknown_price_is_no_score(score, answer):
    found = score(spent_scorer("cost", model="openai:no-such-model"), answer)

    assert (found.value, found.passed) == (None, None)
    assert found.error == "the price of openai:no-such-model is not known"


@pytest.mark.parametrize("kind", ["latency", "tokens", "cost"])
def test_less_is_better_and_nothing_is_gated(kind):
    metric = spent_scorer(kind, model="m").metric

    assert (metric.kind, metric.range, metric.higher_is_better) == ("ratio", None, False)
    assert metric.volatile == (kind != "tokens")
    assert not metric.gated


def test_a_threshold_is_the_most_that_an_answer_may_take(score):
    assert score(spent_scorer("latency", model="m", threshold=1.5), ANSWER).passed
    assert not score(spent_scorer("latency", model="m", threshold=1), ANSWER).passed


@pytest.mark.parametrize("threshold", [0, -1, float("nan"), float("inf"), "1"])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(MisuseError, match="is not a number of s above 0"):
        spent_scorer("latency", model="m", threshold=threshold)


def test_an_unknown_kind_is_refused():
    with pytest.raises(MisuseError, match="Did you mean 'latency'"):
        spent_scorer("latenc", model="m")
