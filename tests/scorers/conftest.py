"""Score answers without an event loop in the test."""

from __future__ import annotations

import asyncio

import pytest
from scorers_caller import Caller

from pytest_llmops.calls.exchange import Response
from pytest_llmops.golden.case import Case


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
