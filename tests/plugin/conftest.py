"""Make small eval suites for real pytest runs inside the tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import genai_prices  # noqa: F401 - kept loaded, since a run inside the tests unloads what it imported
import jinja2  # noqa: F401
import numpy as np  # noqa: F401
import pytest
import scipy.special
import scipy.stats  # noqa: F401
import tabulate  # noqa: F401
import yaml  # noqa: F401

CALLS = "calls.txt"

QUIET = ("-p", "no:hypothesispytest", "-p", "no:asyncio")
"""Plugins of the outer run that the inner ones do not need."""

CONFTEST = '''
import os
import re

from pytest_llmops import FatalCallError, BadAnswerError, Response, ScriptedProvider, Usage


def reply(request):
    """Obey the prompt: it says on which items to be wrong, to be lost, to be cut off."""
    text = request.messages[-1]["content"]
    item = text.rpartition("Item ")[2].strip()
    told = {kind: set(words.split()) for kind, words in re.findall(r"(Wrong|Lost|Cut): ([^.]*)[.]", text)}
    with open(os.environ["CALLS"], "a") as file:
        file.write(item + "\\n")
    if item in told.get("Lost", ()):
        raise FatalCallError("status 401: no", request_id=f"req-{item}")
    if item in told.get("Cut", ()):
        raise BadAnswerError("the answer is cut off", kind="length")
    return "no" if item in told.get("Wrong", ()) else "yes"


def pytest_llmops_provider(name):
    return ScriptedProvider(reply) if name == "scripted" else None
'''

BODY = """
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
def test_items(llm_case):
    assert llm_case.text == llm_case.expected
"""


@dataclass
class Suite:
    """Be one project with an eval suite, and run pytest in it."""

    pytester: pytest.Pytester
    workers: Sequence[str]

    @property
    def root(self) -> Path:
        return self.pytester.path

    def prompt(
        self,
        *,
        wrong: Iterable[int] = (),
        lost: Iterable[int] = (),
        cut: Iterable[int] = (),
        say: str = "Answer.",
    ) -> None:
        def told(kind: str, items: Iterable[int]) -> str:
            listed = " ".join(str(item) for item in items)
            return f" {kind}: {listed}." if listed else ""

        content = f"{say}{told('Wrong', wrong)}{told('Lost', lost)}{told('Cut', cut)} Item {{{{ n }}}}"
        (self.root / "prompts").mkdir(exist_ok=True)
        (self.root / "prompts" / "ask.prompt.yml").write_text(
            f"model: scripted:model\nmessages:\n  - role: user\n    content: '{content}'\n"
        )

    def golden(self, numbers: Iterable[int], **more: object) -> None:
        rows = [{"id": f"item-{n}", "inputs": {"n": n}, "expected": "yes", **more} for n in numbers]
        (self.root / "golden").mkdir(exist_ok=True)
        (self.root / "golden" / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def body(self, text: str) -> None:
        (self.root / "test_items.py").write_text(text)

    def run(self, *arguments: str) -> pytest.RunResult:
        # In this process, which has imported everything already; the workers of -n2 are processes anyway.
        return self.pytester.runpytest_inprocess(*self.workers, *QUIET, *arguments)

    @property
    def calls(self) -> list[str]:
        """Return the items that the provider was asked for, since the last look."""
        path = self.root / CALLS
        asked = path.read_text().split() if path.exists() else []
        path.write_text("")
        return asked

    def stored(self) -> dict[str, bytes]:
        """Return the files that a baseline consists of, the varying ones left out."""
        home = self.root / ".llmops"
        files = [path for path in home.rglob("*") if path.is_file() and "local" not in path.parts]
        return {path.relative_to(home).as_posix(): path.read_bytes() for path in sorted(files)}


@pytest.fixture(params=[(), ("-n0",), ("-n2",)], ids=["plain", "n0", "n2"])
def workers(request: pytest.FixtureRequest) -> Sequence[str]:
    """Return the options of xdist: none given, no worker, two workers."""
    return tuple(request.param)


@pytest.fixture
def make_suite(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Sequence[str]], Suite]:
    """Return a function that makes a suite of 20 items that are all answered right."""

    def make(workers: Sequence[str]) -> Suite:
        monkeypatch.setenv("CALLS", str(pytester.path / CALLS))
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        monkeypatch.setenv("COLUMNS", "100")
        pytester.makeconftest(CONFTEST)
        # A root of its own: no folder above the temporary one is asked.
        (pytester.path / "llmops.toml").write_text("")
        suite = Suite(pytester, workers)
        suite.body(BODY)
        suite.prompt()
        suite.golden(range(20))
        return suite

    return make


@pytest.fixture
def suite(make_suite: Callable[[Sequence[str]], Suite], workers: Sequence[str]) -> Suite:
    """Return a suite that is run without xdist, with `-n0` and with `-n2`."""
    return make_suite(workers)


@pytest.fixture
def plain_suite(make_suite: Callable[[Sequence[str]], Suite]) -> Suite:
    """Return a suite that is run in one process."""
    return make_suite(("-p", "no:xdist"))
