"""Give tests the real weights in a cache folder of their own, and watch processes end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from pytest_llmops.calls.exchange import Request, plain_messages
from pytest_llmops.providers.local_join import SharedServer
from pytest_llmops.providers.weights import DEFAULT_MODEL, Weights, find_weights

PATIENCE = 60.0
"""Seconds after which a test gives up; nothing takes that long."""

CLIENT = """
import asyncio, sys
from pytest_llmops.calls.exchange import Request, plain_messages
from pytest_llmops.providers.local import LocalProvider

request = Request(
    provider="local",
    model="smollm2-135m",
    messages=plain_messages([("user", "Say hello.")]),
    parameters={"temperature": 0, "max_tokens": 40},
)

async def talk():
    provider = LocalProvider()
    for line in sys.stdin:
        if line == "ask\\n":
            print((await provider.complete(request)).finish_reason, flush=True)
        else:
            await provider.aclose()
            print("closed", flush=True)

asyncio.run(talk())
"""
"""A process that answers each line on its standard input with one line."""


def ask(text: str, **parameters: object) -> Request:
    asked = {"temperature": 0, "max_tokens": 40, **parameters}
    return Request(
        provider="local", model=DEFAULT_MODEL, messages=plain_messages([("user", text)]), parameters=asked
    )


def own_cache(folder: Path) -> Path:
    """Make `folder` a cache folder that holds the real weights and no server."""
    weights = find_weights(DEFAULT_MODEL)
    weights.verify()
    folder.mkdir()
    os.link(weights.path, folder / weights.path.name)
    return folder


def shared_server(weights: Weights | None = None) -> SharedServer:
    # The same version as the provider's, else it would be another server.
    from pytest_llmops.providers.local import LocalProvider

    runtime = LocalProvider().identity(ask("anything"))["runtime"]
    return SharedServer(weights or find_weights(DEFAULT_MODEL), str(runtime))


class Client:
    """Be a process that uses the provider."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def client(folder: Path) -> Iterator[Client]:
    with subprocess.Popen(
        [sys.executable, "-P", "-c", CLIENT],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that has ended and waits for its parent to notice runs no more.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int) -> None:
    until = time.monotonic() + PATIENCE
    pause = Event()
    while is_running(pid):
        assert time.monotonic() < until, f"process {pid} still runs"
        pause.wait(0.05)
