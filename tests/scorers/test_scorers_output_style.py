"""Objects in the style of autoevals are asked as that library asks them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from pytest_llmops import scorer
from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.score import Score


@dataclass
class Result:
    """Be the public shape of a result."""

    name: str
    score: float | None
    metadata: dict = field(default_factory=dict)
    error: Exception | None = None


class Base:
    """Be the public shape of a scorer: callable, with `eval` and `eval_async`."""

    def __init__(self, **settings):
        self.asked = []
        self.__dict__.update(settings)

    def eval(self, output, expected=None, **kwargs):
        self.asked.append((output, expected, kwargs))
        return self.judged(output, expected)

    async def eval_async(self, output, expected=None, **kwargs):
        return self.eval(output, expected, **kwargs)

    def __call__(self, output, expected=None, **kwargs):
        return self.eval(output, expected, **kwargs)


class Same(Base):
    def judged(self, output, expected):
        return Result("Same", float(output == expected), {"rationale": "compared"})


class Silent(Base):
    def judged(self, output, expected):
        return Result("Silent", None, error=ValueError("nothing to say"))


def test_an_object_is_asked_with_output_expected_and_input(score):
    same = Same()
    made = scorer(same)

    assert score(made, "yes", expected="yes", inputs={"q": "really?"}) == Score(value=1.0, reason="compared")
    assert score(made, "no", expected="yes", inputs={"a": 1, "b": 2}).value == 0.0
    assert same.asked == [
        ("yes", "yes", {"input": "really?"}),
        ("no", "yes", {"input": {"a": 1, "b": 2}}),
    ]


def test_its_metric_is_a_score_that_may_have_cost_something():
    made = scorer(Same())

    assert (made.metric.name, made.metric.kind, made.metric.range) == ("Same", "score", (0.0, 1.0))
    assert not made.metric.free
    assert scorer(free=True, name="x", threshold=0.5)(Same()).metric.free
    assert scorer(Same(name="tone")).metric.name == "tone"


def test_no_score_is_not_zero(score):
    assert score(scorer(Silent()), "x") == Score(value=None, error="nothing to say")


def test_the_version_is_of_class_and_settings_but_not_of_secrets():
    versions = [
        scorer(each).metric.version
        for each in (
            Same(),
            Silent(),
            Same(model="a"),
            Same(model="b"),
            Same(extra={"max_tokens": 5}),
            Same(api_key="one", extra={"max_tokens": 5, "api_key": "two"}),
            Same(api_key="other", extra={"max_tokens": 5}),
        )
    ]
    assert len(set(versions)) == 5
    assert len(set(versions[-3:])) == 1


def test_only_what_is_known_is_given(score):
    def same(output, expected):
        return output == expected

    async def near(output, expected=None, *, input):  # noqa: A002 - the name in that library
        return {"really?": 0.5}[input]

    assert score(scorer(same), "yes", expected="yes").value == 1.0
    assert score(scorer(near), "yes", inputs={"q": "really?"}).value == 0.5


def test_a_result_out_of_range_and_an_exception_are_named(score):
    def odd(output, expected=None):
        return 7 if expected else {}["none"]

    with pytest.raises(MisuseError, match="'odd' gave 7, outside its range"):
        score(scorer(odd), "x", expected="y")
    with pytest.raises(MisuseError, match="'odd' raised KeyError on the case 'case-1'"):
        score(scorer(odd), "x")
