"""Hold the server of the benchmarks to what clients of it take for granted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import openai
import pytest

from benchmarks.reliability.faults import FAULTS
from benchmarks.reliability.replies import answer_to, vector_of
from benchmarks.server import Served, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as opened:
        yield opened


def asked(text: str) -> list:
    return [{"role": "user", "content": text}]


def test_the_official_client_reads_a_completion(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="m", messages=asked("Who?"))

    assert reply.choices[0].message.content == answer_to("Who?")
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "m"
    assert reply.usage is not None


def test_the_official_client_reads_a_stream(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="m", messages=asked("Who?"), stream=True, stream_options={"include_usage": True}
        )
    )

    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == answer_to("Who?")
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    assert chunks[-1].usage is not None


def test_the_official_client_reads_vectors(client: openai.OpenAI) -> None:
    texts = ["one", "two"]

    as_told = client.embeddings.create(model="m", input=texts)
    as_floats = client.embeddings.create(model="m", input=texts, encoding_format="float")

    assert [data.embedding for data in as_told.data] == [vector_of(text) for text in texts]
    assert [data.embedding for data in as_floats.data] == [vector_of(text) for text in texts]


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["model"]


def test_the_log_says_what_was_asked_and_done(client: openai.OpenAI, server: Served) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="m", messages=asked("When? fault=no_model"))

    entry = server.log()[-1]
    assert (entry.text, entry.fault, entry.status) == ("When? fault=no_model", "no_model", 404)
    assert caught.value.request_id == entry.request_id
    assert entry.until is not None
    assert entry.until >= entry.at


def test_a_fault_may_come_the_first_times_only(client: openai.OpenAI) -> None:
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="m", messages=asked("Why? fault=status_500*2"))

    assert client.chat.completions.create(model="m", messages=asked("Why? fault=status_500*2")).choices


def faults_met(order: list[int]) -> dict[str, list[str | None]]:
    async def ask(base_url: str) -> None:
        async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
            for n in order:
                with pytest.raises(openai.OpenAIError):
                    await client.chat.completions.create(model="m", messages=asked(f"Question {n}?"))

    with serving(faults=1.0, kinds=("status_500", "bad_key", "spent_quota", "status_409"), seed=7) as server:
        asyncio.run(ask(server.base_url))
        log = server.log()
    return {f"Question {n}?": [e.fault for e in log if e.text == f"Question {n}?"] for n in range(10)}


def test_the_order_of_arrival_changes_no_fault() -> None:
    forth = [*range(10), *range(10)]

    met = faults_met(forth)

    assert met == faults_met(forth[::-1])
    assert len({kind for kinds in met.values() for kind in kinds}) == 4


def ask_on(client: openai.OpenAI) -> None:
    for n in range(1000):
        client.chat.completions.create(model="m", messages=asked(f"{n}"))


def test_no_more_requests_are_admitted_than_set() -> None:
    with (
        serving(admits=2.0) as server,
        openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client,
    ):
        with pytest.raises(openai.RateLimitError) as caught:
            ask_on(client)
        log = server.log()

    assert caught.value.response.headers["retry-after"] == "1"

    admitted = [entry.at for entry in log if entry.status == 200]
    # What one second gives may come at once, after that two a second.
    assert len(admitted) == len(log) - 1 <= 3 + 2 * (log[-1].at - log[0].at)
    assert log[-1].fault == "refused"


def test_the_server_ends_with_its_block() -> None:
    with serving() as server:
        os.kill(server.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_there_are_at_least_thirty_kinds_of_faults() -> None:
    assert sum(fault.comes_of != "right" for fault in FAULTS.values()) >= 30
