"""Large golden sets are run by a shorter way: nobody but a stopwatch may tell the difference."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

WARNED = ("-W", "default")

LONG_WAY = ("-p", "no:llmops-protocol")

LISTENER = """

import os


def told(*words):
    with open("told.txt", "a") as file:
        print(*words, file=file)


def pytest_runtest_logstart(nodeid, location):
    told("logstart", nodeid, location)


def pytest_runtest_makereport(item, call):
    told("makereport", item.nodeid, call.when, call.excinfo is None)


def pytest_runtest_logreport(report):
    told("logreport", report.nodeid, report.when, report.outcome, sorted(report.keywords), report.sections)


def pytest_exception_interact(node, call, report):
    told("interact", node.nodeid, report.when)


def pytest_runtest_logfinish(nodeid, location):
    told("logfinish", nodeid, location)
"""

TELL = """

def tell(word, name):
    with open(name, "a") as file:
        print(word, file=file)

"""

PHASES = """

import os


def pytest_runtest_logreport(report):
    with open("phases.txt", "a") as file:
        print(os.environ.get("PYTEST_CURRENT_TEST") == f"{report.nodeid} (setup)", report.when, file=file)
"""

LOUD = """
import logging
import warnings

import pytest


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
def test_items(llm_case):
    print("printed for", llm_case.id)
    logging.getLogger("body").warning("logged for %s", llm_case.id)
    warnings.warn(f"warned of {llm_case.id}")
    if llm_case.id == "item-3":
        pytest.skip("not this one")
    if llm_case.id == "item-5":
        raise RuntimeError("broken")
    assert llm_case.text == llm_case.expected
"""


def more_hooks(suite: Any, text: str) -> None:
    path = suite.root / "conftest.py"
    path.write_text(path.read_text() + text)


def taken(suite: Any, name: str) -> list[str]:
    path = suite.root / name
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def shortened(suite: Any) -> int:
    """Return how many items of a run were set up by the shorter way."""
    return sum(line == "False setup" for line in taken(suite, "phases.txt"))


def deselected(suite: Any, count: int) -> int:
    """Return how many deselected items a run tells of: workers of xdist tell of none."""
    return 0 if suite.workers == ("-n2",) else count


def printed(result: pytest.RunResult) -> list[str]:
    """Return what a run showed, times left out."""
    return [
        re.sub(r"[0-9.]+s|[0-9]+ calls? made.*|[0-9]+ answers? from.*", "", line) for line in result.outlines
    ]


def test_the_items_in_between_take_the_shorter_way(plain_suite: Any) -> None:
    more_hooks(plain_suite, PHASES)
    plain_suite.run().assert_outcomes(passed=20)
    assert shortened(plain_suite) == 18
    plain_suite.run(*LONG_WAY).assert_outcomes(passed=20)
    assert shortened(plain_suite) == 0


@pytest.mark.parametrize("options", [(), ("-x",), ("--maxfail=2",)], ids=["all", "x", "maxfail"])
def test_other_plugins_are_told_the_same(plain_suite: Any, options: tuple[str, ...]) -> None:
    plain_suite.body(LOUD)
    plain_suite.prompt(wrong=[7, 12], lost=[9], cut=[14])
    more_hooks(plain_suite, LISTENER)
    plain_suite.run(*WARNED, *LONG_WAY, *options)
    expected = taken(plain_suite, "told.txt")
    plain_suite.run(*WARNED, *options)
    assert taken(plain_suite, "told.txt") == expected
    assert len(expected) > 40


@pytest.mark.parametrize("options", [("-rA",), ("-v",), ("--tb=short", "-s")])
def test_the_output_is_the_same(plain_suite: Any, options: tuple[str, ...]) -> None:
    plain_suite.body(LOUD)
    plain_suite.prompt(wrong=[7, 12], lost=[9], cut=[14])
    plain_suite.run(*WARNED)
    longer, shorter = (printed(plain_suite.run(*WARNED, *way, *options)) for way in (LONG_WAY, ()))
    assert shorter == longer
    assert any("printed for item-7" in line for line in shorter) or "-v" in options


def test_junit_xml_is_the_same(suite: Any) -> None:
    suite.body(
        LOUD.replace("(llm_case):", '(llm_case, record_property):\n    record_property("p", llm_case.id)')
    )
    suite.prompt(wrong=[7])
    found = []
    for way in (LONG_WAY, ()):
        suite.run(*WARNED, *way, "--junit-xml=out.xml")
        cases = ET.parse(suite.root / "out.xml").getroot().iter("testcase")
        found.append(
            sorted((case.get("name"), [(part.tag, part.get("message")) for part in case]) for case in cases)
        )
    assert found[0] == found[1]
    assert len(found[0]) == 20


@pytest.mark.parametrize("hook", ["runtest_setup", "runtest_call", "runtest_teardown", "pyfunc_call"])
def test_who_has_a_hand_in_each_item_keeps_it(plain_suite: Any, hook: str) -> None:
    item = "pyfuncitem" if hook == "pyfunc_call" else "item"
    more_hooks(
        plain_suite,
        f"{PHASES}{TELL}\n\ndef pytest_{hook}({item}):\n    tell({item}.name, 'seen.txt')\n",
    )
    plain_suite.run().assert_outcomes(passed=20)
    assert taken(plain_suite, "seen.txt") == [f"test_items[item-{n}]" for n in range(20)]
    assert shortened(plain_suite) == 0


def test_who_runs_items_anew_still_does(plain_suite: Any) -> None:
    more_hooks(
        plain_suite,
        """

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    from _pytest.runner import runtestprotocol
    runtestprotocol(item, nextitem=nextitem, log=False)
    for report in runtestprotocol(item, nextitem=nextitem, log=False):
        item.ihook.pytest_runtest_logreport(report=report)
    return True
""",
    )
    plain_suite.run().assert_outcomes(passed=20)
    assert len(plain_suite.calls) == 20


def test_who_wraps_the_protocol_still_does(plain_suite: Any) -> None:
    more_hooks(
        plain_suite,
        f"""{PHASES}{TELL}

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    tell(item.name, "seen.txt")
    return (yield)
""",
    )
    plain_suite.run().assert_outcomes(passed=20)
    assert len(taken(plain_suite, "seen.txt")) == 20
    assert shortened(plain_suite) == 18


FIXTURES = {
    "autouse": "@pytest.fixture(autouse=True)\ndef around():\n    told()\n    yield\n    told()\n",
    "over ours": "@pytest.fixture\ndef llm_case(llm_case):\n    told()\n    yield llm_case\n    told()\n",
}


@pytest.mark.parametrize("name", FIXTURES)
def test_fixtures_of_the_user_are_set_up_and_torn_down(plain_suite: Any, name: str) -> None:
    told = f"import pytest\n{TELL}\ndef told():\n    tell('told', 'told.txt')\n\n\n"
    body = (plain_suite.root / "test_items.py").read_text().replace("import pytest\n", "")
    plain_suite.body(told + FIXTURES[name] + body)
    plain_suite.run().assert_outcomes(passed=20)
    assert len(taken(plain_suite, "told.txt")) == 40


SHAPES = {
    "capsys": ("llm_case, capsys", "print('x')\n    assert capsys.readouterr().out == 'x\\n'", ""),
    "request": ("llm_case, request", "assert request.node.name.startswith('test_items[item-')", ""),
    "no case": ("request", "assert request.getfixturevalue('llm_case').text", ""),
    "parametrize": (
        "llm_case, lang",
        "assert lang in 'de en'",
        '@pytest.mark.parametrize("lang", ["de", "en"])',
    ),
    "mark": ("llm_case", "assert llm_case.text", "@pytest.mark.slow"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_tests_of_other_shapes_run(suite: Any, name: str) -> None:
    arguments, body, decorator = SHAPES[name]
    suite.body(
        f"""
import pytest


{decorator}
@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
def test_items({arguments}):
    {body}


class TestItems:
    @pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
    def test_method(self, llm_case):
        assert llm_case.text == "yes"
"""
    )
    (suite.root / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    suite.run().assert_outcomes(passed=60 if name == "parametrize" else 40)
    if name == "mark":
        suite.run("-m", "slow").assert_outcomes(passed=20, deselected=deselected(suite, 20))


def test_marks_that_are_added_to_single_items_count(plain_suite: Any) -> None:
    more_hooks(
        plain_suite,
        """

import pytest


def pytest_collection_modifyitems(items):
    items[5].add_marker(pytest.mark.skip(reason="not now"))
    items[6].add_marker(pytest.mark.xfail(reason="known", strict=True))
""",
    )
    plain_suite.prompt(wrong=[6])
    plain_suite.run().assert_outcomes(passed=18, skipped=1, xfailed=1)


@pytest.mark.parametrize("options", [(), ("-x",)], ids=["all", "x"])
def test_what_others_set_up_is_torn_down_with_the_last_item(
    plain_suite: Any, options: tuple[str, ...]
) -> None:
    body = (plain_suite.root / "test_items.py").read_text()
    plain_suite.body(
        body.replace(
            "import pytest\n",
            """
import pytest


@pytest.fixture(scope="module")
def opened():
    yield
    raise RuntimeError("broken at the end")


def test_first(opened):
    pass
""",
        )
    )
    (plain_suite.root / "test_other.py").write_text("def test_other():\n    pass\n")
    plain_suite.prompt(wrong=[10])
    plain_suite.run()
    longer, shorter = (plain_suite.run(*way, *options) for way in (LONG_WAY, ()))
    assert printed(shorter) == printed(longer)
    last = "10" if options else "19"
    shorter.stdout.fnmatch_lines([f"ERROR test_items.py::test_items[[]item-{last}[]] - *broken at the end*"])


def test_items_can_be_chosen(suite: Any) -> None:
    suite.prompt(wrong=[7, 12])
    suite.run("test_items.py::test_items[item-4]").assert_outcomes(passed=1)
    suite.run("-k", "item-1").assert_outcomes(passed=10, failed=1, deselected=deselected(suite, 9))
    assert suite.run().parseoutcomes()["failed"] == 2
    suite.run("--lf").assert_outcomes(failed=2)
    listed = suite.run("--collect-only", "-q").outlines
    assert [line for line in listed if "::" in line] == [
        f"test_items.py::test_items[item-{n}]" for n in range(20)
    ]


def test_scorers_of_the_user_get_an_event_loop_for_known_answers_too(plain_suite: Any) -> None:
    plain_suite.body(
        """
import asyncio

import pytest

from pytest_llmops import Metric, Score


class Slow:
    metric = Metric(name="slow", version="1")

    async def score(self, case, response, caller):
        await asyncio.get_running_loop().run_in_executor(None, int)
        return Score(value=1.0, passed=True)


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_metric(Slow())
def test_items(llm_case):
    assert llm_case.text == "yes"
"""
    )
    for _ in range(2):
        result = plain_suite.run()
        result.assert_outcomes(passed=20)
        result.stdout.fnmatch_lines(["*slow*20 of 20*"])
    assert len(plain_suite.calls) == 20


def test_known_and_unknown_answers_mix(suite: Any) -> None:
    suite.golden(range(0, 40, 2))
    suite.run().assert_outcomes(passed=20)
    suite.golden(range(40))
    suite.run().assert_outcomes(passed=40)
    assert len(suite.calls) == 40
