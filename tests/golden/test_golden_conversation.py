"""A row may hold a conversation so far and retrieved passages; both are asked, so both are in its digest."""

from __future__ import annotations

import json

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.golden.files import read_golden

TURN = {"role": "user", "content": "When do you open?"}


def read(tmp_path, **row):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"id": "a", **row}) + "\n")
    (case,) = read_golden(path)
    return case


def test_messages_and_passages_are_read(tmp_path):
    case = read(tmp_path, inputs={"q": "And in winter?"}, messages=[TURN], context=["At nine.", "At ten."])

    assert case.messages == (TURN,)
    assert case.context == ("At nine.", "At ten.")
    assert read(tmp_path, inputs={}, context="At nine.").context == ("At nine.",)


def test_a_conversation_alone_needs_no_inputs(tmp_path):
    assert read(tmp_path, messages=[TURN]).inputs == {}
    with pytest.raises(MisuseError, match="no `inputs`"):
        read(tmp_path, messages=[])


def test_both_are_part_of_the_digest_and_rows_without_keep_theirs(tmp_path):
    plain = read(tmp_path, inputs={"q": "?"})
    others = [
        read(tmp_path, inputs={"q": "?"}, messages=[TURN]),
        read(tmp_path, inputs={"q": "?"}, context=["At nine."]),
        read(tmp_path, inputs={"q": "?"}, context=["At ten."]),
    ]

    assert len({case.digest for case in (plain, *others)}) == 4
    assert read(tmp_path, inputs={"q": "?"}, messages=[], context=[]).digest == plain.digest
    assert plain.digest == "67f8afe9c84b2b26a4360351492b8bb33d0c2781b5f120b4f6facbc68b46e4b6"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": "Hello"}, "`?messages`?.*the conversation so far; this is the text"),
        ({"messages": ["Hello"]}, "the conversation so far; this is the text 'Hello'"),
        ({"messages": [{"content": "Hello"}]}, "the conversation so far; this is a mapping"),
        ({"context": {"a": 1}}, "the retrieved passages; this is a mapping"),
        ({"context": ["a", 1]}, "a passage must be text, not the number 1"),
    ],
)
def test_what_is_neither_is_refused_with_its_line(tmp_path, row, message):
    with pytest.raises(MisuseError, match=message) as told:
        read(tmp_path, inputs={"q": "?"}, **row)

    assert "line 1" in str(told.value)
