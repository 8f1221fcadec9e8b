"""Score answers without an event loop in the test, and hand judges a scripted caller."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from pytest_llmops.calls.exchange import Response
from pytest_llmops.golden.case import Case


@dataclass
class Caller:
    """Answer each request with what `reply` makes of it, and keep the requests."""

    reply: object = None
    requests: list = field(default_factory=list)

    async def acall(self, request):
        self.requests.append(request)
        made = self.reply(request) if callable(self.reply) else self.reply
        if isinstance(made, Exception):
            raise made
        return Response(text=made, model="judge")


@pytest.fixture
def caller():
    """Return a caller that any scorer but a judge must leave alone."""
    return Caller(reply=AssertionError("this scorer asks no model"))


@pytest.fixture
def score(caller):
    """Return a function that scores one answer's text."""

    def scored(scorer, text, *, expected=None, inputs=None, caller=caller):
        case = Case(id="case-1", inputs=inputs or {}, expected=expected)
        response = text if isinstance(text, Response) else Response(text=text, model="m")
        return asyncio.run(scorer.score(case, response, caller))

    return scored
