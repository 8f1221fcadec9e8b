"""Say what tokens cost, by the user's own prices and the table that comes with genai-prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pytest_llmops.calls.exchange import EmbeddingRequest, Request, Usage
from pytest_llmops.setting_values import Price
from pytest_llmops.store.canonical import canonical

MILLION = 1_000_000

FREE = frozenset({"local", "wordllama"})
"""Providers of embedded models, which run here."""

ASSUMED_OUTPUT = 16_384
"""Output tokens taken for the most of a request that sets no limit, where no context window is known."""

LIMITS = ("max_completion_tokens", "max_tokens")
"""Parameters that limit the tokens of one answer."""


class Prices:
    """Price calls; the table is read offline, on the first call that needs it.

    Args:
        own: prices by `provider:model` or by the model's bare name; they win over the table.
    """

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = own or {}
        self._known: dict[tuple[str, str], _Rates | None] = {}

    def cost(self, provider: str, model: str, usage: Usage) -> float | None:
        """Return the price of one call in US dollars, None where the price or the tokens are unknown.

        Embedded models are free.
        """
        if provider in FREE:
            return 0.0
        given, made = usage.input_tokens, usage.output_tokens
        if given is None or made is None or min(given, made) < 0:
            return None
        rates = self._rates(provider, model)
        return rates.cost(given, made) if rates else None

    def most(self, request: Request | EmbeddingRequest) -> float | None:
        """Return what an answer can cost at most; None where the price is unknown."""
        if request.provider in FREE:
            return 0.0
        rates = self._rates(request.provider, request.model)
        if rates is None:
            return None
        if isinstance(request, EmbeddingRequest):
            return rates.cost(_most_input(request), 0)
        made = _most_output(request.parameters)
        return rates.cost(_most_input(request), made or rates.window or ASSUMED_OUTPUT)

    def _rates(self, provider: str, model: str) -> _Rates | None:
        key = (provider, model)
        if key not in self._known:
            own = self._own.get(f"{provider}:{model}") or self._own.get(model)
            self._known[key] = _own_rates(own) if own else _listed(provider, model)
        return self._known[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rates:
    """Be the price of one token each way, or the table's entry where it depends on more than that."""

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    window: int | None = None
    """The most tokens that the model can handle."""
    entry: tuple[str, str] | None = None

    def cost(self, given: int, made: int) -> float:
        if self.entry is not None:
            return float(_calculated(*self.entry, given, made).total_price)
        return float((given * self.input + made * self.output) / MILLION)


def _own_rates(price: Price) -> _Rates:
    # By way of text, so that 0.15 is the decimal number that was written.
    return _Rates(input=Decimal(str(price.input)), output=Decimal(str(price.output)))


def _listed(provider: str, model: str) -> _Rates | None:
    try:
        found = _calculated(provider, model, 1, 1)
    except (LookupError, ValueError):
        return None
    price = found.model_price
    window = found.model.context_window
    if isinstance(price.input_mtok, Decimal) and isinstance(price.output_mtok, Decimal):
        return _Rates(input=price.input_mtok, output=price.output_mtok, window=window)
    # Prices in steps by the length of the prompt: the table reckons each call.
    return _Rates(window=window, entry=(provider, model))


def _calculated(provider: str, model: str, given: int, made: int) -> Any:
    # 0.1 s, and fully cached runs need no price.
    import genai_prices

    usage = genai_prices.Usage(input_tokens=given, output_tokens=made)
    return genai_prices.calc_price(usage, model, provider_id=provider)


def _most_input(request: Request | EmbeddingRequest) -> int:
    # No tokenizer makes more tokens than there are bytes; what a provider puts around the messages is
    # less than the names and quotes of this text.
    return len(canonical(request.payload).encode("utf-8", "surrogatepass"))


def _most_output(parameters: Mapping[str, object]) -> int | None:
    limits = [value for name in LIMITS if isinstance(value := parameters.get(name), int)]
    answers = parameters.get("n")
    return max(limits) * (answers if isinstance(answers, int) else 1) if limits else None
