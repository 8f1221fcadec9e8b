from __future__ import annotations

import socket
from decimal import Decimal

import pytest

from pytest_llmops.calls.exchange import Usage
from pytest_llmops.calls.prices import cost

USED = Usage(input_tokens=2_000_000, output_tokens=1_000_000)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("the network was asked for prices")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_a_known_model_has_its_price() -> None:
    # 0.25 and 2 dollars for a million tokens in and out.
    assert cost("openai", "gpt-5-mini", USED) == float(2 * Decimal("0.25") + 2)


def test_the_embedded_model_is_free_whatever_is_known() -> None:
    assert cost("local", "smollm2-135m", Usage()) == 0.0


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
    assert cost(provider, model, usage) is None
