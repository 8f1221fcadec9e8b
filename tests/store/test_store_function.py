"""Functions that do the same have one digest, and others have another."""

from __future__ import annotations

import re
from functools import partial

import pytest

from pytest_llmops.store.function import class_digest, function_digest, plain

LIMIT = 3
WORDS = {"please", "thanks"}


def one(case, response):
    """Say something."""
    # A comment.
    return len(response) > LIMIT


def written_by(source, name="f", **names):
    """Return a function that stands in a file of its own."""
    space = dict(names)
    exec(compile(source, "<made>", "exec"), space)
    return space[name]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Return a function that makes modules, each with a function `f`."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def make(source):
        name = f"made_{tmp_path.name.replace('-', '_')}_{len(names)}"
        names.append(name)
        (tmp_path / f"{name}.py").write_text(source)
        return __import__(name).f

    return make


BASE = "LIMIT = 3\ndef f(case, response):\n    return len(response) > LIMIT\n"


@pytest.mark.parametrize(
    "other",
    [
        'LIMIT = 3\n\ndef f(case,response):\n    """Say."""\n    # Say\n    return (len(response)>LIMIT)\n',
        "LIMIT = 3.0\nOTHER = 4\ndef f(case, response):\n    return len(response) > LIMIT\n",
    ],
)
def test_layout_comments_and_what_is_not_used_do_not_matter(made, other):
    assert function_digest(made(BASE)) == function_digest(made(other))


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace(">", ">="),
        BASE.replace("LIMIT = 3", "LIMIT = 4"),
        BASE.replace("response):", "response, more=1):"),
        BASE.replace("LIMIT = 3", "LIMIT = {3, 4}"),
        BASE.replace("LIMIT = 3", "import re\nLIMIT = re.compile('a')"),
    ],
)
def test_statements_parameters_and_plain_values_matter(made, other):
    assert function_digest(made(BASE)) != function_digest(made(other))


def test_values_around_a_function_matter():
    def longer_than(limit):
        def long(case, response):
            return len(response) > limit

        return long

    assert function_digest(longer_than(3)) == function_digest(longer_than(3))
    assert function_digest(longer_than(3)) != function_digest(longer_than(4))


def test_a_name_around_a_function_may_have_no_value_yet():
    def early(case, response):
        return late

    assert function_digest(early)
    late = 1
    assert early(None, None) == late


def test_lambdas_and_functions_without_a_file_are_told_apart():
    same = [written_by("f = lambda c, r: len(r) > 3"), written_by("f = lambda c, r: len(r) > 3")]
    other = written_by("f = lambda c, r: len(r) > 4")

    assert function_digest(same[0]) == function_digest(same[1])
    assert function_digest(same[0]) != function_digest(other)


def test_partials_and_objects_are_told_apart():
    class Longer:
        def __init__(self, limit):
            self.limit = limit

        def __call__(self, case, response):
            return len(response) > self.limit

    things = [partial(one, 1), partial(one, 2), partial(one, response=1), Longer(1), Longer(2)]

    assert len({function_digest(thing) for thing in things}) == 5
    assert function_digest(Longer(1)) == function_digest(Longer(1))


def test_classes_are_told_apart(made):
    first = made("class f:\n    a = 1\n")
    second = made("class f:\n    a = 2\n")

    assert class_digest(first) != class_digest(second)


def test_plain_values():
    assert plain(WORDS) == plain(frozenset(WORDS))
    assert plain(re.compile("a")) != plain(re.compile("a", re.IGNORECASE))
    assert plain(object()) is plain(float("nan")) is plain(b"bytes") is None
