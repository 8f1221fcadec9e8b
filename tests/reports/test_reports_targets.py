"""The diff of two versions of a target names what it is made of, and breaks texts where they break."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.prompts.target import prompt_artifact, target_changes, target_version
from pytest_llmops.reports.diff import prompt_diff
from pytest_llmops.reports.page import Page

CODE = "0123456789abcdef" * 4
OTHER = "f" * 64


def target(code=CODE, version=None, **artifacts):
    return target_version("chain", code=code, version=version, artifacts=artifacts)


def diff(old, new):
    return [line.text for line in prompt_diff(old, new, Page(width=80))]


def artifact(text):
    return prompt_artifact(Prompt(name="p", messages=({"role": "user", "content": text},)))


def test_a_changed_line_of_a_prompt_is_one_line_of_the_diff():
    old, new = artifact("Sort it.\nOne word.\nBe quick."), artifact("Sort it.\nTwo words.\nBe quick.")
    lines = diff(target(plan=old), target(plan=new))
    assert lines[0] == "  artifact plan"
    assert [line for line in lines if line[4] in "+-"] == [
        "  | -     One word.\\n",
        "  | +     Two words.\\n",
    ]


def test_a_backslash_before_an_n_is_no_line_end():
    lines = diff(target(plan=json.dumps("C:\\new")), target(plan=json.dumps("C:\\name")))
    assert lines[-2:] == ['  | - "C:\\\\new"', '  | + "C:\\\\name"']


def test_code_is_shown_by_its_start_and_a_version_in_full():
    assert diff(target(version="1"), target(code=OTHER, version="2")) == [
        "  the function and its version",
        "  | @@ -1,2 +1,2 @@",
        '  | - code: "0123456789ab"',
        '  | - version: "1"',
        '  | + code: "ffffffffffff"',
        '  | + version: "2"',
    ]


def test_a_prompt_that_became_a_target_shows_both():
    lines = diff(Prompt(name="p", messages=({"role": "user", "content": "Sort."},)), target(plan="x"))
    assert "  | - Sort." in lines
    assert "  | + target" in lines


PARTS = st.dictionaries(st.sampled_from("abcde"), st.sampled_from("xyz"), max_size=4)


@given(PARTS, PARTS)
def test_what_differs_is_named_and_nothing_else(old, new):
    differing = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    assert set(target_changes(target(**old), target(**new))) == differing
    assert target_changes(target(), target(code=OTHER)) == ("code",)
    assert target_changes(target(), target(version="2")) == ("version",)
