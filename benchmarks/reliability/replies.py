"""Say what a chat completion, a stream of one, vectors and an error look like on the wire."""

from __future__ import annotations

import hashlib
import json
import struct
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = Mapping[str, Any]

DIMENSIONS = 8

CREATED = 1_750_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Be one request as the server read it."""

    path: str
    port: int
    body: Json

    @property
    def model(self) -> str:
        """Return the model that is asked."""
        return str(self.body.get("model", ""))

    @property
    def streams(self) -> bool:
        """Tell whether the answer is to come in pieces."""
        return bool(self.body.get("stream"))

    @property
    def texts(self) -> list[str]:
        """Return the texts that vectors are asked for, or the last message alone."""
        given = self.body.get("input")
        if given is not None:
            return [given] if isinstance(given, str) else list(given)
        messages = self.body.get("messages") or [{}]
        return [str(messages[-1].get("content"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Be what is sent for one request, and how the connection ends."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = b""
    """None: not even a status line is sent."""
    length: int | Literal["chunked", "until closed"] | None = None
    """How long the body is said to be; None for its length."""
    end: Literal["kept", "closed", "reset", "silent", "dripping"] = "kept"
    """What becomes of the connection; *dripping* sends the body byte by byte, and then nothing more."""
    wait: float = 0.0
    """Seconds in which the client is told not to ask again."""


def answer_to(text: str) -> str:
    """Return the right answer: another one to each question, so that mixed up answers are found out."""
    return f"answer {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def vector_of(text: str) -> list[float]:
    """Return the right vector; its numbers have no rounding errors in any precision."""
    return [byte / 128 - 1 for byte in hashlib.sha256(text.encode()).digest()[:DIMENSIONS]]


def right(asked: Asked) -> Reply:
    """Return the right answer to any request."""
    return vectors(asked) if "input" in asked.body else completion(asked)


def completion(asked: Asked, *, finish: str | None = "stop", model: str = "", **message: Any) -> Reply:
    """Return a chat completion, as a stream where one is asked for.

    Args:
        asked: the request.
        finish: why the answer ends.
        model: the name that the answer gives; the one that was asked for by default.
        message: fields of the message that are not as in the right answer.
    """
    told = {"role": "assistant", "content": answer_to(asked.texts[0]), "refusal": None, **message}
    if asked.streams:
        last = piece(asked, {}, finish=finish, model=model)
        return stream([*pieces(asked, told, model=model), last], asked, model=model)
    choice = {"index": 0, "message": told, "finish_reason": finish}
    return page(_envelope(asked, "chat.completion", [choice], model) | {"usage": _usage(asked)})


def pieces(asked: Asked, message: Json, *, model: str = "") -> list[Json]:
    """Return the chunks of a stream that carry `message`."""
    first: Json = {"role": message["role"], "content": ""}
    deltas = [first, *({"content": part} for part in _parts(message.get("content") or ""))]
    if message.get("refusal"):
        deltas.append({"refusal": message["refusal"]})
    if message.get("tool_calls"):
        calls = [{"index": index, **call} for index, call in enumerate(message["tool_calls"])]
        deltas.append({"tool_calls": calls})
    return [piece(asked, delta, model=model) for delta in deltas]


def piece(asked: Asked, delta: Json, *, finish: str | None = None, model: str = "") -> Json:
    """Return one chunk of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _envelope(asked, "chat.completion.chunk", [choice], model)


def stream(chunks: Iterable[Json], asked: Asked, *, done: bool = True, model: str = "", **more: Any) -> Reply:
    """Return a stream of events; `done` says whether it ends as it should."""
    events = list(chunks)
    if done and (asked.body.get("stream_options") or {}).get("include_usage"):
        events.append(_envelope(asked, "chat.completion.chunk", [], model) | {"usage": _usage(asked)})
    lines = [json.dumps(event) for event in events] + (["[DONE]"] if done else [])
    body = "".join(f"data: {line}\n\n" for line in lines).encode()
    return Reply(body=body, length="chunked", headers={"content-type": "text/event-stream"}, **more)


def vectors(asked: Asked) -> Reply:
    """Return the vectors of the texts, in the encoding that is asked for."""
    encoded = asked.body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if encoded else vector}
        for index, vector in enumerate(map(vector_of, asked.texts))
    ]
    return page({"object": "list", "model": asked.model, "data": data, "usage": _usage(asked)})


def page(content: Json | str | bytes, *, status: int = 200, kind: str = "application/json") -> Reply:
    """Return a whole page."""
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    return Reply(
        status=status,
        body=text if isinstance(text, bytes) else text.encode(),
        headers={"content-type": kind},
    )


def error(
    status: int, *, code: str | None = None, message: str = "scripted", wait: float = 0.0, **headers: str
) -> Reply:
    """Return an error as OpenAI words it."""
    told = {"error": {"message": message, "type": "scripted_error", "param": None, "code": code}}
    reply = page(told, status=status)
    return Reply(
        status=status,
        body=reply.body,
        headers={**reply.headers, **{name.replace("_", "-"): value for name, value in headers.items()}},
        wait=wait,
    )


def _envelope(asked: Asked, kind: str, choices: Sequence[Json], model: str) -> dict[str, Any]:
    name = model or asked.model
    return {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": name, "choices": choices}


def _usage(asked: Asked) -> Json:
    words = sum(len(text.split()) for text in asked.texts)
    return {"prompt_tokens": words, "completion_tokens": 2, "total_tokens": words + 2}


def _parts(text: str) -> list[str]:
    third = max(1, -(-len(text) // 3))
    return [text[start : start + third] for start in range(0, len(text), third)]


def _base64(vector: Sequence[float]) -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
