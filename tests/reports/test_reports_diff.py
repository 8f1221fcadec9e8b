"""The diff of two prompts shows what changed, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.reports.diff import prompt_diff
from pytest_llmops.reports.page import Page

PAGE = Page(width=80)


def prompt(text, **fields):
    return Prompt(name="p", messages=({"role": "user", "content": text},), **fields)


def diff(old, new, page=PAGE):
    return [(line.text, line.style) for line in prompt_diff(old, new, page)]


LINES = st.lists(st.text(alphabet="abc xyz", max_size=20).map(str.strip), max_size=8)


@given(LINES, LINES)
def test_the_signs_lead_from_one_text_to_the_other(old, new):
    texts = ["\n".join(lines) for lines in (old, new)]
    before, after = (text.split("\n") if text else [] for text in texts)
    lines = [text for text, _ in diff(prompt(texts[0]), prompt(texts[1]))][1:]
    body = [line[4:] for line in lines if "@@" not in line]
    removed = [line[2:] for line in body if line[:1] == "-"]
    added = [line[2:] for line in body if line[:1] == "+"]

    # What neither goes out nor comes in is common to both texts.
    assert sorted([*added, *before]) == sorted([*removed, *after])


def test_a_changed_line():
    old, new = prompt("Sort it.\nAnswer as JSON."), prompt("Sort it.\nAnswer.")

    assert diff(old, new) == [
        ("  message 1 (user)", "dim"),
        ("  | @@ -1,2 +1,2 @@", "dim"),
        ("  |   Sort it.", "plain"),
        ("  | - Answer as JSON.", "red"),
        ("  | + Answer.", "green"),
    ]


def test_equal_prompts_have_no_diff():
    assert diff(prompt("a", parameters={"x": 1}), prompt("a", parameters={"x": 1})) == []


def test_everything_that_makes_a_version_is_shown():
    old = prompt("a", model="openai:small", parameters={"temperature": 0})
    new = replace(
        old,
        messages=({"role": "system", "content": "b"}, {"role": "user", "content": "a"}),
        model="openai:large",
        parameters={"temperature": 1, "seed": 3},
        tools=({"name": "find"},),
        response_format={"type": "json_object"},
    )
    titles = [text for text, style in diff(old, new) if style == "dim" and "|" not in text]
    lines = [text for text, style in diff(old, new) if style in ("red", "green")]

    assert titles == [
        "  message 1 (user -> system)",
        "  message 2 (user)",
        "  model",
        "  parameters",
        "  tools",
        "  response format",
    ]
    assert {"  | - openai:small", "  | + openai:large", "  | + temperature: 1", "  | + seed: 3"} <= set(lines)


def test_parts_of_messages_are_shown_as_json():
    old = prompt("a")
    new = replace(old, messages=({"role": "user", "content": [{"type": "text", "text": "b"}]},))

    assert any('"text": "b"' in text for text, _ in diff(old, new))


def test_long_lines_are_wrapped_and_long_diffs_cut():
    wrapped = diff(prompt(""), prompt("word " * 40))
    cut = diff(prompt(""), prompt("\n".join(map(str, range(5_000)))))

    assert [text[4:8] for text, _ in wrapped[2:]] == ["+ wo", "+   ", "+   "]
    assert len(cut) == 62
    assert cut[-1][0] == "  | and 4,941 more lines"


def test_a_secret_on_two_lines_is_not_shown():
    page = Page(width=80, secrets=["first-half\nsecond-half"])
    shown = diff(prompt("key:\nfirst-half\nsecond-half"), prompt("key:\nnone"), page)

    assert not any("half" in text for text, _ in shown)
