"""Give tests the real weights in a cache folder of their own, and watch processes end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from pytest_llmops.calls.exchange import Request
from pytest_llmops.providers.local_join import SharedServer
from pytest_llmops.providers.weights import DEFAULT_MODEL, Weights, find_weights
from pytest_llmops.store.canonical import JsonValue

PATIENCE = 60.0
"""Seconds after which a test gives up; nothing takes that long."""

CLIENT = """
import asyncio, sys
from pytest_llmops.calls.exchange import Request
from pytest_llmops.providers.local import LocalProvider

shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "boolean"}}}
request = Request(
    provider="local",
    model="smollm2-135m",
    messages=({"role": "user", "content": "Is water wet?"},),
    parameters={"temperature": 0, "response_format": shape},
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


def ask(text: str, schema: JsonValue = None, **parameters: JsonValue) -> Request:
    """Return a question whose answer is JSON after `schema`; a boolean, the quickest, where none is given."""
    shape = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema or {"type": "boolean"}},
    }
    return Request(
        provider="local",
        model=DEFAULT_MODEL,
        messages=({"role": "user", "content": text},),
        parameters={"temperature": 0, "response_format": shape, **parameters},
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
        # Whatever is printed beside the answers is heard, and fails the test.
        stderr=subprocess.STDOUT,
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


def servers_of(cache: Path) -> list[int]:
    """Return the process ids of all servers that belong to a cache folder; needs Linux."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"--serve" in words and any(word.startswith(os.fsencode(cache)) for word in words):
                found.append(int(folder.name))
    return found


def wait_until_gone(pid: int) -> None:
    until = time.monotonic() + PATIENCE
    pause = Event()
    while is_running(pid):
        assert time.monotonic() < until, f"process {pid} still runs"
        pause.wait(0.05)
