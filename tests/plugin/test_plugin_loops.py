"""Hold that suites run beside every way of running event loops, with every warning an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_llmops.project import Project
from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.settings import Settings

MARK = '@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")'

SYNC = f"""
import pytest

{MARK}
def test_items(llm_case):
    assert llm_case.text == llm_case.expected
"""

OWN_LOOP = f"""
import asyncio
import pytest

{MARK}
def test_items(llm_case):
    async def said():
        await asyncio.sleep(0)
        return llm_case.text

    assert asyncio.run(said()) == llm_case.expected
"""

STRICT = f"""
import asyncio
import pytest
import pytest_asyncio

@pytest_asyncio.fixture
async def loop_of_fixture():
    await asyncio.sleep(0)
    yield asyncio.get_running_loop()

@pytest.mark.asyncio
{MARK}
async def test_items(llm_case, loop_of_fixture):
    await asyncio.sleep(0)
    assert asyncio.get_running_loop() is loop_of_fixture
    assert llm_case.text == llm_case.expected
"""

AUTO = STRICT.replace("@pytest.mark.asyncio\n", "").replace("pytest_asyncio.fixture", "pytest.fixture")

ANYIO = f"""
import anyio
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture
async def passed_on(anyio_backend):
    await anyio.sleep(0)
    yield "passed on"

@pytest.mark.anyio
{MARK}
async def test_items(llm_case, passed_on):
    await anyio.sleep(0)
    assert (passed_on, llm_case.text) == ("passed on", llm_case.expected)
"""

RUNNING_LOOP = """
import asyncio
import pytest

@pytest.mark.asyncio
@pytest.mark.parametrize("n", range(20))
async def test_items(llm, n):
    assert asyncio.get_running_loop().is_running()
    assert llm("ask", n=n).text == "yes"

@pytest.fixture
def asked(llm):
    return llm("ask", n=20)

def test_sync(asked):
    assert asked.text == "yes"
"""

SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")

STRICTLY = (*SCOPE, "--asyncio-mode=strict")

AUTOMATICALLY = (*SCOPE, "--asyncio-mode=auto")

KINDS = {
    "sync": (SYNC, ("-p", "no:asyncio", "-p", "no:anyio")),
    "own loop": (OWN_LOOP, ("-p", "no:asyncio", "-p", "no:anyio")),
    "sync beside asyncio strict": (SYNC, STRICTLY),
    "sync beside asyncio auto": (SYNC, AUTOMATICALLY),
    "asyncio strict": (STRICT, STRICTLY),
    "asyncio auto": (AUTO, AUTOMATICALLY),
    "anyio": (ANYIO, ("-p", "no:asyncio")),
    "anyio beside asyncio strict": (ANYIO, STRICTLY),
}


@pytest.fixture
def loops(suite: Any) -> Any:
    suite.golden(range(6))
    return suite


def run(suite: Any, body: str, *arguments: str) -> pytest.RunResult:
    suite.body(body)
    # Not as the other suites are run: these need the plugins for loops.
    return suite.pytester.runpytest_inprocess(
        *suite.workers, "-p", "no:hypothesispytest", "-W", "error", *arguments
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_way_of_running_loops_works_without_a_warning(loops: Any, kind: str) -> None:
    body, options = KINDS[kind]
    result = run(loops, body, *options)
    result.assert_outcomes(passed=6)
    assert result.ret == 0
    assert len(loops.calls) == 6


@pytest.mark.parametrize("kind", KINDS)
def test_a_live_control_is_held_to_the_same_body(loops: Any, kind: str) -> None:
    loops.prompt(wrong=[2])
    registry = Project(Path(loops.root), Settings()).registry
    prompt = read_prompt(Path(loops.root) / "prompts" / "ask.prompt.yml")
    registry.alias("ask", "production", registry.register(prompt))
    loops.prompt(wrong=[4], say="Reply.")
    body, options = KINDS[kind]
    result = run(loops, body, *options, "--llmops-baseline=alias:production")
    assert result.ret == 0, result.stdout.str()
    result.assert_outcomes(passed=5, xfailed=1)
    assert len(loops.calls) == 12
    result.stdout.fnmatch_lines(["*passed *6 *83.3 % *83.3 %*"])


@pytest.mark.parametrize("options", [STRICTLY, AUTOMATICALLY], ids=["strict", "auto"])
def test_a_running_loop_may_wait_for_a_model(loops: Any, options: tuple[str, ...]) -> None:
    result = run(loops, RUNNING_LOOP, *options)
    result.assert_outcomes(passed=21)
    assert sorted(loops.calls, key=int) == [str(n) for n in range(21)]
