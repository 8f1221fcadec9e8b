from __future__ import annotations

import socket
from decimal import Decimal

import pytest

from pytest_llmops.calls.exchange import Request, Usage
from pytest_llmops.calls.prices import ASSUMED_OUTPUT, Prices
from pytest_llmops.setting_values import Price

USED = Usage(input_tokens=2_000_000, output_tokens=1_000_000)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("the network was asked for prices")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_a_known_model_has_its_price() -> None:
    # 0.25 and 2 dollars for a million tokens in and out.
    assert Prices().cost("openai", "gpt-5-mini", USED) == float(2 * Decimal("0.25") + 2)


def test_the_embedded_model_is_free_whatever_is_known() -> None:
    assert Prices().cost("local", "smollm2-135m", Usage()) == 0.0


@pytest.mark.parametrize(
    ("provider", "model", "usage"),
    [
        ("scripted", "m", USED),
        ("openai", "no-such-model", USED),
        ("openai", "gpt-5-mini", Usage()),
        ("openai", "gpt-5-mini", Usage(input_tokens=5)),
        ("openai", "gpt-5-mini", Usage(input_tokens=-5, output_tokens=5)),
    ],
)
def test_what_is_unknown_is_none_and_not_zero(provider: str, model: str, usage: Usage) -> None:
    assert Prices().cost(provider, model, usage) is None


def test_own_prices_win_over_the_table() -> None:
    prices = Prices({"openai:gpt-5-mini": Price(input=1, output=0.15), "m": Price(input=0, output=7)})

    assert prices.cost("openai", "gpt-5-mini", USED) == 2.15
    assert prices.cost("scripted", "m", USED) == 7.0


def asked(**parameters: object) -> Request:
    message = {"role": "user", "content": "äöü" * 100}
    return Request(provider="openai", model="m", messages=(message,), parameters=parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameters", "output"),
    [
        ({"max_tokens": 100}, 100),
        ({"max_tokens": 100, "max_completion_tokens": 300}, 300),
        ({"max_tokens": 100, "n": 3}, 300),
        ({}, ASSUMED_OUTPUT),
    ],
)
def test_a_call_costs_at_most_its_bytes_and_its_limit(parameters: dict[str, object], output: int) -> None:
    request = asked(**parameters)

    assert Prices({"m": Price(input=0, output=1_000_000)}).most(request) == output
    given = Prices({"m": Price(input=1_000_000, output=0)}).most(request)
    assert given is not None
    assert given > 600


def test_a_model_without_a_limit_is_bounded_by_its_context_window() -> None:
    request = Request(provider="openai", model="gpt-5-mini", messages=({"role": "user", "content": "hi"},))

    # 400,000 tokens at 2 dollars a million, and next to nothing for the question.
    assert Prices().most(request) == pytest.approx(0.8, abs=0.001)


def test_what_a_call_can_cost_is_unknown_with_its_price() -> None:
    assert Prices().most(asked()) is None
