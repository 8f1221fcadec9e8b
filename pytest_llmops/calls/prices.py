"""Say what tokens cost."""

from __future__ import annotations

from pytest_llmops.calls.exchange import Usage


def cost(provider: str, model: str, usage: Usage) -> float | None:
    """Return the price of one call in US dollars, None where the price or the tokens are unknown.

    The table comes with genai-prices and is read offline. The embedded model is free.
    """
    if provider == "local":
        return 0.0
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    import genai_prices

    try:
        counted = genai_prices.Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        return float(genai_prices.calc_price(counted, model, provider_id=provider).total_price)
    except (LookupError, ValueError):
        return None
