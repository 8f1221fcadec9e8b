"""A real OpenAI-compatible server on 127.0.0.1 with scripted replies and faults, which logs what it sees.

Replies are taken in turn from `script(...)`; when that is empty, the server echoes the last message. Each is

* `answer("text", ...)`: a chat completion;
* `Reply(status=..., body=..., headers=...)`: anything else, sent as it is;
* `DROP`: the connection is closed without a word;
* `HANG`: no answer, until the client hangs up or the server closes.

`stream(...)` is a streamed chat completion, `vectors(...)` are embeddings. CONNECT, which asks a proxy for a
tunnel, is logged and refused.

The log holds one `Seen` for each request. For runs in another process hand `endpoint.environment` to it.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Be one scripted HTTP answer."""

    status: int = 200
    body: bytes | str | Mapping[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    """A false Content-Length."""
    raw: bytes | None = None
    """Bytes in place of all of HTTP."""
    portions: Iterable[bytes] | None = None
    """Portions of a body, sent one by one and chunked, in place of `body`."""
    cut: bool = False
    """Break off after the last portion."""

    def payload(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Be one request that arrived."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    method: str = "POST"
    raw: bytes = b""
    """The body as it came."""
    port: int = 0
    """The client's end of the connection."""

    @property
    def text(self) -> str:
        """Return the content of the last message."""
        return str(self.body["messages"][-1]["content"])


DROP = "drop"
HANG = "hang"

Scripted = Reply | str | Callable[[Seen], Reply]


MODEL = "<an edition of the model that was asked>"
"""Stands for the name of the model in replies."""


def answer(
    text: str | None = "ok", *, finish_reason: str | None = "stop", model: str = MODEL, **message: Any
) -> Reply:
    """Return a chat completion; further fields go into its message."""
    choice = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": text, **message},
    }
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return Reply(
        body={
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [choice],
            "usage": usage,
        },
        headers={"x-request-id": "req-1"},
    )


def error(status: int, *, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    """Return an error as OpenAI words it; header names are given with underscores."""
    return Reply(
        status=status,
        body={"error": {"message": message, "code": code, "type": None, "param": None}},
        headers={
            "x-request-id": "req-1",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )


def chunk(
    content: str | None = None, *, finish_reason: str | None = None, **fields: Any
) -> Mapping[str, Any]:
    """Return one chunk of a streamed chat completion; further fields go into its delta."""
    delta = {**({} if content is None else {"content": content}), **fields}
    return {
        "object": "chat.completion.chunk",
        "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


USAGE = {
    "model": MODEL,
    "choices": [],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}
"""The chunk with which a stream tells what it cost."""


def stream(*events: Mapping[str, Any] | str, cut: bool = False, **headers: str) -> Reply:
    """Return a stream of events; the last one, a text, is mostly `[DONE]`."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return Reply(
        portions=[f"data: {text}\n\n".encode() for text in texts],
        headers={"content-type": "text/event-stream", "x-request-id": "req-1", **headers},
        cut=cut,
    )


def vectors(*rows: Any, model: str = MODEL, **fields: Any) -> Reply:
    """Return embeddings; a row may be its vector, as numbers or base64, or the whole of it."""
    data = [
        row if isinstance(row, dict) else {"object": "embedding", "index": index, "embedding": row}
        for index, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return Reply(
        body={"object": "list", "data": data, "model": model, "usage": usage, **fields},
        headers={"x-request-id": "req-1"},
    )


def echo(seen: Seen) -> Reply:
    """Answer with the text of the last message."""
    return answer(seen.text)


class Endpoint:
    """Serve chat completions until `close`."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.otherwise: Scripted = echo
        self._script: deque[Scripted] = deque()
        self._arrival = threading.Condition()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.endpoint = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def base_url(self) -> str:
        return f"http://{self.host}/v1"

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables that lead the openai provider here."""
        return {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": "no-key-needed"}

    @property
    def texts(self) -> list[str]:
        """Return the last message of each request, in the order of arrival."""
        return [seen.text for seen in self.seen]

    def script(self, *replies: Scripted) -> None:
        """Give the next requests these replies, one each."""
        self._script.extend(replies)

    def unscript(self) -> None:
        """Forget replies that were not used."""
        self._script.clear()

    def wait_for(self, count: int) -> None:
        """Wait until `count` requests have arrived in all."""
        with self._arrival:
            assert self._arrival.wait_for(lambda: len(self.seen) >= count, timeout=30)

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def arrived(self, seen: Seen) -> None:
        with self._arrival:
            self.seen.append(seen)
            self._arrival.notify_all()

    def reply_to(self, seen: Seen) -> Reply | str:
        with self._arrival:
            self.arrived(seen)
            scripted = self._script.popleft() if self._script else self.otherwise
        return scripted(seen) if callable(scripted) else scripted

    def hang(self) -> None:
        self._closing.wait()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Many clients connect at once; the default queue of 5 refuses them.
    request_queue_size = 256
    endpoint: Endpoint

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without it each answer waits 40 ms for the acknowledgement of its headers.
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        seen = self._seen(json.loads(raw), raw)
        reply = self.server.endpoint.reply_to(seen)
        if isinstance(reply, Reply):
            self._send(reply, f"{seen.body.get('model')}-1".encode())
            return
        if reply == HANG:
            self.server.endpoint.hang()
        self.close_connection = True

    def do_CONNECT(self) -> None:
        self.server.endpoint.arrived(self._seen({}, b""))
        self.send_error(503)
        self.close_connection = True

    def _seen(self, body: Mapping[str, Any], raw: bytes) -> Seen:
        headers = {name.lower(): value for name, value in self.headers.items()}
        port = self.client_address[1]
        return Seen(path=self.path, headers=headers, body=body, method=self.command, raw=raw, port=port)

    def _send(self, reply: Reply, model: bytes) -> None:
        if reply.raw is not None:
            self.wfile.write(reply.raw)
            self.close_connection = True
            return
        if reply.portions is not None:
            self._send_portions(reply, reply.portions, model)
            return
        data = reply.payload().replace(MODEL.encode(), model)
        headers = {
            "content-type": "application/json",
            "content-length": str(len(data) if reply.length is None else reply.length),
            **reply.headers,
        }
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = reply.length is not None

    def _send_portions(self, reply: Reply, portions: Iterable[bytes], model: bytes) -> None:
        self.send_response(reply.status)
        for name, value in {**reply.headers, "transfer-encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        for portion in portions:
            data = portion.replace(MODEL.encode(), model)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if not reply.cut:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = reply.cut

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Endpoint]:
    """Serve for the length of a with block."""
    endpoint = Endpoint()
    try:
        yield endpoint
    finally:
        endpoint.close()
