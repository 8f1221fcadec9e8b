"""A tool call counts only where the prompt's tools allow it, and where it is the one that was expected."""

from __future__ import annotations

import pytest

from pytest_llmops.calls.exchange import Response
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.tool_calls import ToolCallsScorer


def tool(name, **parameters):
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", **parameters}}}


WEATHER = tool(
    "weather",
    properties={"city": {"type": "string"}, "days": {"type": "integer", "maximum": 7}},
    required=["city"],
    additionalProperties=False,
)
NOW = {"type": "function", "function": {"name": "now"}}
PARIS = {"name": "weather", "arguments": {"city": "Paris", "days": 2}}


def prompt(*tools):
    return Prompt(name="help", messages=({"role": "user", "content": "x"},), tools=tools)


def call(name, arguments):
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(*calls):
    return Response(text="", model="m", tool_calls=calls)


def scorer(**more):
    return ToolCallsScorer(prompt(WEATHER, NOW), **more)


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ([], ""),
        ([call("weather", '{"city": "Paris"}')], ""),
        ([call("weather", {"city": "Paris"})], ""),
        ([call("now", "{}"), call("weather", '{"city": "Rome", "days": 7}')], ""),
        (
            [call("wether", '{"city": "Paris"}')],
            "call 1 names the tool 'wether', which the prompt does not have",
        ),
        ([call("weather", "{}")], "'weather' (call 1) $: 'city' is a required property"),
        ([call("now", "{}"), call("weather", '{"city": 1}')], "'weather' (call 2) $.city: 1 is not of type"),
        (
            [call("weather", '{"city": 1, "days": 9}')],
            "$.city: 1 is not of type 'string'; 'weather' (call 1) $.days: 9 is greater",
        ),
        (
            [call("weather", '{"city": "Paris",}')],
            "the arguments of 'weather' (call 1) are not JSON at line 1",
        ),
        ([call("weather", '{"city": "a", "city": "b"}')], "stands twice"),
        ([call("now", "")], "not JSON"),
        ([call("now", "[]")], "$: [] is no object of arguments"),
        ([call("now", None)], "$: null is no object of arguments"),
        ([{"id": "c1", "type": "custom", "custom": {"name": "now"}}], "call 1 is no call of a function"),
        ([{"function": {"name": 3}}], "call 1 is no call of a function"),
    ],
)
def test_each_call_must_be_one_that_the_tools_allow(score, calls, reason):
    found = score(scorer(), answer(*calls))

    assert found.passed is not bool(reason)
    assert reason in found.reason


def test_arguments_nested_without_end_are_told(score):
    deep = {}
    for _ in range(5000):
        deep = {"a": deep}

    found = score(scorer(), answer(call("now", deep), call("now", '{"a":' * 9999 + "1" + "}" * 9999)))

    assert found.reason.count("nested") == 2


@pytest.mark.parametrize(
    ("expected", "calls", "reason"),
    [
        (PARIS, [call("weather", '{"days": 2.0, "city": "Paris"}')], ""),
        ([PARIS], [call("weather", {"city": "Paris", "days": 2})], ""),
        ({"name": "weather"}, [call("weather", '{"city": "Rome"}')], ""),
        (PARIS, [], "the calls are none, not 'weather'"),
        (PARIS, [call("now", "{}")], "call 1 is 'now', not 'weather'"),
        (
            PARIS,
            [call("weather", '{"city": "Paris"}')],
            'call 1 has the arguments {"city":"Paris"}, not {"city":"Paris","days":2}',
        ),
        (
            [PARIS, {"name": "now"}],
            [call("weather", PARIS["arguments"])],
            "are 'weather', not 'weather', 'now'",
        ),
        (
            [{"name": "now"}, PARIS],
            [call("weather", PARIS["arguments"]), call("now", "{}")],
            "call 2 is 'now'",
        ),
        ([], [], ""),
        ([], [call("now", "{}")], "the calls are 'now', not none"),
    ],
)
def test_expected_calls_are_compared_in_order(score, expected, calls, reason):
    by_value = score(scorer(value=expected), answer(*calls))
    by_case = score(scorer(), answer(*calls), expected={"tool_calls": expected})

    assert by_value == by_case
    assert by_value.passed is not bool(reason)
    assert reason in by_value.reason


def test_a_case_that_expects_something_else_expects_no_calls(score):
    for expected in (None, "yes", {"team": "billing"}, {"tool_calls": None}):
        assert score(scorer(), answer(call("now", "{}")), expected=expected).passed


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (
            {"name": "wether"},
            "names the tool 'wether', which the prompt does not have. Did you mean 'weather'?",
        ),
        ({"name": "weather", "arguments": {"town": "Paris"}}, "does not allow these arguments: \\$: "),
        ({"name": "weather", "arguments": "{}"}, "no object of arguments"),
        ({"name": "weather", "args": {}}, "no mapping of `name`"),
        ("weather", "write a call, or a list of calls"),
        ([["weather"]], "no mapping of `name`"),
    ],
)
def test_what_no_answer_could_meet_is_refused_before_any_call(expected, message):
    with pytest.raises(MisuseError, match=f"The value of 'tool_calls'.*{message}"):
        scorer(value=expected)
    with pytest.raises(MisuseError, match=f"`expected.tool_calls` of the case 'c-1'.*{message}"):
        scorer(cases=[Case(id="c-1", inputs={}, expected={"tool_calls": expected})])


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ([], "needs a prompt with tools; 'help' has none"),
        ([{"type": "function"}], "no function with a name"),
        ([{"type": "custom", "custom": {"name": "x"}}], "no function with a name"),
        ([NOW, NOW], "Two tools .* have the name 'now'"),
        ([{"function": {"name": "a", "parameters": []}}], "'a' .* are no JSON Schema"),
        (
            [tool("a", properties={"b": {"type": "txt"}})],
            "the tool 'a' of the prompt 'help' is not a schema at",
        ),
        ([tool("a", properties={"b": {"$ref": "http://127.0.0.1:9/"}})], "never fetched"),
    ],
)
def test_tools_that_cannot_be_checked_are_refused(tools, message):
    with pytest.raises(MisuseError, match=message):
        ToolCallsScorer(prompt(*tools))


def test_the_version_follows_tools_and_expected_calls():
    made = [
        scorer(),
        scorer(value=PARIS),
        scorer(value=[]),
        ToolCallsScorer(prompt(WEATHER)),
    ]

    assert len({each.metric.version for each in made}) == 4
    assert scorer(name="calls", required=True).metric.version == made[0].metric.version
