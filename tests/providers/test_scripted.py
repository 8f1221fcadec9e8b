from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pytest_llmops.calls.exchange import Request, Response, Usage
from pytest_llmops.errors import BadAnswerError, MisuseError, TransientCallError
from pytest_llmops.providers.scripted import ScriptedProvider


def request(text: str) -> Request:
    return Request(provider="scripted", model="m", messages=({"role": "user", "content": text},))


def ask(provider: ScriptedProvider, text: str = "two words") -> Response:
    return asyncio.run(provider.complete(request(text)))


def upper(asked: Request) -> str:
    return str(asked.messages[-1]["content"]).upper()


async def later(asked: Request) -> str:
    await asyncio.sleep(0)
    return upper(asked)


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, asked: Request) -> str:
        self.count += 1
        return str(self.count)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("always this", "always this"),
        ({"two words": "mapped"}, "mapped"),
        ({"two words": Response(text="whole", model="other")}, "whole"),
        (upper, "TWO WORDS"),
        (later, "TWO WORDS"),
        (Counter(), "1"),
    ],
)
def test_each_kind_of_script_replies(script: Any, text: str) -> None:
    assert ask(ScriptedProvider(script)).text == text


def test_words_are_counted_as_tokens() -> None:
    assert ask(ScriptedProvider("one two three")).usage == Usage(input_tokens=2, output_tokens=3)


def test_requests_are_kept_in_order() -> None:
    provider = ScriptedProvider(upper)
    ask(provider, "a")
    ask(provider, "b")

    assert provider.calls == 2
    assert [seen.messages[-1]["content"] for seen in provider.requests] == ["a", "b"]


@pytest.mark.parametrize(
    "script", [{"two words": TransientCallError("busy")}, lambda _: TransientCallError("busy")]
)
def test_an_exception_is_raised(script: Any) -> None:
    provider = ScriptedProvider(script)

    with pytest.raises(TransientCallError, match="busy"):
        ask(provider)
    assert provider.calls == 1


def test_a_question_without_a_reply_is_named_with_the_closest_one() -> None:
    with pytest.raises(MisuseError, match=r"no reply to 'two wirds'\. Did you mean 'two words'"):
        ask(ScriptedProvider({"two words": "x"}), "two wirds")


def test_an_empty_reply_is_a_bad_answer_as_from_a_model() -> None:
    with pytest.raises(BadAnswerError) as caught:
        ask(ScriptedProvider(""))
    assert caught.value.kind == "empty"


def test_another_script_is_another_model() -> None:
    scripts: list[Any] = ["a", "b", {"x": "a"}, {"x": "b"}, upper, later, Counter()]
    digests = {request("x").digest(ScriptedProvider(script).identity(request("x"))) for script in scripts}
    again = {request("x").digest(ScriptedProvider(script).identity(request("x"))) for script in scripts}

    assert len(digests) == len(scripts)
    assert digests == again


def test_a_script_without_source_has_an_identity() -> None:
    made: dict[str, Any] = {}
    exec("def reply(request): return 'x'", made)

    assert ScriptedProvider(made["reply"]).identity(request("x")) == {"script": "reply"}
