"""An answer passes a schema only where it is one JSON value that the schema allows."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.schema import SchemaScorer, read_schema, schema_of_model

TEAM = {
    "type": "object",
    "properties": {"team": {"enum": ["billing", "shipping"]}, "urgent": {"type": "boolean"}},
    "required": ["team"],
    "additionalProperties": False,
}
TREE = {"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": False}


def nested(levels):
    return '{"child":' * levels + "{}" + "}" * levels


@pytest.mark.parametrize(
    ("schema", "answer", "reason"),
    [
        (TEAM, '{"team": "billing"}', ""),
        (TEAM, ' {"team": "billing", "urgent": true}\n', ""),
        (TEAM, '{"team": "sales"}', "$.team: 'sales' is not one of ['billing', 'shipping']"),
        (TEAM, "{}", "$: 'team' is a required property"),
        (TEAM, '{"team": "billing", "x": 1}', "'x' was unexpected"),
        (TEAM, '{"team": "billing", "urgent": 1}', "$.urgent: 1 is not of type 'boolean'"),
        (
            TEAM,
            '```json\n{"team": "billing"}\n```',
            "line 1, column 1: Expecting value; the answer stands in a code",
        ),
        (TEAM, '{"team": "billing"} {"team": "billing"}', "not JSON at line 1, column 21: Extra data"),
        (TEAM, 'Sure: {"team": "billing"}', "not JSON at line 1, column 1"),
        (TEAM, '{"team": "billing", "team": "shipping"}', "the key 'team' stands twice"),
        (TEAM, "", "not JSON at line 1, column 1"),
        ({"minimum": 0}, "NaN", "NaN is not JSON"),
        ({"minimum": 0}, "1e999", "larger than any number"),
        ({"multipleOf": 0.5}, "1" + "0" * 400, "too large"),
        (
            {"items": {"type": "integer"}},
            '[1, "a", 2, null]',
            "$[1]: 'a' is not of type 'integer'; $[3]: None",
        ),
        (
            {"anyOf": [{"type": "string"}, {"minimum": 3}]},
            "2",
            "$: fits none of the alternatives: 2 is not of type 'string' / 2 is less than the minimum of 3",
        ),
        ({"format": "date"}, '"2024-02-30"', "is not a 'date'"),
        ({"format": "date"}, '"2024-02-29"', ""),
        ({"format": "ipv4"}, '"1.2.3.256"', "is not a 'ipv4'"),
        ({"prefixItems": [{"type": "integer"}]}, '["a"]', "$[0]"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "integer"}]},
            '["a"]',
            "$[0]",
        ),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "prefixItems": [False]}, '["a"]', ""),
        (TREE, nested(20), ""),
        (TREE, nested(80), "nested more than 50 levels deep"),
        ({}, "[" * 100_000, "not JSON"),
    ],
)
def test_what_passes_and_why_not(score, schema, answer, reason):
    found = score(SchemaScorer(schema), answer)

    assert found.passed is not bool(reason)
    assert reason in found.reason
    assert bool(found.reason) == bool(reason)


def test_violations_are_listed_to_a_readable_length(score):
    reason = score(SchemaScorer({"items": {"enum": ["x" * 900]}}), json.dumps(list(range(27)))).reason

    assert re.findall(r"\$\[\d+\]", reason) == [f"$[{index}]" for index in range(20)]
    assert reason.endswith("; and 7 more")
    assert len(reason) < 20 * 190


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "obj"}, r"\$\.type: fits none of the alternatives: 'obj' is not one of \['array'"),
        ({"properties": {"a": {"type": 3}}}, r"\$\.properties\.a\.type"),
        ({"pattern": "("}, r"\$\.pattern"),
        ({"minimum": "x"}, r"\$\.minimum"),
        ({"items": [{"type": "integer"}]}, r"\$\.items"),
    ],
)
def test_a_bad_schema_is_refused_with_its_place(schema, path):
    with pytest.raises(MisuseError, match=rf"The schema of a/b.json is not a schema at {path}"):
        SchemaScorer(schema, source="a/b.json")


@pytest.mark.parametrize("name", ["http://127.0.0.1/none", "draft-07", 7])
def test_an_unknown_draft_is_refused(name):
    with pytest.raises(MisuseError, match=r"names the draft .* which is not known"):
        SchemaScorer({"$schema": name})


def test_a_schema_that_is_nested_too_deeply_is_refused():
    schema = {}
    for _ in range(500):
        schema = {"not": schema}

    with pytest.raises(MisuseError, match="nested too deeply"):
        SchemaScorer(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"allOf": [{"anyOf": [{"$ref": "#"}]}]},
        {"if": {"not": {"$ref": "#"}}},
        {"dependentSchemas": {"a": {"$ref": "#"}}},
    ],
)
def test_a_circle_is_the_schemas_fault(schema):
    with pytest.raises(MisuseError, match=r"a/b.json refers to itself without end, by the \$ref '#"):
        SchemaScorer(schema, source="a/b.json")


@pytest.mark.parametrize(
    "ref", ["#/$defs/none", "#none", "other.json", "#/allOf/x", "#/allOf/9", "http://[", "\ud800", "#/\ud800"]
)
def test_a_reference_that_leads_nowhere_is_refused(ref):
    with pytest.raises(MisuseError, match="refers to what it does not hold"):
        SchemaScorer({"allOf": [{"properties": {"a": {"$ref": ref}}}]})


@pytest.mark.parametrize("ref", ["#/title", "#/required", "#/x-more/number"])
def test_a_reference_to_what_is_no_schema_is_refused(ref):
    with pytest.raises(MisuseError, match="is no schema but"):
        SchemaScorer(
            {"title": "t", "required": ["a"], "x-more": {"number": 1}, "properties": {"a": {"$ref": ref}}}
        )


def test_a_schema_outside_of_the_keywords_is_checked_where_a_reference_leads_there(score):
    schema = {"x-more": {"type": "integer"}, "items": {"$ref": "#/x-more"}}

    assert score(SchemaScorer(schema), '["a"]').reason == "$[0]: 'a' is not of type 'integer'"
    schema["x-more"]["type"] = "int"
    with pytest.raises(MisuseError, match=r"not a schema at \$\.type: fits none .*'int'"):
        SchemaScorer(schema)


def test_a_schema_of_the_drafts_themselves_needs_no_network(score):
    scorer = SchemaScorer({"$ref": "https://json-schema.org/draft/2020-12/schema"})

    assert score(scorer, '{"type": "string"}').passed
    assert not score(scorer, '{"type": "strin"}').passed


@pytest.fixture
def server():
    """Serve a schema that allows all, and count who asks."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}", asked
        httpd.shutdown()
        thread.join()


def test_a_remote_reference_is_never_fetched(server):
    address, asked = server

    with pytest.raises(MisuseError, match="never fetched"):
        SchemaScorer({"$ref": f"{address}/x.json"})
    with pytest.raises(MisuseError):
        SchemaScorer({"$schema": f"{address}/draft.json"})
    assert asked == []


def test_the_version_follows_the_schema_and_what_is_read():
    scorer, other = SchemaScorer(TEAM), SchemaScorer({**TEAM, "title": "x"})
    assert SchemaScorer(TEAM, fenced=True).metric.version != scorer.metric.version
    turned = SchemaScorer(dict(reversed(TEAM.items())), name="form", required=True, source="x")

    assert scorer.metric.version != other.metric.version
    assert scorer.metric.version == turned.metric.version
    assert (turned.metric.name, turned.metric.required) == ("form", True)


def test_a_schema_file_is_read(tmp_path):
    path = tmp_path / "a.schema.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(TEAM).encode())

    assert read_schema(path) == TEAM


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"type":\n "object",}', "a.json is not JSON at line 2, column 11"),
        (b"[1]", "a.json is a list; a schema here is a JSON object"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b"\xff\xfe{}", "is not UTF-8"),
        (b"", "is empty"),
        (None, "cannot be read"),
    ],
)
def test_a_schema_file_that_is_wrong_is_named(tmp_path, data, message):
    path = tmp_path / "a.json"
    if data is not None:
        path.write_bytes(data)

    with pytest.raises(MisuseError, match=message):
        read_schema(path)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('```json\n{"team": "billing"}\n```', ""),
        ('```\n{"team": "billing"}\n```', ""),
        (' \n```json\r\n{\r\n"team": "billing"}\r\n```\n\n', ""),
        ('{"team": "billing"}', ""),
        ('```json\n{"team": "sales"}\n```', "$.team: 'sales' is not one of"),
        ('```json\n{"team": billing}\n```', "not JSON at line 2, column 10"),
        ('Sure:\n```json\n{"team": "billing"}\n```', "line 1, column 1"),
        ('```json\n{"team": "billing"}\n```\nDone.', "line 1, column 1"),
        ('```json\n{"team": "billing"}', "line 1, column 1"),
        ('```json {"team": "billing"} ```', "line 1, column 1"),
        ('```yaml\n{"team": "billing"}\n```', "line 1, column 1"),
        ('```\n{"team": "billing"}\n```\n```\n{"team": "billing"}\n```', "line 3, column 1: Extra data"),
        ("```\n```", "not JSON"),
        ("```", "not JSON"),
        ('\ufeff```json\n{"team": "billing"}\n```', "not JSON"),
    ],
)
def test_one_fenced_block_is_read_where_fences_are_allowed(score, answer, reason):
    found = score(SchemaScorer(TEAM, fenced=True), answer)

    assert found.passed is not bool(reason)
    assert reason in found.reason
    assert "ask the model for bare JSON" not in found.reason


def test_alternatives_say_where_inside_each_fails(score):
    schema = {"items": {"anyOf": [{"type": "string"}, {"properties": {"a": {"type": "integer"}}}]}}

    reason = score(SchemaScorer(schema), '[{"a": "b"}]').reason

    assert (
        "$[0]: fits none of the alternatives: {'a': 'b'} is not of type 'string' / $[0].a: 'b' is not"
        in reason
    )


def test_a_models_schema_is_what_pydantic_says():
    pydantic = pytest.importorskip("pydantic")

    class Ticket(pydantic.BaseModel):
        team: str

    class Odd(pydantic.BaseModel):
        call: Callable[[], int]

    assert schema_of_model(Ticket) == Ticket.model_json_schema()
    with pytest.raises(MisuseError, match=r"Odd has no JSON Schema: Cannot generate"):
        schema_of_model(Odd)


def test_violations_come_in_the_order_of_their_places(score):
    answer = {"list": list("abcdefghijkl"), **dict.fromkeys("qwertyuiopas", "x")}
    schema = {
        "additionalProperties": {"type": "integer"},
        "properties": {"list": {"items": {"type": "null"}}},
    }

    reason = score(SchemaScorer(schema), json.dumps(answer)).reason

    places = [each.partition(":")[0] for each in reason.split("; ")[:-1]]
    assert places == [f"$.{key}" for key in "aei"] + [f"$.list[{i}]" for i in range(12)] + [
        f"$.{key}" for key in "opqrs"
    ]
