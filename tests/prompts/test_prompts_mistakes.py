from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_llmops.errors import MisuseError
from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.prompts.prompt import Prompt

MESSAGE = "messages:\n- role: user\n  content: x\n"
SAME_FOLDER = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(folder: Path, text: str | bytes, name: str = "triage.prompt.yml") -> Prompt:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_prompt(path)


def refusal(folder: Path, text: str | bytes, name: str = "triage.prompt.yml") -> str:
    with pytest.raises(MisuseError) as caught:
        read(folder, text, name)
    return str(caught.value).removeprefix(str(folder / name))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", " is empty."),
        ("- a", ", line 1: a prompt is a mapping with `messages:`, not a list."),
        ("hello", ", line 1: a prompt is a mapping with `messages:`, not the text 'hello'."),
        (f"{MESSAGE}modle: x", ", line 4: a prompt has no key 'modle'. Did you mean 'model'?"),
        (f"{MESSAGE}model: 3", ", line 4: `model` must be text, not the number 3; quote it."),
        (f"{MESSAGE}name: no", ", line 4: `name` must be text, not false; quote it."),
        (f"{MESSAGE}description: []", ", line 4: `description` must be text, not a list."),
        ("model: x", ", line 1: `messages` must be a list of at least one `role` with its `content`."),
        ("messages:", ", line 1: `messages` must be a list of at least one `role` with its `content`."),
        ("\nmessages: []", ", line 2: `messages` must be a list of at least one `role` with its `content`."),
        ("messages: [x]", ", line 1: a message has a `role` and a `content`; this is the text 'x'."),
        (
            "messages:\n- rolle: user\n  content: x",
            ", line 2: a message has no key 'rolle'. Did you mean 'role'?",
        ),
        (
            "messages:\n- content: x",
            ", line 2: null is no role. Known: assistant, developer, system, tool, user.",
        ),
        (
            "messages:\n- content: x\n  role: usr",
            ", line 3: the text 'usr' is no role. Did you mean 'user'?",
        ),
        ("messages:\n- role: user", ", line 2: `content` must be text, not null."),
        ("messages:\n- role: user\n  content: off", ", line 3: `content` must be text, not false; quote it."),
        (
            "messages:\n- role: user\n  content: 1",
            ", line 3: `content` must be text, not the number 1; quote it.",
        ),
        ("messages:\n- role: user\n  content: [x]", ", line 3: `content` must be text, not a list."),
        (
            f"{MESSAGE}modelParameters: 1",
            ", line 4: `modelParameters` must be a mapping such as `temperature: 0`, not the number 1.",
        ),
        (
            f"{MESSAGE}modelParameters:\n  maxTokens: 1\n  max_tokens: 1",
            ", line 6: 'max_tokens' stands twice, in two spellings.",
        ),
        (
            f"{MESSAGE}modelParameters:\n  model: x",
            ", line 5: 'model' is no parameter; write `model:` at the top level.",
        ),
        (
            f"{MESSAGE}modelParameters: {{response_format: x}}",
            ", line 4: 'response_format' is no parameter; write `responseFormat:` at the top level.",
        ),
        (f"{MESSAGE}tools: x", ", line 4: `tools` must be a list of mappings, not the text 'x'."),
        (
            f"{MESSAGE}tools:\n- x",
            ", line 5: a tool is a mapping with `type: function` and `function`, not the text 'x'.",
        ),
        (
            f"{MESSAGE}responseFormat: json",
            ", line 4: the text 'json' is no response format. Known: json_object, json_schema, text.",
        ),
        (
            f"{MESSAGE}responseFormat: json_shema",
            ", line 4: the text 'json_shema' is no response format. Did you mean 'json_schema'?",
        ),
        (
            f"{MESSAGE}responseFormat: {{type: text}}",
            ", line 4: a mapping is no response format. Known: json_object, json_schema, text.",
        ),
        (f"{MESSAGE}responseFormat: json_schema", ", line 4: json_schema needs a `jsonSchema:` in the file."),
        (f"{MESSAGE}jsonSchema: {{}}", ", line 4: `jsonSchema` needs `responseFormat: json_schema`."),
        (
            f"{MESSAGE}responseFormat: json_schema\njsonSchema: [1]",
            ", line 5: `jsonSchema` must be a mapping or its JSON text, not a list.",
        ),
        (
            f"{MESSAGE}responseFormat: json_schema\njsonSchema: |\n  {{\n    x\n  }}",
            ", line 7: `jsonSchema` is not JSON: "
            "Expecting property name enclosed in double quotes, column 3.",
        ),
        (
            f'{MESSAGE}responseFormat: json_schema\njsonSchema: \'{{"a": 1, "a": 2}}\'',
            ", line 5: `jsonSchema` is not JSON: the key 'a' stands twice.",
        ),
        (
            f"{MESSAGE}responseFormat: json_schema\njsonSchema: '{'[' * 400}{']' * 400}'",
            ", line 5: `jsonSchema` is not JSON: nested more than 100 levels deep.",
        ),
        (b"messages:\n- role: user\n  content: \xe4\n", None),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str | bytes, said: str | None) -> None:
    expected = said or ", line 3: byte 12 of the line (0xe4) is not UTF-8. Save the file as UTF-8."
    assert refusal(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("template", "line", "said"),
    [
        ("|\n    one\n    {{ two\n", 5, "unexpected end of template"),
        ("|\n    one\n    {% if two %}\n", 5, "Unexpected end of template"),
        ("|\n\n    {% endif %}\n", 5, "Encountered unknown tag 'endif'"),
        ("'{{\"a\": 1}}'", 3, "expected token 'end of print statement', got ':'"),
        ("'{{ x|shout }}'", 3, "No filter named 'shout'"),
        ("\n    '{{ x|shout }}'", 4, "No filter named 'shout'"),
        (
            "'" + "{% if x %}" * 150 + "{% endif %}" * 150 + "'",
            3,
            "beyond what can be compiled: too many levels",
        ),
        ("'{{ " + "(" * 900 + "1" + ")" * 900 + " }}'", 3, "beyond what can be compiled: maximum recursion"),
        ("'{{ " + "9" * 5000 + " }}'", 3, "beyond what can be compiled: Exceeds the limit"),
    ],
)
def test_a_wrong_template_is_named_with_its_line(tmp_path: Path, template: str, line: int, said: str) -> None:
    found = refusal(tmp_path, f"messages:\n- role: user\n  content: {template}")
    assert found.startswith(f", line {line}: the template is ")
    assert said in found


def test_a_wrong_template_in_a_text_file_is_named_with_its_line(tmp_path: Path) -> None:
    assert refusal(tmp_path, "one\ntwo\n{{ three", "a.md").startswith(", line 3: the template is wrong: ")


@SAME_FOLDER
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
@pytest.mark.parametrize("name", ["a.prompt.yml", "a.txt"])
def test_any_file_gives_a_prompt_or_one_message(tmp_path: Path, name: str, data: bytes) -> None:
    said = ""
    try:
        read(tmp_path, data, name)
    except MisuseError as error:
        said = str(error)
    assert said == "" or said.startswith(str(tmp_path / name))
