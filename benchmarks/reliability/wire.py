"""Send replies, those too that no library would send."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from benchmarks.reliability.replies import Reply

if TYPE_CHECKING:
    from aiohttp import web

DRIP = 0.1
"""Seconds between two bytes."""

HEAD_START = 0.01
"""Seconds between headers and a reset: one that overtakes them wipes them out."""

RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing sends a reset."""


async def send(request: web.BaseRequest, reply: Reply, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send `reply`; one that ends badly only returns by being cancelled, when the connection is gone."""
    from aiohttp import web

    if reply.end == "kept" and reply.length is None:
        return web.Response(status=reply.status, body=reply.body, headers=headers)
    if reply.end == "kept":
        streamed = web.StreamResponse(status=reply.status, headers=headers)
        await streamed.prepare(request)
        for line in (reply.body or b"").splitlines(keepends=True):
            await streamed.write(line)
        return streamed
    assert isinstance(request.transport, asyncio.Transport)
    return await _spoil(request.transport, reply, headers)


async def _spoil(transport: asyncio.Transport, reply: Reply, headers: Mapping[str, str]) -> NoReturn:
    if reply.body is not None:
        transport.write(_head(reply, headers))
        await _write(transport, reply, reply.body)
    if reply.end == "closed":
        transport.close()
    if reply.end == "reset":
        await asyncio.sleep(HEAD_START)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def _write(transport: asyncio.Transport, reply: Reply, body: bytes) -> None:
    if reply.end == "dripping":
        for start in range(len(body)):
            transport.write(body[start : start + 1])
            await asyncio.sleep(DRIP)
    elif reply.length == "chunked":
        transport.write(b"%x\r\n%s\r\n" % (len(body), body))
    else:
        transport.write(body)


def _head(reply: Reply, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    if reply.length == "chunked":
        lines.append("transfer-encoding: chunked")
    elif reply.length != "until closed":
        lines.append(f"content-length: {len(reply.body or b'') if reply.length is None else reply.length}")
    return "\r\n".join([*lines, "", ""]).encode()
