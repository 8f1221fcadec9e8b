from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import venv
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import pytest
from embedded_model import ask, own_cache, shared_server, wait_until_gone

import pytest_llmops
from pytest_llmops.calls.exchange import Response
from pytest_llmops.errors import FatalCallError, MisuseError, TransientCallError
from pytest_llmops.providers.local import LocalProvider

T = TypeVar("T")

LABEL = {
    "type": "object",
    "properties": {"label": {"enum": ["positive", "negative"]}},
    "required": ["label"],
    "additionalProperties": False,
}
SENTIMENT = 'Is the sentiment of this review positive or negative? Answer as JSON with the key "label".'

RULES = (
    "Here are the rules of the club: lines are short, plain and kind, never about money, never about the "
    "weather of the day before, and each of them could stand at the end of a letter to a friend who lives "
    "far away and has not written for a long time."
)
SUBJECTS = ["a small dog", "new shoes"]
LINE = {"type": "string", "maxLength": 60}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_cache(tmp_path_factory.mktemp("local") / "cache")


@pytest.fixture(scope="module")
def _running(cache: Path) -> Iterator[None]:
    """Keep one server for the whole file, whoever else comes and goes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMOPS_CACHE_DIR", str(cache))
        server = shared_server()
        server.join()
        yield
        # A test may have put another one in its place.
        pid = server.join().pid
        server.leave()
    wait_until_gone(pid)


@pytest.fixture
def _here(_running: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_CACHE_DIR", str(cache))


def using(work: Callable[[LocalProvider], Awaitable[T]]) -> T:
    """Return what `work` gives for a provider of its own."""

    async def inside() -> T:
        provider = LocalProvider()
        try:
            return await work(provider)
        finally:
            await provider.aclose()

    return asyncio.run(inside())


def server_pid() -> int:
    server = shared_server()
    pid = server.join().pid
    server.leave()
    return pid


@pytest.mark.embedded
@pytest.mark.usefixtures("_here")
def test_it_answers_with_the_schema_that_was_asked_for() -> None:
    def review(text: str) -> Response:
        return using(lambda provider: provider.complete(ask(f"{SENTIMENT}\n\n{text}", LABEL)))

    good = review("Lovely food, warm staff, and we will come back.")
    bad = review("The food was cold and the staff was rude. Never again.")
    assert json.loads(good.text) == {"label": "positive"}
    assert json.loads(bad.text) == {"label": "negative"}
    assert (good.model, good.finish_reason) == ("smollm2-135m", "stop")
    assert good.usage.input_tokens is not None
    assert good.usage.input_tokens > 20


@pytest.mark.embedded
@pytest.mark.usefixtures("_here")
def test_an_answer_at_temperature_0_does_not_depend_on_the_calls_before_it() -> None:
    # With a prompt cache these two would change, since they begin alike.
    asked = [ask(f"{RULES} Write one line about {about}, as a JSON string.", LINE) for about in SUBJECTS]

    async def one_by_one(provider: LocalProvider) -> list[str]:
        return [(await provider.complete(request)).text for request in asked]

    async def backwards_and_at_once(provider: LocalProvider) -> list[str]:
        answers = await asyncio.gather(*(provider.complete(request) for request in reversed(asked)))
        return [response.text for response in reversed(answers)]

    first = using(one_by_one)
    assert len(set(first)) == len(SUBJECTS)
    assert using(backwards_and_at_once) == first


@pytest.mark.embedded
@pytest.mark.usefixtures("_here")
def test_a_prompt_beyond_the_context_is_refused_for_good() -> None:
    with pytest.raises(FatalCallError, match="exceeds the available context size"):
        using(lambda provider: provider.complete(ask("word " * 6000)))


@pytest.mark.embedded
@pytest.mark.usefixtures("_here")
def test_a_proxy_of_the_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert using(lambda provider: provider.complete(ask("Is water wet?"))).text


@pytest.mark.embedded
@pytest.mark.usefixtures("_here")
def test_a_server_that_dies_fails_the_calls_under_way_and_is_replaced_by_the_next() -> None:
    async def interrupted(provider: LocalProvider) -> None:
        first = await provider.complete(ask("Is water wet?"))
        # Far more than can be answered before the server is killed.
        endless = {"response_format": {"type": "text"}, "ignore_eos": True, "max_tokens": 3000}
        stories = [ask(f"Write story {number}.", **endless) for number in range(3)]
        under_way = [asyncio.create_task(provider.complete(story)) for story in stories]
        pid = await asyncio.to_thread(server_pid)
        os.kill(pid, signal.SIGKILL)
        failed = await asyncio.gather(*under_way, return_exceptions=True)
        assert [type(error) for error in failed] == [TransientCallError] * 3
        again = await asyncio.gather(*(provider.complete(ask("Is water wet?")) for _ in range(3)))
        assert again == [replace(first, timing=answer.timing) for answer in again]
        assert await asyncio.to_thread(server_pid) != pid

    using(interrupted)


@pytest.mark.embedded
@pytest.mark.usefixtures("_here")
def test_own_weights_answer_to_every_name(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = LocalProvider().identity(ask("Is water wet?"))
    [path] = cache.glob("*.gguf")
    monkeypatch.setenv("LLMOPS_EMBEDDED_MODEL", str(path))
    request = replace(ask("Is water wet?"), model="mine")
    assert LocalProvider().identity(request) == known
    assert using(lambda provider: provider.complete(request)).model == "mine"


def test_its_identity_is_known_without_weights_and_starts_nothing(tmp_path: Path) -> None:
    code = """
import sys
seen = []
def audit(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.fork", "sqlite3.")):
        seen.append(event)
sys.addaudithook(audit)
from pytest_llmops.calls.exchange import Request
from pytest_llmops.providers.local import LocalProvider
identity = LocalProvider().identity(Request(provider="local", model="smollm2-135m", messages=()))
print(identity["weights"], identity["runtime"], seen, "xllamacpp" in sys.modules, "openai" in sys.modules)
"""
    environment = {**os.environ, "LLMOPS_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    weights = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert done.stdout == f"{weights} xllamacpp {version('xllamacpp')} [] False False\n"
    assert not (tmp_path / "cache").exists()


def test_weights_that_are_not_here_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(MisuseError, match=r"The embedded model is not here .*: run `llmops pull`\."):
        using(lambda provider: provider.complete(ask("Is water wet?")))


def test_an_unknown_model_is_told_the_closest() -> None:
    request = replace(ask("Is water wet?"), model="smollm2-360m")
    with pytest.raises(MisuseError, match="Did you mean 'smollm2-135m'"):
        LocalProvider().identity(request)
    with pytest.raises(MisuseError, match="Did you mean 'smollm2-135m'"):
        using(lambda provider: provider.complete(request))


def test_a_runtime_that_is_not_installed_is_told(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=os.name != "nt")
    python = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin") / "python"
    code = """
from pytest_llmops.calls.exchange import Request
from pytest_llmops.providers.local import LocalProvider
try:
    LocalProvider().identity(Request(provider="local", model="smollm2-135m", messages=()))
except Exception as error:
    print(type(error).__name__, error)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(pytest_llmops.__file__).parents[1])}
    done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MisuseError The embedded model needs the package xllamacpp: run `pip ")
