"""Hold the view of an answer as JSON: what it lacks is a miss."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.errors import AnswerError
from pytest_llmops.runs.answer import parse_answer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_the_view_equals_the_value(value: Any) -> None:
    view = parse_answer(json.dumps(value))
    assert view == value
    assert json.loads(json.dumps(view)) == value


@pytest.mark.parametrize(
    "look",
    [
        lambda view: view["b"],
        lambda view: view["a"]["z"],
        lambda view: view["a"]["list"][5],
        lambda view: view["a"]["list"]["x"],
        lambda view: view["a"]["text"]["x"],
        lambda view: view["a"]["number"]["x"],
        lambda view: view["a"]["share"]["x"],
    ],
    ids=["key", "nested key", "index", "key of array", "key of text", "key of integer", "key of number"],
)
def test_what_the_answer_lacks_is_a_miss(look: Any) -> None:
    view = parse_answer('{"a": {"list": [1], "text": "t", "number": 7, "share": 0.5}}')
    with pytest.raises(AnswerError) as caught:
        look(view)
    assert isinstance(caught.value, AssertionError)


@pytest.mark.parametrize(
    "text", ["", "yes", "{", '{"a": 1e999}', '{"a": NaN}', '{"a": 1, "a": 2}', "```json\n{}\n```"]
)
def test_text_that_is_not_json_is_a_miss(text: str) -> None:
    with pytest.raises(AnswerError, match="not JSON"):
        parse_answer(text)


def test_ordinary_uses_of_containers_work() -> None:
    view = parse_answer('{"a": [1, 2, 3], "t": "text"}')
    assert view.get("z") is None
    assert "z" not in view
    assert view["a"][1:] == [2, 3]
    assert view["a"][-1] == 3
    assert view["t"].upper() == "TEXT"
    assert view["t"][0] == "t"
