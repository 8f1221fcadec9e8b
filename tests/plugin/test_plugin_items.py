"""Items of an eval test hold little until they are asked for more: then they are what pytest makes."""

from __future__ import annotations

import json
from typing import Any

import pytest

SHOW = """

import copy
import json

import pytest


def shown(item):
    return {
        "copied": copy.copy(item).nodeid == item.nodeid,
        "class": isinstance(item, pytest.Function),
        "text": repr(item),
        "nodeid": item.nodeid,
        "location": item.location,
        "keywords": sorted(item.keywords),
        "marks": [mark.name for mark in item.iter_markers()],
        "own": [mark.name for mark in item.own_markers],
        "extra": sorted(item.extra_keyword_matches),
        "id": item.callspec.id,
        "params": sorted(item.callspec.params),
        "fixtures": sorted(item.fixturenames),
        "names": [item.originalname, item.function.__name__, item.module.__name__, str(item.cls)],
        "chain": [node.name for node in item.listchain()],
        "unknown": hasattr(item, "unknown"),
        "attributes": sorted(vars(item).keys() - {"_obj"}),
        "properties": item.user_properties,
    }


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    with open("items.json", "w") as file:
        json.dump([shown(item) for item in items], file)
"""

BOTH = """
import pytest


@pytest.mark.slow
@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl"){more}
def test_items({arguments}llm_case):
    assert llm_case.text == llm_case.expected
"""

PLAIN = """
import pytest


@pytest.fixture
def llm_case(request):
    return request.param


@pytest.mark.slow
@pytest.mark.llm_eval{more}
@pytest.mark.parametrize("llm_case", [f"item-{{n}}" for n in range(20)], indirect=True)
def test_items({arguments}llm_case):
    pass
"""

STACKED = '\n@pytest.mark.parametrize("language", ["en", "de"])'

BARE = """

def pytest_collection_finish(session):
    session.items[3].colour = "red"


def pytest_sessionfinish(session):
    from pytest_llmops.plugin.items import CaseItem

    cases = [item for item in session.items if isinstance(item, CaseItem)]
    with open("bare.txt", "w") as file:
        print(len(cases), sum(item.untouched for item in cases), session.items[3].colour, file=file)
"""


def hooked(suite: Any, text: str) -> None:
    path = suite.root / "conftest.py"
    path.write_text(path.read_text() + text)


def items_of(suite: Any, body: str, *options: str) -> list[dict[str, Any]]:
    suite.body(body)
    hooked(suite, SHOW)
    suite.run("--collect-only", "-q", "-W", "ignore", *options)
    found: list[dict[str, Any]] = json.loads((suite.root / "items.json").read_text())
    return found


@pytest.mark.parametrize("arguments", ["", "language, "], ids=["alone", "stacked"])
def test_an_item_is_what_pytest_would_make(plain_suite: Any, arguments: str) -> None:
    more = STACKED if arguments else ""
    ours = items_of(plain_suite, BOTH.format(more=more, arguments=arguments))
    plugin = ("-p", "no:llmops")
    theirs = items_of(plain_suite, PLAIN.format(more=more, arguments=arguments), *plugin)
    assert len(ours) == len(theirs) == (40 if arguments else 20)
    for mine, other in zip(
        sorted(ours, key=lambda item: item["nodeid"]),
        sorted(theirs, key=lambda item: item["nodeid"]),
        strict=True,
    ):
        # Where pytest's own parameters stand in a decorator, each item has that mark, too.
        for marks in ("marks", "own"):
            other[marks] = [name for name in other[marks] if name != "parametrize"]
            mine[marks] = [name for name in mine[marks] if name != "parametrize"]
        for item in (mine, other):
            item["keywords"] = [name for name in item["keywords"] if name != "parametrize"]
            item["location"] = [item["location"][0], item["location"][2]]
        assert mine == other


def test_items_hold_little_before_and_after_their_run(plain_suite: Any) -> None:
    hooked(plain_suite, BARE)
    plain_suite.run().assert_outcomes(passed=20)
    # The first and the last of a row run as pytest runs them; what others put on an item stays.
    assert (plain_suite.root / "bare.txt").read_text().split() == ["20", "17", "red"]


def test_the_same_items_are_made_in_every_process(suite: Any) -> None:
    suite.run().assert_outcomes(passed=20)
    suite.run("-k", "item-1 or item-19").assert_outcomes(
        passed=11, deselected=0 if suite.workers == ("-n2",) else 9
    )
