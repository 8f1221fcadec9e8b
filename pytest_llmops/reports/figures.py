"""Write numbers for people: shares in per cent, scores plainly, ratios relatively."""

from __future__ import annotations

import math

from pytest_llmops.scorers.score import Metric


def value_text(metric: Metric, value: float | None) -> str:
    """Return a mean score; "-" where there is none."""
    if value is None:
        return "-"
    if metric.kind == "pass_fail":
        return f"{_rounded(100 * value, 1)} %"
    if metric.kind == "score":
        return _rounded(value, _decimals(metric))
    amount = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"${amount}" if metric.unit == "USD" else f"{amount} {metric.unit}".rstrip()


def change_text(metric: Metric, change: float | None) -> str:
    """Return a change with its sign and unit; pp are percentage points."""
    if change is None:
        return "-"
    number = _signed(metric, change)
    return number if metric.kind == "score" else f"{number} {'pp' if metric.kind == 'pass_fail' else '%'}"


def interval_text(metric: Metric, low: float | None, high: float | None) -> str:
    """Return both ends of a change in the unit of `change_text`."""
    if low is None or high is None:
        return "-"
    return f"{_signed(metric, low)} to {_signed(metric, high)}"


def amount_text(metric: Metric, amount: float) -> str:
    """Return the size of a change in words, its sign left out."""
    if metric.kind == "score":
        return _rounded(abs(amount), _decimals(metric))
    unit = "percentage points" if metric.kind == "pass_fail" else "%"
    return f"{_rounded(100 * abs(amount), 1)} {unit}"


def p_text(p: float) -> str:
    """Return a probability for people."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def dollars_text(dollars: float, unpriced: int) -> str:
    """Return what calls cost, with a word on calls of unknown price."""
    if unpriced and not dollars:
        return "cost unknown"
    text = f"${dollars:,.2f}" if not 0 < dollars < 0.01 else f"${dollars:.2g}"
    return f"{text} or more" if unpriced else text


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number and its noun: 1 call, 2 calls."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _decimals(metric: Metric) -> int:
    """Return how many decimals show three digits of the metric's range."""
    low, high = metric.range or (0.0, 1.0)
    return max(0, 3 - math.ceil(math.log10(high - low))) if high > low else 3


def _signed(metric: Metric, change: float) -> str:
    decimals = _decimals(metric) if metric.kind == "score" else 1
    number = _rounded(change if metric.kind == "score" else 100 * change, decimals)
    return number if number.startswith("-") or not number.strip("0.") else f"+{number}"


def _rounded(number: float, decimals: int) -> str:
    text = f"{number:.{decimals}f}"
    # What rounds to nothing has no sign.
    return text.removeprefix("-") if not text.strip("-0.") else text
