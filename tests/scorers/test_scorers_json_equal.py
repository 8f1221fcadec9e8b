"""Parts of a JSON value can be left out of the comparison."""

from __future__ import annotations

import json

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.text import text_scorer

EXPECTED = {"id": 1, "items": [{"ts": 5, "n": 1}, {"ts": 6, "n": 2}], "a.b": {"x": 1}}


@pytest.mark.parametrize(
    ("ignore", "change", "reason"),
    [
        (["$.id"], {"id": 9}, ""),
        (["$['id']"], {"id": 9}, ""),
        (["$.*"], {"id": 9, "items": None, "more": 1}, ""),
        (["$.more"], {"more": 1}, ""),
        (["$.items[*].ts"], {"items": [{"n": 1}, {"ts": 0, "n": 2}]}, ""),
        (["$.items[0]"], {"items": [None, {"ts": 6, "n": 2}]}, ""),
        (["$.items.*.ts", '$["a.b"].x'], {"items": [{"n": 1}, {"n": 2}], "a.b": {}}, ""),
        (["$.items[*].ts"], {"items": [{"ts": 5, "n": 7}, {"ts": 6, "n": 2}]}, "$.items[0].n is 7, not 1"),
        (["$.items[1].n"], {"items": [{"ts": 5, "n": 7}, {"n": 3, "ts": 6}]}, "$.items[0].n is 7, not 1"),
        (["$.items[*].ts"], {"items": []}, "$.items is []"),
        (["$.id"], {"ident": 1}, "$.ident is not expected"),
        (["$.a.b"], {"a.b": {"x": 2}}, "$.a.b.x is 2, not 1"),
    ],
)
def test_what_is_ignored_may_differ_and_nothing_else(score, ignore, change, reason):
    found = score(
        text_scorer("json_equal", ignore=ignore), json.dumps({**EXPECTED, **change}), expected=EXPECTED
    )

    assert found.passed is (not reason)
    assert reason in found.reason


def test_a_missing_part_may_be_ignored(score):
    assert score(text_scorer("json_equal", ignore=["$.id"]), "{}", expected={"id": 1}).passed


@pytest.mark.parametrize(
    "path", ["", "$", "id", "$..id", "$.items[", "$.items[x]", "$.items[-1]", 3, "$.a b[*"]
)
def test_a_path_that_cannot_be_read_is_refused(path):
    with pytest.raises(MisuseError, match="of ignore cannot be read"):
        text_scorer("json_equal", ignore=[path])


def test_one_path_is_a_list_too():
    with pytest.raises(MisuseError, match="give a list of paths"):
        text_scorer("json_equal", ignore="$.id")


def test_what_is_ignored_is_part_of_the_version():
    plain, *ignoring = (text_scorer("json_equal", ignore=each) for each in (None, ["$.a"], ["$.b"]))
    assert len({plain.metric.version, *(each.metric.version for each in ignoring)}) == 3
