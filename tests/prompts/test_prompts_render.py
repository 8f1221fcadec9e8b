from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.calls.exchange import Request, split_model
from pytest_llmops.errors import MisuseError
from pytest_llmops.prompts.prompt import Prompt


def prompt(template: Any, **more: Any) -> Prompt:
    return Prompt(name="triage", messages=({"role": "user", "content": template},), source="here", **more)


def rendered(template: str, **inputs: Any) -> object:
    return prompt(template).render(inputs, model="m").messages[0]["content"]


def test_a_request_holds_all_that_the_prompt_says() -> None:
    full = prompt(
        "Hi {{ name }}",
        parameters={"temperature": 0},
        tools=({"type": "function"},),
        response_format={"type": "json_object"},
    )
    assert full.render({"name": "you"}, model="local:m", repeat=2) == Request(
        provider="local",
        model="m",
        messages=({"role": "user", "content": "Hi you"},),
        parameters={
            "temperature": 0,
            "tools": ({"type": "function"},),
            "response_format": {"type": "json_object"},
        },
        repeat=2,
    )


def test_a_bare_model_name_is_of_openai() -> None:
    assert [split_model(name) for name in ("m", "local:m", "a:b:c")] == [
        ("openai", "m"),
        ("local", "m"),
        ("a", "b:c"),
    ]


@given(st.text())
def test_values_are_never_rendered(value: str) -> None:
    assert rendered("<{{ text }}>", text=value) == f"<{value}>"
    assert rendered("<{{ text }}>", text="{{ 7 * 7 }}{% if 1 %}" + value).startswith("<{{ 7 * 7 }}{% if 1 %}")  # type: ignore[attr-defined]


def test_layout_and_markup_stay() -> None:
    assert rendered("a\n  {{ x }}\n", x="<b> & 'c'") == "a\n  <b> & 'c'\n"
    assert rendered("{% for item in items %}- {{ item.a }}\n{% endfor %}", items=[{"a": 1}, {"a": 2}]) == (
        "- 1\n- 2\n"
    )


def test_a_message_without_text_stays_as_it_is() -> None:
    parts = [{"type": "text", "text": "{{ x }}"}]
    assert prompt(parts).render({}, model="m").messages[0]["content"] == parts


def test_a_missing_variable_is_named_with_those_there_are() -> None:
    with pytest.raises(MisuseError) as caught:
        rendered("{{ text }}", b=1, a=2)
    assert str(caught.value) == (
        "The prompt 'triage' (here) cannot be rendered: 'text' is undefined. The inputs are: a, b."
    )
    with pytest.raises(MisuseError, match="The inputs are: none"):
        rendered("{{ text }}")


@pytest.mark.parametrize(
    "template",
    [
        "{{ x.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ items.append(1) }}",
        "{{ x.missing }}",
        "{{ 1 / 0 }}",
        "{{ x|int(1, 2, 3, 4) }}",
        "{{ x|tojson }}",
        "{% include 'x' %}",
        "{{ range(10 ** 9) }}",
        "{{ x|nope }}",
    ],
)
def test_what_cannot_be_rendered_is_one_message(template: str) -> None:
    with pytest.raises(MisuseError, match=r"The prompt 'triage' \(here\) cannot be rendered: "):
        rendered(template, x=object(), items=[])


SYSTEM = {"role": "system", "content": "Be brief."}
TURN = {"role": "user", "content": "{{ q }}"}
SHOT = ({"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"})
SAID = ({"role": "user", "content": "Hello {{ q }}"}, {"role": "assistant", "content": "Good day."})


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((SYSTEM, TURN), [SYSTEM, *SAID, {"role": "user", "content": "Now?"}]),
        ((TURN,), [*SAID, {"role": "user", "content": "Now?"}]),
        ((SYSTEM,), [SYSTEM, *SAID]),
        ((SYSTEM, *SHOT), [SYSTEM, *SHOT, *SAID]),
        ((SYSTEM, *SHOT, TURN), [SYSTEM, *SHOT, *SAID, {"role": "user", "content": "Now?"}]),
    ],
)
def test_a_conversation_stands_before_the_users_turn(messages, expected):
    prompt = Prompt(name="p", messages=messages)
    request = prompt.render({"q": "Now?"}, model="m", conversation=SAID)

    # What was said is data: a template in it is not rendered.
    assert list(request.messages) == expected
