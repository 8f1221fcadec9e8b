from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.resources.chat.completions import AsyncCompletions

from pytest_llmops.calls.exchange import TRANSPORT_FIELDS, Request

SDK_PARAMETERS = sorted(set(inspect.signature(AsyncCompletions.create).parameters) - {"self"})
IDENTITY = {"base_url": "http://127.0.0.1/v1"}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def request(**changes: Any) -> Request:
    values: dict[str, Any] = {
        "provider": "openai",
        "model": "m",
        "messages": ({"role": "user", "content": "hi"},),
    }
    return Request(**{**values, **changes})


def digest(**changes: Any) -> str:
    return request(**changes).digest(IDENTITY)


def test_the_sdk_names_its_parameters() -> None:
    # Else the test below would check nothing.
    assert {"messages", "model", "temperature", "tools", "extra_body"} | TRANSPORT_FIELDS <= set(
        SDK_PARAMETERS
    )


@pytest.mark.parametrize("name", SDK_PARAMETERS)
def test_each_parameter_of_the_sdk_counts_but_for_transport(name: str) -> None:
    if name == "model":
        assert digest(model="other") != digest()
    elif name == "messages":
        assert digest(messages=({"role": "user", "content": "ho"},)) != digest()
    else:
        one, two = digest(parameters={name: "a"}), digest(parameters={name: "b"})
        if name in TRANSPORT_FIELDS:
            assert digest() == one == two
        else:
            assert len({digest(), one, two}) == 3


@given(name=st.text().filter(lambda name: name not in TRANSPORT_FIELDS and name not in ("model", "messages")))
def test_unknown_parameters_count(name: str) -> None:
    assert len({digest(), digest(parameters={name: 1}), digest(parameters={name: 2})}) == 3


@pytest.mark.parametrize(
    "change",
    [{"provider": "local"}, {"repeat": 2}, {"messages": ({"role": "system", "content": "hi"},)}],
)
def test_provider_repeat_and_role_count(change: dict[str, Any]) -> None:
    assert digest(**change) != digest()


def test_what_the_provider_adds_counts() -> None:
    assert request().digest({"base_url": "http://other/v1"}) != request().digest(IDENTITY)


@given(parameters=st.dictionaries(st.text(max_size=8), JSON, max_size=5), data=st.data())
def test_the_order_of_keys_does_not_count(parameters: dict[str, Any], data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(parameters.items()))))

    assert digest(parameters=parameters) == digest(parameters=shuffled)


@given(number=st.integers(-(2**53), 2**53))
def test_the_spelling_of_a_number_does_not_count(number: int) -> None:
    assert digest(parameters={"seed": number}) == digest(parameters={"seed": float(number)})


@given(one=JSON, two=JSON)
def test_different_values_differ(one: Any, two: Any) -> None:
    same = digest(parameters={"x": one}) == digest(parameters={"x": two})

    assert same == (_typed(one) == _typed(two))


def _typed(value: Any) -> Any:
    """Return `value` so that True and 1 differ, and 1 and 1.0 do not."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    return value
