"""An answer passes a schema only where it is one JSON value that the schema allows."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.schema import SchemaScorer, read_schema

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
    reason = score(SchemaScorer({"items": {"enum": ["x" * 900]}}), json.dumps(list(range(12)))).reason

    assert reason.count("$[") == 5
    assert reason.endswith("; and 7 more")
    assert len(reason) < 5 * 190


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
    ],
)
def test_a_circle_is_the_schemas_fault(score, schema):
    with pytest.raises(MisuseError, match=r"refers to itself without end \(seen at case 'case-1'\)"):
        score(SchemaScorer(schema), '{"a": 1}')


@pytest.mark.parametrize("ref", ["#/$defs/none", "#none", "other.json", "file:///etc/hostname"])
def test_a_reference_that_leads_nowhere_is_refused(score, ref):
    with pytest.raises(MisuseError, match="refers to what it does not hold"):
        score(SchemaScorer({"$ref": ref}), "1")


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


def test_a_remote_reference_is_never_fetched(score, server):
    address, asked = server

    with pytest.raises(MisuseError, match="never fetched"):
        score(SchemaScorer({"$ref": f"{address}/x.json"}), "1")
    with pytest.raises(MisuseError):
        SchemaScorer({"$schema": f"{address}/draft.json"})
    assert asked == []


def test_the_version_follows_the_schema_alone():
    scorer, other = SchemaScorer(TEAM), SchemaScorer({**TEAM, "title": "x"})
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
