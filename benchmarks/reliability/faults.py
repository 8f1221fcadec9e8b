"""List the faults of a server, with what must come of each: the oracle."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import partial
from typing import Any, Literal

from benchmarks.reliability.replies import (
    Asked,
    Reply,
    answer_to,
    completion,
    error,
    page,
    piece,
    pieces,
    stream,
)
from pytest_llmops.errors import BadAnswerKind

Fit = Literal["all", "chat", "streams"]

BOMB = gzip.compress(bytes(16_000_000))
"""16 MB in 16 kB."""

CUT_CALL: dict[str, Any] = {
    "content": None,
    "tool_calls": [
        {"id": "call-1", "type": "function", "function": {"name": "look_up", "arguments": '{"city": "Par'}}
    ],
}

NAMED = re.compile(r"fault=(\w+)(?:\*(\d+))?")
"""How a question asks for a fault itself: `fault=html_200` always, `fault=html_200*2` the first two times."""

COUNTED = {"fatal": "unmeasured", "transient": "unmeasured", "bad answer": "missed", "right": "answered"}
"""How a report counts a case whose last reply was of this class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Be one way in which a server goes wrong."""

    reply: Callable[[Asked], Reply]
    comes_of: Literal["fatal", "transient", "bad answer", "right"]
    bad: BadAnswerKind | None = None
    """The kind of the bad answer."""
    fits: Fit = "all"
    """Which requests can meet it."""
    names_request: bool = True
    """Whether a request id reaches the client."""
    lasts: bool = False
    """Whether it goes on for as long as the client waits."""

    @property
    def may_be_asked_again(self) -> bool:
        """Tell whether asking again may help; cached is nothing but a right answer."""
        return self.comes_of == "transient"

    @property
    def counted(self) -> str:
        """Return how a report counts the case."""
        return COUNTED[self.comes_of]

    def fits_to(self, asked: Asked) -> bool:
        """Tell whether this request can meet the fault."""
        if self.fits == "streams":
            return asked.streams
        return self.fits == "all" or "messages" in asked.body


def _refusal(status: int, **more: Any) -> Callable[[Asked], Reply]:
    return lambda asked: error(status, **more)  # noqa: ARG005 - the same for all


def _sent(reply: Reply) -> Callable[[Asked], Reply]:
    return lambda asked: reply  # noqa: ARG005


def _elsewhere(asked: Asked) -> Reply:
    # The same server under another name: it sees who follows.
    return Reply(status=307, headers={"location": f"http://localhost:{asked.port}/elsewhere"})


def _dated(asked: Asked) -> Reply:  # noqa: ARG001
    now = time.time()
    # Dates have whole seconds: it is up to one second away.
    date = int(now) + 1
    return error(429, wait=date - now, retry_after=formatdate(date, usegmt=True))


def _no_choices(asked: Asked) -> Reply:
    return page({"object": "chat.completion", "model": asked.model, "choices": []})


def _spoilt(spoil: Callable[[bytes], bytes], **more: Any) -> Callable[[Asked], Reply]:
    def reply(asked: Asked) -> Reply:
        whole = completion(replace(asked, body={**asked.body, "stream": False}))
        assert whole.body is not None
        length = len(whole.body) if more.get("length") == "whole" else more.get("length")
        return replace(whole, body=spoil(whole.body), **{**more, "length": length})

    return reply


def _stream(asked: Asked, *, finish: str | None = None, twice: bool = False, **more: Any) -> Reply:
    told = pieces(asked, {"role": "assistant", "content": answer_to(asked.texts[0])})
    last = [piece(asked, {}, finish=finish)] if finish else []
    return stream([*told, *last, *(last if twice else [])], asked, **more)


def _stream_error(asked: Asked) -> Reply:
    told = pieces(asked, {"role": "assistant", "content": answer_to(asked.texts[0])})
    return stream(
        [*told[:2], {"error": {"message": "scripted", "type": "server_error", "code": None}}], asked
    )


_fatal = partial(Fault, comes_of="fatal")
_passing = partial(Fault, comes_of="transient")
_bad = partial(Fault, comes_of="bad answer", fits="chat")

FAULTS: dict[str, Fault] = {
    "bad_parameter": _fatal(reply=_refusal(400, code="invalid_value")),
    "long_context": _fatal(reply=_refusal(400, code="context_length_exceeded")),
    "bad_key": _fatal(reply=_refusal(401, code="invalid_api_key")),
    "forbidden": _fatal(reply=_refusal(403)),
    "no_model": _fatal(reply=_refusal(404, code="model_not_found")),
    "too_large": _fatal(reply=_refusal(413)),
    "unprocessable": _fatal(reply=_refusal(422)),
    "spent_quota": _fatal(reply=_refusal(429, code="insufficient_quota", retry_after="1")),
    "not_implemented": _fatal(reply=_refusal(501)),
    "redirect": _fatal(reply=_elsewhere),
    "status_408": _passing(reply=_refusal(408)),
    "status_409": _passing(reply=_refusal(409)),
    "status_425": _passing(reply=_refusal(425)),
    "wait_seconds": _passing(reply=_refusal(429, retry_after="1", wait=1.0)),
    "wait_milliseconds": _passing(reply=_refusal(429, retry_after="9", retry_after_ms="700", wait=0.7)),
    "wait_date": _passing(reply=_dated),
    "wait_zero": _passing(reply=_refusal(429, retry_after="0")),
    "wait_negative": _passing(reply=_refusal(429, retry_after="-5")),
    "wait_nan": _passing(reply=_refusal(429, retry_after="nan")),
    "wait_300": _passing(reply=_refusal(429, retry_after="300", wait=300.0)),
    "wait_missing": _passing(reply=_refusal(429)),
    "status_500": _passing(reply=_refusal(500)),
    "html_502": _passing(reply=_sent(page("<html>Bad gateway</html>", status=502, kind="text/html"))),
    "status_503": _passing(reply=_refusal(503)),
    "status_504": _passing(reply=_refusal(504)),
    "status_529": _passing(reply=_refusal(529, code="overloaded")),
    "reset_before": _passing(reply=_sent(Reply(body=None, end="reset")), names_request=False),
    "reset_after": _passing(reply=_spoilt(lambda body: body[:0], length="whole", end="reset")),
    "cut_body": _passing(reply=_spoilt(lambda body: body[:-30], length="whole", end="closed")),
    # What comes after the end that was announced may spoil the reading of the headers too.
    "short_length": _passing(reply=_spoilt(lambda body: body, length=40, end="closed"), names_request=False),
    "html_200": _passing(reply=_sent(page("<html>Log in</html>", kind="text/html"))),
    "error_200": _passing(reply=_sent(page({"error": {"message": "overloaded", "code": None}}))),
    "cut_json": _passing(reply=_spoilt(lambda body: body[:-30])),
    "not_utf8": _passing(reply=_spoilt(lambda body: body.replace(b"answer", b"\xff\xfe"))),
    "gzip_bomb": _passing(
        reply=_sent(
            Reply(body=BOMB, headers={"content-type": "application/json", "content-encoding": "gzip"})
        )
    ),
    "silence": _passing(reply=_sent(Reply(body=None, end="silent")), names_request=False, lasts=True),
    "drip": _passing(reply=_spoilt(lambda body: body, end="dripping"), lasts=True),
    "never_closes": _passing(
        reply=_spoilt(lambda body: body, length="until closed", end="silent"), lasts=True
    ),
    "length": _bad(reply=partial(completion, finish="length"), bad="length"),
    "content_filter": _bad(
        reply=partial(completion, finish="content_filter", content=""), bad="content_filter"
    ),
    "refusal": _bad(reply=partial(completion, content=None, refusal="I cannot."), bad="refusal"),
    "null_content": _bad(reply=partial(completion, content=None), bad="empty"),
    "empty_text": _bad(reply=partial(completion, content=""), bad="empty"),
    "cut_tool_call": _bad(reply=partial(completion, finish="tool_calls", **CUT_CALL), bad="malformed"),
    "other_model": _bad(reply=partial(completion, model="somebody-elses-model"), bad="other_model"),
    "no_choices": _bad(reply=_no_choices, bad="malformed"),
    # The connection breaks; in the next one the server ends the stream as if it were whole.
    "stream_breaks": _passing(reply=partial(_stream, done=False, end="closed"), fits="streams"),
    "stream_cut": _bad(reply=partial(_stream, done=False), bad="cut_stream", fits="streams"),
    "stream_unfinished": _bad(reply=_stream, bad="cut_stream", fits="streams"),
    "stream_error": _passing(reply=_stream_error, fits="streams"),
    "stream_stalls": _passing(reply=partial(_stream, done=False, end="silent"), fits="streams", lasts=True),
    "stream_ends_twice": Fault(
        reply=partial(_stream, finish="stop", twice=True), comes_of="right", fits="streams"
    ),
}
