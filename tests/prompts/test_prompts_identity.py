from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.prompts.prompt import Prompt

FULL = """\
# A comment.
name: triage
description: Sorts tickets.
model: openai:some-model
modelParameters:
  temperature: 0
  maxTokens: 64
messages:
  - role: system
    content: |
      You sort tickets.
      Answer in JSON: {% raw %}{"team": "..."}{% endraw %}
  - role: user
    content: "{{ text }}"
responseFormat: json_schema
jsonSchema:
  type: object
tools:
  - type: function
    function: {name: look_up}
testData:
  - input: x
evaluators:
  - name: y
"""
SAME_FOLDER = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(folder: Path, text: str | bytes, name: str = "triage.prompt.yml") -> Prompt:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_prompt(path)


@pytest.mark.parametrize(
    "text",
    [
        FULL.replace("# A comment.\n", "# Another.\n\n"),
        FULL.replace("\n", "\r\n"),
        "\ufeff" + FULL,
        FULL.replace("Sorts tickets.", "Sorts other tickets."),
        FULL.replace("temperature: 0", "temperature: 0.0"),
        FULL.replace("maxTokens", "max_tokens"),
        FULL.replace("testData:\n  - input: x\n", ""),
        FULL.replace('"{{ text }}"', "'{{ text }}'"),
        FULL.replace("\n  type: object\n", ' |\n  {"type": "object"}\n'),
        FULL.replace("\n  type: object\n", "\n  name: triage\n  schema: {type: object}\n"),
    ],
    ids=[
        "comment",
        "crlf",
        "bom",
        "description",
        "number",
        "spelling",
        "test data",
        "quotes",
        "schema text",
        "schema in its wrapper",
    ],
)
def test_layout_makes_no_version(tmp_path: Path, text: str) -> None:
    assert text != FULL
    assert read(tmp_path, text).digest == read(tmp_path, FULL).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("You sort tickets.", "You sort tickets!"),
        ("role: system", "role: developer"),
        ("some-model", "other-model"),
        ("temperature: 0", "temperature: 0.1"),
        ("maxTokens: 64", "maxCompletionTokens: 64"),
        ("look_up", "look_down"),
        ("type: object\n", "type: array\n"),
        ("jsonSchema:\n  type: object\n", "jsonSchema:\n  name: x\n  schema: {type: object}\n"),
    ],
)
def test_each_part_of_the_content_makes_a_version(tmp_path: Path, old: str, new: str) -> None:
    assert read(tmp_path, FULL.replace(old, new, 1)).digest != read(tmp_path, FULL).digest


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
CONTENT = st.text(st.characters(exclude_characters="{}#\r", exclude_categories=["Cs"]), max_size=30)
PROMPTS = st.fixed_dictionaries(
    {
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": CONTENT}),
            min_size=1,
            max_size=3,
        ),
    },
    optional={
        "model": st.sampled_from(["m", "openai:m", "local:m"]),
        "modelParameters": st.dictionaries(st.sampled_from(["seed", "stop", "user"]), JSON, max_size=3),
        "tools": st.lists(st.dictionaries(st.text(max_size=4), JSON, max_size=2), max_size=2),
        "description": st.text(max_size=5),
    },
)


def shuffled(value: Any, source: random.Random) -> Any:
    if isinstance(value, dict):
        keys = source.sample(list(value), len(value))
        return {key: shuffled(value[key], source) for key in keys}
    return [shuffled(item, source) for item in value] if isinstance(value, list) else value


def content(fields: dict[str, Any]) -> tuple[object, ...]:
    return (
        fields["messages"],
        fields.get("model"),
        fields.get("modelParameters") or {},
        fields.get("tools") or [],
    )


@SAME_FOLDER
@given(fields=PROMPTS, flow=st.booleans(), source=st.randoms(use_true_random=False))
def test_the_order_of_keys_and_the_style_make_no_version(
    tmp_path: Path, fields: dict[str, Any], flow: bool, source: random.Random
) -> None:
    plain = read(tmp_path, yaml.safe_dump(fields, sort_keys=False))
    other = yaml.safe_dump(shuffled(fields, source), sort_keys=False, default_flow_style=flow)
    assert read(tmp_path, other).digest == plain.digest
    assert list(plain.messages) == fields["messages"]
    assert plain.parameters == (fields.get("modelParameters") or {})


@SAME_FOLDER
@given(first=PROMPTS, second=PROMPTS)
def test_digests_are_equal_where_contents_are(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any]
) -> None:
    digests = [read(tmp_path, yaml.safe_dump(fields)).digest for fields in (first, second)]
    # repr tells True from 1, as JSON does and == does not.
    same = repr(shuffled_by_key(content(first))) == repr(shuffled_by_key(content(second)))
    assert (digests[0] == digests[1]) == same


def shuffled_by_key(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled_by_key(value[key]) for key in sorted(value)}
    return [shuffled_by_key(item) for item in value] if isinstance(value, list | tuple) else value


@SAME_FOLDER
@given(fields=PROMPTS)
def test_a_prompt_survives_json(tmp_path: Path, fields: dict[str, Any]) -> None:
    prompt = read(tmp_path, yaml.safe_dump(fields))
    again = Prompt.from_json(prompt.to_json(), source=prompt.source)
    assert again == prompt
    assert again.digest == prompt.digest
