"""A schema of anyone's, and an answer of any model's, are checked without network, files or endless work."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.patterns import found, is_plain
from pytest_llmops.scorers.schema import SchemaScorer

EVIL = {
    r"^(x+)+$": "x" * 60 + "!",
    r"^(x|x)*$": "x" * 60 + "!",
    r"^(x|xx)+$": "x" * 90 + "!",
    r"^([a-z]+)*[0-9]$": "q" * 60,
    r"^(\w+\s?)*$": "word " * 20 + "!",
    r"^(.*,){12}z": "1," * 60,
    r"(x*)*y": "x" * 60,
    r"^((ab)*)*c$": "ab" * 40,
    r"^(\d+)*-$": "7" * 60,
    r"^([\w.-]+)+@([\w-]+[.])+$": "m" * 60,
    r"(.+)+(.+)+(.+)+=": "k" * 60,
    r"^(x*x*)*$": "x" * 60 + "!",
    r"^(?=(x+)+$)": "x" * 60 + "!",
    r"^(x+)+\1$": "x" * 60 + "!",
}
"""Patterns on which backtracking takes for ever, each with a text that it has to try all ways on."""

NO_LINEAR_WAY = {r"^(?=(x+)+$)": "look-around", r"^(x+)+\1$": "back-reference"}

CHECK = """
import asyncio, json, sys
from pytest_llmops.calls.exchange import Response
from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.schema import SchemaScorer

seen = []
def audit(event, arguments):
    mode = arguments[1] if event == "open" and len(arguments) > 1 else None
    if event.startswith(("socket.", "urllib.")) or (event == "open" and "llmops-bait" in str(arguments[0])):
        seen.append(event)
sys.addaudithook(audit)
told = []
for schema, answer in json.load(sys.stdin):
    try:
        scorer = SchemaScorer(schema)
        score = asyncio.run(scorer.score(Case(id="a", inputs={}), Response(text=answer, model="m"), None))
        told.append(score.passed)
    except MisuseError as error:
        told.append(str(error))
print(json.dumps([told, seen]))
"""

HARD_LIMIT = 60
"""Seconds after which the child is killed: any one of these patterns would take longer with backtracking."""


def checked(pairs):
    """Return what a child process says of schemas and answers; it is killed where it does not end."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        input=json.dumps(pairs),
        capture_output=True,
        text=True,
        timeout=HARD_LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "place", ["pattern", "patternProperties", "additionalProperties", "propertyNames", "root"]
)
def test_evil_patterns_come_to_an_end(place):
    def pair(pattern, text):
        match place:
            case "pattern":
                return {"pattern": pattern}, json.dumps(text)
            case "patternProperties":
                return {"patternProperties": {pattern: False}, "minProperties": 2}, json.dumps({text: 1})
            case "additionalProperties":
                schema = {"patternProperties": {pattern: True}, "additionalProperties": False}
                return schema, json.dumps({text: 1})
            case "propertyNames":
                return {"propertyNames": {"pattern": pattern}}, json.dumps({text: 1})
        draft = "https://json-schema.org/draft/2020-12/schema"
        schema = {"$schema": draft, "pattern": pattern, "items": {"$ref": "#"}}
        return schema, json.dumps([text])

    told, _ = checked([pair(pattern, text) for pattern, text in EVIL.items()])

    for pattern, said in zip(EVIL, told, strict=True):
        if pattern in NO_LINEAR_WAY:
            assert NO_LINEAR_WAY[pattern] in said
            assert pattern in said or repr(pattern) in said
        else:
            assert said is False, pattern


def test_evil_patterns_beside_unevaluated_properties_are_refused():
    schemas = [{"patternProperties": {pattern: True}, "unevaluatedProperties": False} for pattern in EVIL]

    told, _ = checked(
        [(schema, json.dumps({text: 1})) for schema, text in zip(schemas, EVIL.values(), strict=True)]
    )

    assert all("unevaluatedProperties" in said or "can take for ever" in said for said in told), told
    with pytest.raises(MisuseError, match="one draft must hold for the whole document"):
        SchemaScorer(
            {
                "$defs": {"a": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^(x+)+$"}},
                "items": {"$ref": "#/$defs/a"},
            }
        )


def test_no_reference_opens_a_file_or_a_connection(tmp_path):
    bait = tmp_path / "llmops-bait.json"
    bait.write_text("{}")
    refs = [
        "http://127.0.0.1:9/x.json",
        "https://example.com/x.json#/$defs/a",
        f"file://{bait}",
        bait.as_uri(),
        str(bait),
        "ftp://127.0.0.1/llmops-bait.json",
        "llmops-bait.json",
        "urn:llmops-bait",
        "data:application/json,{}",
    ]
    keywords = ["$ref", "$dynamicRef", "$schema", "$recursiveRef"]

    told, seen = checked([({keyword: ref}, "{}") for keyword in keywords for ref in refs])

    # The event loop of the child makes sockets of its own, and connects none of them.
    assert set(seen) <= {"socket.__new__"}
    # Draft 2020-12 has no $recursiveRef: an unknown keyword allows all.
    assert told[-len(refs) :] == [True] * len(refs)
    assert all(isinstance(said, str) for said in told[: -len(refs)])


def test_hostile_answers_are_told_not_raised(score):
    anything = SchemaScorer({"properties": {"a": {"multipleOf": 0.1, "pattern": "^.$", "format": "regex"}}})
    told = {
        '{"a": 1, "a": 2}': "stands twice",
        '{"a": NaN}': "NaN is not JSON",
        '{"a": -Infinity}': "-Infinity is not JSON",
        '{"a": 1e400}': "larger than any number",
        '\ufeff{"a": 1}': "not JSON",
        '{"a": ' + "9" * 5000 + "}": "not JSON",
        '{"a": ' + "9" * 400 + "}": "too large",
        "[" * 100_000 + "]" * 100_000: "nested",
        '{"a":' * 100_000 + "1" + "}" * 100_000: "nested",
        '{"a": "' + "(" * 5000 + '"}': "is not a 'regex'",
        '{"a": "x{99999999999999999999}"}': "is not a 'regex'",
        '{"a": "\\ud800\\ud800"}': "$.a: '\\ud800\\ud800' does not match '^.$'",
    }

    for answer, reason in told.items():
        found = score(anything, answer)
        assert found.passed is False, answer[:40]
        assert reason in found.reason, answer[:40]
    assert score(anything, '{"a": "\\ud800"}').passed


def test_a_circle_that_only_shows_with_a_value_is_the_schemas_fault(score):
    scorer = SchemaScorer({"$dynamicAnchor": "all", "anyOf": [{"$dynamicRef": "#all"}]})

    with pytest.raises(MisuseError, match="refers to itself without end"):
        score(scorer, "1")


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"^\d$", "7", True),
        (r"^\d$", "\u0967", False),
        (r"^\w$", "\u00e9", False),
        ("^a$", "a\n", False),
        (r"^\u00e9$", "\u00e9", True),
        (r"^\u{1f600}$", "\U0001f600", True),
        (r"^\\u00e9$", "\\u00e9", True),
        (r"^\cJ$", "\n", True),
        (r"^a\/b$", "a/b", True),
        (r"^\p{L}+$", "\u00e9a", True),
        ("^.$", "\U0001f600", True),
        ("b", "abc", True),
        (r"^\s$", "\u00a0", True),
        (r"^\s$", "\ufeff", True),
        (r"^\S$", "\u2003", False),
        (r"^[a\s]+$", "a\u2028", True),
        (r"^[\s\S]+$", "a\u2028\n", True),
        (r"^\\s\[\s$", "\\s[ ", True),
    ],
)
def test_patterns_mean_what_json_schema_says(score, pattern, text, matches):
    assert score(SchemaScorer({"pattern": pattern}), json.dumps(text)).passed is matches
    keys = {"patternProperties": {pattern: {}}, "additionalProperties": False}
    assert score(SchemaScorer(keys), json.dumps({text: 1})).passed is matches


def test_additional_properties_are_held_against_patterns(score):
    schema = {"patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": {"type": "string"}}
    closed = {**schema, "properties": {"a": {}}, "additionalProperties": False}

    assert score(SchemaScorer(schema), '{"x-a": 1, "b": "c"}').passed
    assert score(SchemaScorer(schema), '{"x-a": "1", "c": 1, "b": 1}').reason.count("is not of type") == 3
    assert score(SchemaScorer(closed), '{"a": 1, "x-a": 1}').passed
    reason = score(SchemaScorer(closed), '{"c": 1, "b": 1}').reason
    assert reason == "$: 'b', 'c' not expected, matching none of the patterns: '^x-'"
    plain = {"patternProperties": {"^x-": {}}, "properties": {"a": {}}, "unevaluatedProperties": False}
    assert score(SchemaScorer(plain), '{"a": 1, "x-a": 1}').passed
    assert not score(SchemaScorer(plain), '{"ax-": 1}').passed


@given(
    st.text("ab-1_.", max_size=5),
    st.sampled_from(["", "^"]),
    st.sampled_from(["", "*", "+"]),
    st.text("ab-1_.\n"),
)
def test_what_is_plain_means_the_same_to_re(body, start, end, text):
    pattern = start + re.escape(body) + (end if body else "")

    assert is_plain(pattern)
    assert found(pattern, text) is bool(re.search(pattern, text))


@pytest.mark.parametrize("pattern", [*EVIL, "a+b", "a?", "(a)", "a|b", "^a$", ".*", r"\d", "[^a]", "a**"])
def test_what_is_not_plain(pattern):
    assert not is_plain(pattern)


def test_a_key_that_is_no_pattern_is_refused_in_every_draft():
    for draft in ("04", "06", "07"):
        schema = {
            "$schema": f"http://json-schema.org/draft-{draft}/schema#",
            "patternProperties": {"(?=a)": {}},
        }
        with pytest.raises(MisuseError, match="look-around"):
            SchemaScorer(schema)
