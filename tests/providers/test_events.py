from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_llmops.providers.events import EventReader

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=8)
lines = texts | texts.map(lambda text: f"data:{text}") | texts.map(lambda text: f"data: {text}")
ends = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\r\r"])
streams = st.lists(st.tuples(lines, ends)).map(lambda pairs: "".join(a + b for a, b in pairs).encode())


def read(*portions: bytes) -> list[str]:
    reader = EventReader()
    return [event for portion in portions for event in reader.feed(portion)] + reader.end()


@given(streams, st.lists(st.integers(0, 200)))
@example(b"data: a\r\n\r\ndata: \xc3\xbc\r\n\r\n", [8, 18])
@example(b"data: a\r\ndata: b\r\n\r\n", [8, 9, 10])
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    portions = [stream[start:end] for start, end in pairwise(places)]

    assert read(*portions) == read(stream)


@given(st.lists(st.lists(texts, min_size=1)), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_what_was_written_is_read(events: list[list[str]], end: str, mark: bool) -> None:
    written = "".join(
        "".join(f"data: {line}{end}" for line in event) + f": ping{end}{end}" for event in events
    )

    assert read((b"\xef\xbb\xbf" if mark else b"") + written.encode()) == [
        "\n".join(event) for event in events
    ]


def test_fields_without_a_space_or_a_value_are_read() -> None:
    assert read(b"data:x\ndata\nevent: e\nid: 1\nretry: 2\nunknown: 3\n\nevent: alone\n\n") == ["x\n"]


def test_a_long_line_in_many_portions_is_read() -> None:
    text = json.dumps("x" * 300_000)

    assert read(b"data: ", *[text[place : place + 7].encode() for place in range(0, len(text), 7)]) == [text]
