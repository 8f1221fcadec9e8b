"""Make calls as a project makes them, and say what became of each."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.reliability.laws import Outcome
from pytest_llmops.calls.client import Client
from pytest_llmops.calls.exchange import Request
from pytest_llmops.errors import LlmopsError
from pytest_llmops.project import Project
from pytest_llmops.settings import Settings
from pytest_llmops.store.canonical import JsonValue
from pytest_llmops.store.folder import HOME

DEADLINE = 20.0
"""Seconds for one call with all its attempts."""


def asking(text: str, *, streams: bool = False, repeat: int = 1) -> Request:
    """Return the request that asks `text`."""
    parameters: Mapping[str, JsonValue] = {"stream": True} if streams else {}
    messages = ({"role": "user", "content": text},)
    return Request(
        provider="openai", model="a-model", messages=messages, parameters=parameters, repeat=repeat
    )


async def outcomes(
    root: Path, requests: Sequence[Request], *, deadline: float = DEADLINE, concurrency: int = 64
) -> list[Outcome]:
    """Make all calls at once, through a project that is closed afterwards; the environment names the server.

    Args:
        root: the folder of the project.
        requests: what to ask.
        deadline: seconds for one call with all its attempts.
        concurrency: most calls under way.
    """
    settings = Settings(deadline=deadline, concurrency=concurrency)
    client = Project(root, settings, session="reliability").client
    try:
        return list(await asyncio.gather(*(_outcome(client, request) for request in requests)))
    finally:
        await client.aclose()


def answers_kept(root: Path) -> int:
    """Return how many answers the cache file of a project holds."""
    path = root / HOME / "local" / "cache.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute("SELECT count(*) FROM answers").fetchone()[0]
    return count


async def _outcome(client: Client, request: Request) -> Outcome:
    text = str(request.messages[-1]["content"])
    answer, error = None, None
    try:
        answer = (await client.acall(request)).text
    except LlmopsError as caught:
        error = caught
    return Outcome(text=text, answer=answer, error=error, cached=client.holds(client.digest(request)))
