from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import canonical, digest, digest_bytes, digest_text, parse_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def typed(value: Any) -> Any:
    """Return what tells two JSON values apart: True is not 1, and 1.0 is."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [typed(item) for item in value]
    return (isinstance(value, bool), value)


@given(JSON)
def test_canonical_json_is_json_of_the_same_value(value: Any) -> None:
    assert typed(json.loads(canonical(value))) == typed(value)
    assert canonical(json.loads(canonical(value))) == canonical(value)


@given(JSON, JSON)
def test_digests_are_equal_where_values_are(first: Any, second: Any) -> None:
    assert (digest(first) == digest(second)) == (typed(first) == typed(second))


@given(st.dictionaries(st.text(), JSON, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], source: Any) -> None:
    keys = list(value)
    source.shuffle(keys)
    assert canonical({key: value[key] for key in keys}) == canonical(value)


def test_the_form_does_not_change_between_releases() -> None:
    value = {"b": [1.0, -0.0, 2.5, True, None], "a": "€\u2028\n", "c": (1,)}
    assert canonical(value) == '{"a":"€\u2028\\n","b":[1,0,2.5,true,null],"c":[1]}'
    assert digest({}) == hashlib.sha256(b"{}").hexdigest()
    assert digest_text("é") == digest_bytes("é".encode()) == hashlib.sha256(b"\xc3\xa9").hexdigest()
    assert len(digest_text("\ud800")) == 64


@pytest.mark.parametrize(
    "value", [float("nan"), [float("inf")], {"a": -float("inf")}, {1: 2}, {None: 1}, b"x", {1, 2}, object()]
)
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(MisuseError):
        canonical(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        '{"a":1,"a":1}',
        "[1,]",
        "'a'",
        "01",
        "[" * 100_000,
        "\ufeff1",
    ],
)
def test_what_is_not_strict_json_is_not_read(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each reason has its own words
        parse_json(text)


@given(JSON)
def test_json_is_read_as_the_standard_library_does(value: Any) -> None:
    assert typed(parse_json(json.dumps(value))) == typed(value)
