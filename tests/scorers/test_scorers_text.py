"""Each way to compare an answer holds what it promises, and refuses what it cannot compare."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.calls.exchange import Response
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.text import text_scorer
from pytest_llmops.store.canonical import canonical

TEXT_KINDS = ["exact", "contains", "icontains", "regex"]


def passed(kind, answer, expected):
    case, response = Case(id="c", inputs={}, expected=expected), Response(text=answer, model="m")
    return asyncio.run(text_scorer(kind).score(case, response, None)).value == 1.0


@pytest.mark.parametrize(
    ("kind", "answer", "expected", "right"),
    [
        ("exact", "yes", "yes", True),
        ("exact", "yes\n", "yes", False),
        ("exact", "", "", True),
        ("contains", "it is Paris.", "Paris", True),
        ("contains", "it is paris.", "Paris", False),
        ("icontains", "it is PARIS.", "Paris", True),
        ("icontains", "die STRASSE", "Straße", True),
        ("icontains", "it is Rome.", "Paris", False),
        ("regex", "order 4711 is late", r"\b\d{4}\b", True),
        ("regex", "order 47112 is late", r"\b\d{4}\b", False),
        ("json_equal", '{"a": 1, "b": [true, null]}', {"b": [True, None], "a": 1.0}, True),
        ("json_equal", ' {"a": 1}\n', {"a": 1}, True),
        ("json_equal", '{"a": true}', {"a": 1}, False),
        ("json_equal", '{"a": 1} ', {"a": 1, "b": None}, False),
        ("json_equal", '{"a": 1, "b": null}', {"a": 1}, False),
        ("json_equal", "[1, 2]", [2, 1], False),
        ("json_equal", "[1, 2]", [1], False),
        ("json_equal", '"yes"', "yes", True),
        ("json_equal", "yes", "yes", False),
        ("json_equal", '{"a": 1}{"a": 1}', {"a": 1}, False),
        ("json_equal", '{"a": 2, "a": 1}', {"a": 1}, False),
    ],
)
def test_what_passes(kind, answer, expected, right):
    assert passed(kind, answer, expected) is right


@pytest.mark.parametrize(
    ("kind", "answer", "expected", "reason"),
    [
        ("exact", "no", "yes", "the answer is 'no', not 'yes'"),
        ("contains", "no", "yes", "the answer does not contain 'yes'"),
        ("regex", "no", "y+", "the pattern 'y+' matches nothing in the answer"),
        ("json_equal", '{"a": [1, 2]}', {"a": [1, 3]}, "$.a[1] is 2, not 3"),
        ("json_equal", '{"b": 1}', {"a": 1}, "$.a is missing"),
        ("json_equal", '{"a": 1, "b": 1}', {"a": 1}, "$.b is not expected"),
        ("json_equal", '{"a":\n 1,}', {"a": 1}, "not JSON at line 2, column 4"),
        ("json_equal", '```json\n{"a": 1}\n```', {"a": 1}, "code fence"),
        ("json_equal", "NaN", 1, "not JSON: NaN"),
        ("json_equal", "1e999", 1, "larger than any number"),
        ("json_equal", "[" * 60 + "]" * 60, [], "nested more than 50 levels deep"),
        ("json_equal", "[" * 100_000 + "]" * 100_000, [], "nested too deeply"),
    ],
)
def test_a_miss_says_why(score, kind, answer, expected, reason):
    found = score(text_scorer(kind), answer, expected=expected)

    assert (found.value, found.passed) == (0.0, False)
    assert reason in found.reason


def test_a_long_answer_is_cut_in_the_reason(score):
    assert len(score(text_scorer("exact"), "x" * 10_000, expected="y" * 10_000).reason) < 300


@given(st.text(), st.text())
def test_exact_is_equality(answer, expected):
    assert passed("exact", answer, expected) == (answer == expected)


@given(st.text(alphabet="abA", max_size=6), st.text(alphabet="abA", min_size=1, max_size=3))
def test_contains_is_the_operator_in(answer, expected):
    assert passed("contains", answer, expected) == (expected in answer)
    assert passed("icontains", answer, expected) == (expected.lower() in answer.lower())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-2, 2).map(lambda x: x + 0.0)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(JSON.filter(lambda value: value is not None), JSON)
def test_json_equal_is_equality_of_canonical_json(expected, answer):
    assert passed("json_equal", json.dumps(expected), expected)
    assert passed("json_equal", json.dumps(answer), expected) == (canonical(answer) == canonical(expected))


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_value_stands_for_all_cases(score, kind):
    scorer = text_scorer(kind, value="yes")

    assert score(scorer, "yes", expected="no").passed
    assert not score(scorer, "no", expected="no").passed


@pytest.mark.parametrize("kind", [*TEXT_KINDS, "json_equal"])
def test_a_case_that_expects_nothing_is_named(score, kind):
    with pytest.raises(MisuseError, match="'case-1' expects for the metric 'm' is missing: add `expected`"):
        score(text_scorer(kind, name="m"), "yes")


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_case_that_expects_no_text_is_named(score, kind):
    with pytest.raises(MisuseError, match=r"'case-1' expects .* is \{\"a\":1\}, which is not text"):
        score(text_scorer(kind), "yes", expected={"a": 1})


@pytest.mark.parametrize("kind", ["contains", "icontains"])
def test_an_empty_text_is_refused(kind):
    with pytest.raises(MisuseError, match="every answer contains"):
        text_scorer(kind, value="")


def test_a_bad_pattern_is_refused_early_and_in_a_case(score):
    with pytest.raises(MisuseError, match=r"The value of the metric 'regex' is '\(', which is not a pattern"):
        text_scorer("regex", value="(")
    with pytest.raises(MisuseError, match=r"'case-1' .* not a pattern"):
        score(text_scorer("regex"), "yes", expected="[a")


@pytest.mark.parametrize(
    ("kind", "answer", "expected", "reason"),
    [
        ("contains_all", "one two", ["two", "one"], ""),
        ("contains-all", "one two", ["three", "one", "four"], "does not contain 'three', 'four'"),
        ("contains_any", "one two", ["three", "one"], ""),
        ("contains_any", "one two", ["One", "four"], "contains none of 'One', 'four'"),
        ("icontains_all", "ONE Straße", ["one", "STRASSE"], ""),
        ("icontains_all", "ONE", ["one", "TWO"], "does not contain 'two'"),
        ("icontains-any", "ONE", ["x", "one"], ""),
        ("icontains_any", "ONE", ["x"], "contains none of 'x'"),
        ("starts_with", "Dear you", "Dear", ""),
        ("starts-with", "dear you", "Dear", "starts with 'dear', not with 'Dear'"),
        ("starts_with", "", "Dear", "starts with '', not with 'Dear'"),
    ],
)
def test_lists_and_starts(score, kind, answer, expected, reason):
    found = score(text_scorer(kind), answer, expected=expected)

    assert found.passed is (not reason)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("contains_all", "one", "not a list of texts"),
        ("contains_any", [], "not a list of texts"),
        ("icontains_all", ["one", ""], "at place 2, is an empty text, which every answer contains"),
        ("icontains_any", [1], "at place 1, is 1, which is not text"),
        ("starts_with", "", "is an empty text"),
    ],
)
def test_what_every_answer_holds_is_refused(kind, value, words):
    with pytest.raises(MisuseError, match=words):
        text_scorer(kind, value=value)


@pytest.mark.parametrize(
    ("kind", "option", "owner"),
    [("exact", {"tolerance": 1}, "'number'"), ("number", {"ignore": ["$.a"]}, "'json_equal'")],
)
def test_an_option_of_another_metric_is_refused(kind, option, owner):
    with pytest.raises(MisuseError, match=f"'{kind}' takes no {next(iter(option))}; {owner} does"):
        text_scorer(kind, **option)


def test_versions_of_before_stay():
    # Stored runs know them.
    assert text_scorer("exact").metric.version == "a512ac0b1fa7"
    assert text_scorer("icontains", value="yes").metric.version == "980b8217d01e"


def test_an_unknown_kind_is_refused():
    with pytest.raises(MisuseError, match="Did you mean 'contains'"):
        text_scorer("contain")


def test_the_version_changes_with_what_is_compared_and_not_with_the_name():
    scorers = [
        text_scorer("exact"),
        text_scorer("contains"),
        text_scorer("contains", value="a"),
        text_scorer("contains", value="b"),
    ]

    assert len({scorer.metric.version for scorer in scorers}) == 4
    assert text_scorer("exact", name="other", required=True).metric.version == scorers[0].metric.version
    assert text_scorer("exact", name="other", required=True).metric.required
