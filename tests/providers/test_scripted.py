from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pytest_llmops.calls.exchange import EmbeddingRequest, Embeddings, Request, Response, Timing, Usage
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
        (["first", "second"], "first"),
    ],
)
def test_each_kind_of_script_replies(script: Any, text: str) -> None:
    assert ask(ScriptedProvider(script)).text == text


def test_replies_come_in_turn_and_run_out() -> None:
    provider = ScriptedProvider([TransientCallError("busy"), "at last", Response(text="x", model="m")])

    with pytest.raises(TransientCallError, match="busy"):
        ask(provider)
    assert ask(provider).text == "at last"
    assert ask(provider).text == "x"
    with pytest.raises(MisuseError, match="holds 3 replies, and one more"):
        ask(provider)


def test_the_timing_of_a_stream_is_scripted() -> None:
    timed = Response(text="x", model="m", timing=Timing(seconds=2.0, ttft=0.5))

    assert ask(ScriptedProvider(lambda _: timed)).timing == Timing(seconds=2.0, ttft=0.5)


def embed(provider: ScriptedProvider, *texts: str) -> Embeddings:
    return asyncio.run(provider.embed(EmbeddingRequest(provider="scripted", model="e", texts=texts)))


def cosine(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_texts_that_share_words_have_similar_vectors() -> None:
    provider = ScriptedProvider("x")
    asked = ("The order arrived.", "the ORDER arrived late", "Bananas are yellow", "")

    same, close, far, empty = embed(provider, *asked).vectors

    assert {len(vector) for vector in (same, close, far, empty)} == {64}
    assert cosine(same, same) == pytest.approx(1)
    assert cosine(same, close) > 0.8 > 0.3 > cosine(same, far)
    assert not any(empty)
    assert embed(provider, *asked).vectors == (same, close, far, empty)
    assert [seen.texts for seen in provider.embedding_requests] == [asked, asked]
    assert embed(provider, "two words", "one").usage == Usage(input_tokens=3)
    assert provider.calls == 0


def test_vectors_are_scripted() -> None:
    provider = ScriptedProvider("x", embed=lambda text: [len(text), 1])

    assert embed(provider, "a", "abc").vectors == ((1.0, 1.0), (3.0, 1.0))
    assert provider.identity(request("x")) != ScriptedProvider("x").identity(request("x"))


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
    scripts: list[Any] = ["a", "b", ["a"], ["a", "b"], {"x": "a"}, {"x": "b"}, upper, later, Counter()]
    digests = {request("x").digest(ScriptedProvider(script).identity(request("x"))) for script in scripts}
    again = {request("x").digest(ScriptedProvider(script).identity(request("x"))) for script in scripts}

    assert len(digests) == len(scripts)
    assert digests == again


def test_a_script_without_source_has_an_identity() -> None:
    made: dict[str, Any] = {}
    exec("def reply(request): return 'x'", made)

    assert ScriptedProvider(made["reply"]).identity(request("x")) == {"script": "reply"}
