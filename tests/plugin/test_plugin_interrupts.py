"""Hold that sessions that are told to stop end in order, and say what stopped them."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from benchmarks.reliability.suites import LEFTOVERS, left_behind

KILLS = """
import os
import signal
import pytest

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
def test_items(llm_case, request):
    if llm_case.id == "item-3":
        os.kill({whom}, signal.{name})
"""

OWN = "os.getpid()"

CONTROLLER = 'os.getppid() if hasattr(request.config, "workerinput") else os.getpid()'
"""Workers are its children."""

HELD = ("claims", "owners", "attempts")


def stopped(suite: Any, name: str, *arguments: str, whom: str = CONTROLLER) -> pytest.RunResult:
    suite.body(KILLS.format(whom=whom, name=name))
    workers = [*suite.workers, "-p", "no:hypothesispytest", "-p", "no:asyncio"]
    return suite.pytester.runpytest_subprocess(*workers, "-v", *arguments)


def rows(suite: Any, table: str) -> int:
    with closing(sqlite3.connect(suite.root / ".llmops" / "local" / "cache.sqlite")) as connection:
        count: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return count


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stopped_session_says_so_keeps_its_answers_and_holds_nothing(suite: Any, name: str) -> None:
    result = stopped(suite, name)
    assert result.ret == 128 + signal.Signals[name]
    assert {table: rows(suite, table) for table in HELD} == dict.fromkeys(HELD, 0)

    asked = suite.calls
    assert len(set(asked)) == len(asked)
    suite.body(KILLS.format(whom=OWN, name="SIGTERM").replace("item-3", "none"))
    assert suite.run().ret == 0
    # Whatever was cut off under way may be asked for again; what was kept is not.
    again = suite.calls
    assert {"0", "1", "2", "3"}.isdisjoint(again)
    assert len(set(asked) | set(again)) == 20
    assert rows(suite, "answers") == 20


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_worker_that_is_told_to_stop_ends_the_session_in_order(make_suite: Any, name: str) -> None:
    suite = make_suite(("-n2",))
    result = stopped(suite, name, whom=OWN)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*received keyboard-interrupt*"])
    assert {table: rows(suite, table) for table in HELD} == dict.fromkeys(HELD, 0)


def test_what_pytest_stops_itself_is_no_ctrl_c(suite: Any) -> None:
    suite.prompt(wrong=[3])
    assert suite.run("-x").ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    (suite.root / "test_broken.py").write_text("import nothing_of_this_name\n")
    assert suite.run().ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)


def test_a_handler_that_the_user_set_stays(plain_suite: Any) -> None:
    with (plain_suite.root / "conftest.py").open("a") as file:
        file.write("\nimport signal\nsignal.signal(signal.SIGTERM, lambda *told: print('own handler'))\n")
    result = stopped(plain_suite, "SIGTERM", "-s")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*own handler*"])


BEFORE = """
import signal

before = signal.getsignal(signal.SIGTERM)

def pytest_unconfigure():
    assert signal.getsignal(signal.SIGTERM) is before
"""


def test_sigterm_is_given_back(plain_suite: Any) -> None:
    with (plain_suite.root / "conftest.py").open("a") as file:
        file.write(BEFORE)
    assert plain_suite.run().ret == 0


NO_LINE = """
import pytest

def pytest_keyboard_interrupt(excinfo):
    raise TypeError("unsupported operand type(s) for -: 'NoneType' and 'int'")
"""


def test_an_interrupt_that_pytest_cannot_show_has_its_status_all_the_same(plain_suite: Any) -> None:
    # As pytest does where Python knows no line of the place: rarely, so it is played here.
    with (plain_suite.root / "conftest.py").open("a") as file:
        file.write(NO_LINE)
    assert stopped(plain_suite, "SIGINT").ret == 130


CLOSING = """
import asyncio
import os
import signal

from pytest_llmops import ScriptedProvider


class Slow(ScriptedProvider):
    async def aclose(self):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()


def pytest_llmops_provider(name):
    return Slow("yes") if name == "scripted" else None
"""


def test_an_interrupt_while_connections_close_leaves_nothing(plain_suite: Any) -> None:
    plain_suite.pytester.makeconftest(LEFTOVERS + CLOSING)
    result = stopped(plain_suite, "SIGINT")
    assert result.ret in (-signal.SIGINT, 130)
    assert left_behind(plain_suite.root) == {}
    assert {table: rows(plain_suite, table) for table in HELD} == dict.fromkeys(HELD, 0)
