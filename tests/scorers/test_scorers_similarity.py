"""Similarity is the cosine of two vectors, of the nearest where several texts are expected."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pytest_llmops.calls.exchange import Response
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.providers.scripted import ScriptedProvider
from pytest_llmops.scorers.similarity import cosine, similarity_scorer

VECTORS = {"north": (0.0, 2.0), "east": (3.0, 0.0), "south": (0.0, -1.0), "between": (1.0, 1.0)}

FINITE = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda number: number if abs(number) > 1e-6 else 0.0)


class Caller:
    """Give the vectors of a scripted model."""

    def __init__(self, vectors=VECTORS):
        self.provider = ScriptedProvider("", embed=vectors.__getitem__)

    async def aembed(self, request):
        return (await self.provider.embed(request)).vectors


def scored(answer, expected=None, *, caller=None, **options):
    scorer = similarity_scorer(model="scripted:m", **options)
    case = Case(id="case-1", inputs={}, expected=expected)
    return asyncio.run(scorer.score(case, Response(text=answer, model="m"), caller or Caller()))


@given(arrays(float, (2, 5), elements=FINITE))
def test_the_cosine_is_that_of_numpy(pair):
    one, other = pair
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    wanted = float(one @ other / lengths) if lengths else 0.0
    assert cosine(tuple(one), tuple(other)) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(
    ("answer", "expected", "value"),
    [
        ("north", "north", 1.0),
        ("north", "between", math.sqrt(0.5)),
        ("north", "east", 0.0),
        # Opposite is no nearer than unrelated.
        ("north", "south", 0.0),
        ("north", ["east", "between", "south"], math.sqrt(0.5)),
    ],
)
def test_the_nearest_expected_text_counts(answer, expected, value):
    found = scored(answer, expected)
    assert found.value == pytest.approx(value)
    assert found.passed is None
    assert found.reason == ("nearest to 'between'" if isinstance(expected, list) else "")


def test_the_threshold_decides_and_one_request_holds_all_texts():
    caller = Caller()
    assert scored("north", ["between", "east"], threshold=0.7, caller=caller).passed is True
    assert scored("north", ["between", "east"], threshold=0.8, caller=caller).passed is False
    assert [request.texts for request in caller.provider.embedding_requests] == [
        ("north", "between", "east")
    ] * 2


def test_a_value_stands_for_what_all_cases_expect():
    assert scored("north", "east", value=["south", "north"]).value == 1.0


def test_an_answer_of_spaces_is_nearest_to_nothing_and_is_not_asked_about():
    caller = Caller()
    assert scored(" \n", "north", caller=caller).value == 0.0
    assert caller.provider.embedding_requests == []


@pytest.mark.parametrize("expected", [None, 5, {"a": "b"}, [], ["north", 5], " ", ["north", ""]])
def test_a_case_that_expects_no_text_is_named(expected):
    with pytest.raises(MisuseError, match=r"case 'case-1' expects .* needs a text"):
        scored("north", expected)


@pytest.mark.parametrize("threshold", [0, 1.1, True, "high"])
def test_a_threshold_is_above_0_and_at_most_1(threshold):
    with pytest.raises(MisuseError, match="is not a number above 0, at most 1"):
        similarity_scorer(model="scripted:m", threshold=threshold)


def test_the_version_names_model_and_value():
    def version(**options):
        return similarity_scorer(**{"model": "scripted:m", **options}).metric.version

    assert version() == version(threshold=0.5, name="near")
    assert len({version(), version(model="scripted:n"), version(value="x")}) == 3


def test_a_bare_model_means_openai_and_costs_money():
    scorer = similarity_scorer(model="text-embedding-3-small")
    assert scorer.model == "openai:text-embedding-3-small"
    assert not scorer.metric.free


def test_without_a_model_wordllama_does_it_for_nothing():
    scorer = similarity_scorer()
    assert scorer.model == similarity_scorer(model="wordllama").model == "wordllama:l2_supercat_256"
    assert scorer.metric.free
