"""Serve chat completions and vectors as OpenAI does, with set latency, a rate limit and scripted faults.

In a process of its own, which ends with the block:

    with serving(latency=0.2, faults=0.3, seed=1) as server:
        ...  # ask server.base_url, then look at server.log()

Or until it is interrupted:

    python -m benchmarks.server --latency 0.2 --port 8080

Which fault a request meets is decided by a hash of the seed, its body and how often that body came before, so
that no order of arrival changes it; or the question names it itself, as in `fault=html_200`. What was asked
and done is at GET /log.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import math
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.reliability.faults import FAULTS, NAMED
from benchmarks.reliability.replies import Asked, Reply, error, right
from benchmarks.reliability.wire import send

if TYPE_CHECKING:
    from aiohttp import web

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Say how the server behaves."""

    latency: float = 0.0
    """Seconds until an answer."""
    admits: float = 0.0
    """Requests a second that get an answer, as many at once; 429 for all others. 0 for no limit."""
    tells_wait: bool = True
    """Whether those 429 say when to come back."""
    faults: float = 0.0
    """Share of requests that meet a fault."""
    kinds: Sequence[str] = tuple(FAULTS)
    """Faults that may come."""
    seed: int = 1


@dataclass(slots=True, kw_only=True)
class Entry:
    """Be what was asked, and what was done, in one request; times are of the monotonic clock."""

    ordinal: int
    path: str
    at: float
    digest: str = ""
    """sha256 of the body."""
    text: str = ""
    """The last message, or the texts that vectors were asked for."""
    attempt: int = 1
    """How often this body has come, this time included."""
    fault: str | None = None
    """Its kind; `refused` where the rate limit did not admit the request."""
    status: int | None = None
    until: float | None = None
    """When it was answered, or the client had gone."""
    not_before: float | None = None
    """When the client was told to come back at the earliest."""

    @property
    def request_id(self) -> str:
        """Return the name that the server gives the request."""
        return f"req-{self.ordinal}"


class Service:
    """Answer requests as the script says, and keep the log."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._log: list[Entry] = []
        self._times: Counter[str] = Counter()
        self._due = -math.inf

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        from aiohttp import web

        if request.path == "/log":
            return web.json_response([asdict(entry) for entry in self._log])
        if request.path == "/v1/models":
            return web.json_response({"object": "list", "data": [{"id": "model", "object": "model"}]})
        entry = Entry(ordinal=len(self._log) + 1, path=request.path, at=time.monotonic())
        self._log.append(entry)
        try:
            reply = self._reply(request, entry, await request.read())
            if self._script.latency and entry.fault != "refused":
                await asyncio.sleep(self._script.latency)
            entry.status = reply.status
            entry.not_before = time.monotonic() + reply.wait if reply.wait else None
            return await send(request, reply, {**reply.headers, "x-request-id": entry.request_id})
        except ConnectionError:
            # Clients that leave are part of it.
            raise asyncio.CancelledError from None
        finally:
            entry.until = time.monotonic()

    def _reply(self, request: web.BaseRequest, entry: Entry, content: bytes) -> Reply:
        body = json.loads(content)
        asked = Asked(path=request.path, port=request.url.port or 0, body=body)
        entry.digest = hashlib.sha256(content).hexdigest()
        entry.text = "\n".join(asked.texts)
        self._times[entry.digest] += 1
        entry.attempt = self._times[entry.digest]
        if request.path not in ("/v1/chat/completions", "/v1/embeddings"):
            return error(404, message="There is no such page.")
        wait = self._wait(entry.at)
        if wait:
            entry.fault = "refused"
            return _not_admitted(wait if self._script.tells_wait else 0.0)
        entry.fault = self._fault(asked, entry)
        return FAULTS[entry.fault].reply(asked) if entry.fault else right(asked)

    def _wait(self, now: float) -> float:
        """Return the seconds until one more request is admitted: 0 where it is now, and has been counted."""
        rate = self._script.admits
        if not rate:
            return 0.0
        # What is saved up is as much as one second gives.
        due = max(self._due, now - 1.0)
        if due > now:
            return due - now
        self._due = due + 1.0 / rate
        return 0.0

    def _fault(self, asked: Asked, entry: Entry) -> str | None:
        named = NAMED.search(entry.text)
        if named:
            kind, times = named[1], int(named[2] or entry.attempt)
            return kind if entry.attempt <= times and FAULTS[kind].fits_to(asked) else None
        chance = f"{self._script.seed} {entry.digest} {entry.attempt}".encode()
        number = int.from_bytes(hashlib.sha256(chance).digest()[:8])
        if number >= self._script.faults * 2**64:
            return None
        fitting = [kind for kind in self._script.kinds if FAULTS[kind].fits_to(asked)]
        return fitting[number % len(fitting)]


def _not_admitted(wait: float) -> Reply:
    # Servers mostly say whole seconds.
    seconds = math.ceil(wait)
    told = {"retry_after": str(seconds)} if wait else {}
    return error(429, code="rate_limit_exceeded", wait=float(seconds), **told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Be a server that runs in another process."""

    base_url: str
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of clients that are to ask this server."""
        return {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": "no-key-needed"}

    def log(self) -> list[Entry]:
        """Return what was asked and done so far, in the order of arrival."""
        with urllib.request.urlopen(self.base_url.removesuffix("/v1") + "/log") as reply:
            return [Entry(**entry) for entry in json.load(reply)]


@contextlib.contextmanager
def serving(**script: Any) -> Iterator[Served]:
    """Serve in a process of its own for the length of a with block.

    Args:
        script: fields of `Script`.
    """
    told = json.dumps(asdict(Script(**script)))
    command = [sys.executable, "-m", "benchmarks.server", "--script", told]
    # Its standard input ends with this process, however that ends, and the server with it.
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        assert base_url, "the server did not start"
        try:
            yield Served(base_url=base_url, pid=process.pid)
        finally:
            process.stdin.close()


async def serve(script: Script, port: int, ends: asyncio.Event) -> None:
    """Print the address and serve until `ends` is set."""
    from aiohttp import web

    service = web.Server(Service(script), access_log=None, handler_cancellation=True)
    # Many clients connect at once; a short queue refuses them.
    server = await asyncio.get_running_loop().create_server(service, "127.0.0.1", port, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await ends.wait()
    server.close()
    await service.shutdown(timeout=0)


async def _as_child(script: Script) -> None:
    ends = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), lambda: ends.set() if not os.read(sys.stdin.fileno(), 1) else None)
    await serve(script, 0, ends)


def main() -> None:
    """Serve until interrupted, or as a child until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--script", help="all of it as JSON: serve on any port until standard input ends")
    for each in fields(Script):
        if each.name not in ("kinds", "tells_wait"):
            kind = int if each.name == "seed" else float
            parser.add_argument(f"--{each.name}", type=kind, default=each.default)
    options = vars(parser.parse_args())
    told, port = options.pop("script"), options.pop("port")
    with contextlib.suppress(KeyboardInterrupt):
        if told:
            asyncio.run(_as_child(Script(**json.loads(told))))
        else:
            asyncio.run(serve(Script(**options), port, asyncio.Event()))


if __name__ == "__main__":
    main()
