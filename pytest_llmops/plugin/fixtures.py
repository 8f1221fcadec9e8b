"""Offer the fixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.plugin import stash

if TYPE_CHECKING:
    from pytest_llmops.golden.case import GoldenSet
    from pytest_llmops.plugin.case import LlmCase
    from pytest_llmops.plugin.llm_calls import Llm
    from pytest_llmops.project import Project
    from pytest_llmops.prompts.prompt import Prompt

T = TypeVar("T")


@pytest.fixture
def llm_case(request: pytest.FixtureRequest) -> LlmCase:
    """Return the golden case with the model's answer: id, inputs, expected, tags, text, json, response."""
    if not hasattr(request, "param"):
        pytest.fail(
            "The fixture llm_case needs the marker llm_eval(prompt, golden) on the test.", pytrace=False
        )
    return stash.recorder(request.config).answer(request.node)


@pytest.fixture
def prompts(request: pytest.FixtureRequest) -> Callable[[str], Prompt]:
    """Return a function that reads a prompt: `prompts("triage")`, `prompts("triage@production")`."""

    def prompt(spec: str) -> Prompt:
        return _told(lambda: _project(request).prompt(spec, request.path))

    return prompt


@pytest.fixture
def golden_set(request: pytest.FixtureRequest) -> Callable[[str], GoldenSet]:
    """Return a function that reads a golden set: `golden_set("triage.jsonl")`."""

    def golden(name: str) -> GoldenSet:
        return _told(lambda: _project(request).golden_set(name, request.path))

    return golden


@pytest.fixture
def llm(request: pytest.FixtureRequest) -> Llm:
    """Return what asks a model, through the cache: `llm("triage", text="…")`, `await llm.acall(…)`."""
    from pytest_llmops.plugin.llm_calls import TestLlm

    project = _project(request)
    return TestLlm(project, request.path, stash.projects(request.config).loop)


def _project(request: pytest.FixtureRequest) -> Project:
    return _told(lambda: stash.projects(request.config).of(request.path))


def _told(read: Callable[[], T]) -> T:
    try:
        return read()
    except MisuseError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
