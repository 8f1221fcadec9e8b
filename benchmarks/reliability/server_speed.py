"""Measure how many requests the server answers a second, on one core.

Raw sockets ask, from this process: requests are built beforehand, written several at a time into each of
64 connections, and answers are only counted. The client must not be the limit: its share of a core is shown.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.server import serving

CONNECTIONS = 64

AT_ONCE = 16
"""Requests that wait for their answers in one connection."""

LEAST = 3000.0
"""Requests a second."""

MARK = b"HTTP/1.1 200"

TICKS = os.sysconf("SC_CLK_TCK")


def server_speed(requests: int) -> bool:
    """Print the requests a second, and return whether they are enough."""
    each = requests // CONNECTIONS
    written = [[_request(f"Question {n} of {c}?") for n in range(each)] for c in range(CONNECTIONS)]
    with serving() as server:
        port = int(server.base_url.rpartition(":")[2].partition("/")[0])
        busy, start, own = _busy(server.pid), time.perf_counter(), time.process_time()
        asyncio.run(_ask(port, written))
        passed, own, busy = time.perf_counter() - start, time.process_time() - own, _busy(server.pid) - busy
        log = server.log()
        assert len(log) == each * CONNECTIONS
        assert all(entry.status == 200 for entry in log)
    speed = len(log) / passed
    print(
        f"server: {speed:,.0f} requests a second over {CONNECTIONS} connections; the server was busy for "
        f"{busy / passed:.0%} of the time, the client for {own / passed:.0%}; at least {LEAST:,.0f} are "
        f"needed: {'kept' if speed >= LEAST else 'BROKEN'}"
    )
    return speed >= LEAST


def _request(text: str) -> bytes:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _ask(port: int, written: Sequence[Sequence[bytes]]) -> None:
    loop = asyncio.get_running_loop()
    ends = [loop.create_future() for _ in written]
    for end, requests in zip(ends, written, strict=True):
        await loop.create_connection(partial(_Counter, end, requests), "127.0.0.1", port)
    await asyncio.gather(*ends)


class _Counter(asyncio.Protocol):
    """Write the next request for each answer."""

    def __init__(self, end: asyncio.Future[None], requests: Sequence[bytes]) -> None:
        self._end = end
        self._requests = requests
        self._sent = 0
        self._answered = 0
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._write(AT_ONCE)

    def data_received(self, data: bytes) -> None:
        # A mark may come in two parts.
        seen = self._tail + data
        self._tail = seen[1 - len(MARK) :]
        answered = seen.count(MARK)
        self._answered += answered
        self._write(answered)
        if self._answered >= len(self._requests):
            self._transport.close()
            self._end.set_result(None)

    def _write(self, count: int) -> None:
        self._transport.write(b"".join(self._requests[self._sent : self._sent + count]))
        self._sent += count


def _busy(pid: int) -> float:
    """Return the seconds that a process has used of all cores."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
