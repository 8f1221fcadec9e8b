from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llmops.errors import MisuseError
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
MESSAGE = "messages:\n- role: user\n  content: x\n"


def read(folder: Path, text: str | bytes, name: str = "triage.prompt.yml") -> Prompt:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_prompt(path)


def refusal(folder: Path, text: str | bytes, name: str = "triage.prompt.yml") -> str:
    with pytest.raises(MisuseError) as caught:
        read(folder, text, name)
    return str(caught.value).removeprefix(str(folder / name))


def test_a_full_file_gives_a_prompt_in_the_names_of_the_api(tmp_path: Path) -> None:
    assert read(tmp_path, FULL) == Prompt(
        name="triage",
        description="Sorts tickets.",
        model="openai:some-model",
        parameters={"temperature": 0, "max_tokens": 64},
        messages=(
            {
                "role": "system",
                "content": 'You sort tickets.\nAnswer in JSON: {% raw %}{"team": "..."}{% endraw %}\n',
            },
            {"role": "user", "content": "{{ text }}"},
        ),
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "triage", "schema": {"type": "object"}},
        },
        tools=({"type": "function", "function": {"name": "look_up"}},),
        source=str(tmp_path / "triage.prompt.yml"),
    )


def test_what_was_read_renders(tmp_path: Path) -> None:
    request = read(tmp_path, FULL).render({"text": "{{ 7 * 7 }}"}, model="local:m")
    assert [message["content"] for message in request.messages] == [
        'You sort tickets.\nAnswer in JSON: {"team": "..."}\n',
        "{{ 7 * 7 }}",
    ]


@pytest.mark.parametrize("name", ["a.prompt.yml", "a.prompt.yaml", "a.txt", "a.md", "a.j2"])
def test_a_prompt_is_named_by_its_file(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, MESSAGE, name).name == "a"


def test_a_key_that_is_a_title_names_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, f"name: other.v2\n{MESSAGE}").name == "other.v2"
    assert read(tmp_path, f"name: Ticket Triage\n{MESSAGE}").name == "triage"


@pytest.mark.parametrize("name", ["a.yml", "a.json", "a.prompty", "a", "prompt.yml"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    said = refusal(tmp_path, MESSAGE, name)
    assert (
        said == " is not a prompt: its name must end with one of .prompt.yml, .prompt.yaml, .txt, .md, .j2."
    )


def test_a_text_file_is_one_user_message(tmp_path: Path) -> None:
    first = read(tmp_path, b"\xef\xbb\xbfSort:\r\n{{ text }}\r\n", "a.txt")
    assert first.messages == ({"role": "user", "content": "Sort:\n{{ text }}"},)
    assert first.digest == read(tmp_path, b"Sort:\n{{ text }}", "b.md").digest
    assert first.digest != read(tmp_path, b"Sort:\n{{ text }}\n\n", "b.md").digest


def test_an_assistant_may_call_tools_without_content(tmp_path: Path) -> None:
    call = "- role: assistant\n  tool_calls: [{id: a}]\n"
    answer = "- role: tool\n  tool_call_id: a\n  content: b\n"
    assert read(tmp_path, f"messages:\n{call}{answer}").messages == (
        {"role": "assistant", "tool_calls": [{"id": "a"}]},
        {"role": "tool", "tool_call_id": "a", "content": "b"},
    )


def test_plain_text_is_the_default_response_format(tmp_path: Path) -> None:
    assert read(tmp_path, f"{MESSAGE}responseFormat: text").digest == read(tmp_path, MESSAGE).digest
    prompt = read(tmp_path, f"{MESSAGE}responseFormat: json_object")
    assert prompt.response_format == {"type": "json_object"}


def test_a_schema_keeps_its_own_name_and_takes_one_that_the_api_allows(tmp_path: Path) -> None:
    text = f"{MESSAGE}responseFormat: json_schema\njsonSchema: {{name: reply, strict: true, schema: {{}}}}"
    prompt = read(tmp_path, text)
    assert prompt.response_format is not None
    assert prompt.response_format["json_schema"] == {"name": "reply", "strict": True, "schema": {}}
    text = f"{MESSAGE}responseFormat: json_schema\njsonSchema: {{schema: {{}}, strict: false}}"
    prompt = read(tmp_path, text)
    assert prompt.response_format is not None
    assert prompt.response_format["json_schema"] == {"name": "triage", "strict": False, "schema": {}}
    # A schema of an object with a property called `schema` is no wrapper.
    text = f"{MESSAGE}responseFormat: json_schema\njsonSchema: {{type: object, schema: {{}}}}"
    prompt = read(tmp_path, text, "triage.v2.prompt.yml")
    assert prompt.response_format is not None
    assert prompt.response_format["json_schema"] == {
        "name": "triage_v2",
        "schema": {"type": "object", "schema": {}},
    }
