"""Read the values of settings, each from an option, the environment or a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pytest_llmops.errors import closest

CacheMode = Literal["auto", "offline", "refresh", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Be what a million tokens of a model cost, in US dollars."""

    input: float
    output: float


def text(value: object) -> str:
    """Return a name."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("is not a name")


def texts(value: object) -> tuple[str, ...]:
    """Return names, given as a list or with commas between them."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(part for item in value for part in texts(item))
    raise ValueError("is not a list of names")


def flag(value: object) -> bool:
    """Return true or false."""
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError("is neither true nor false")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("is not a number")
    try:
        number = float(value)
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(number):
        raise ValueError("is not a finite number")
    return number


def alpha(value: object) -> float:
    """Return a risk."""
    number = _number(value)
    if 0 < number < 0.5:
        return number
    raise ValueError("is not a probability above 0 and below 0.5")


def seconds(value: object) -> float:
    """Return a time above 0."""
    number = _number(value)
    if number > 0:
        return number
    raise ValueError("is not a number of seconds above 0")


def share(value: object) -> float:
    """Return a share from 0 to 1."""
    number = _number(value)
    if 0 <= number <= 1:
        return number
    raise ValueError("is not a share from 0 to 1")


def count(value: object) -> int:
    """Return a whole number of at least 1."""
    number = _number(value)
    if number >= 1 and number.is_integer():
        return int(number)
    raise ValueError("is not a whole number of at least 1")


def margins(value: object) -> dict[str, float]:
    """Return margins by metric name."""
    if isinstance(value, Mapping):
        return {str(name): _margin(share) for name, share in value.items()}
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    pairs = [str(part).rpartition("=") for part in parts]
    return {name.strip(): _margin(share) for name, _, share in pairs}


def _margin(value: object) -> float:
    number = _number(value)
    if 0 < number < 1:
        return number
    raise ValueError("is not a margin: give a share of the metric's range, above 0 and below 1, such as 0.05")


def cache_mode(value: object) -> str:
    """Return a cache mode."""
    modes = get_args(CacheMode)
    if value in modes:
        return str(value)
    raise ValueError(f"is not a cache mode. {closest(str(value), modes)}")


def dollars(value: object) -> float:
    """Return an amount of US dollars above 0."""
    amount = _number(value)
    if amount > 0:
        return amount
    raise ValueError("is not an amount of US dollars above 0")


def prices(value: object) -> dict[str, Price]:
    """Return prices by model."""
    if not isinstance(value, Mapping):
        raise ValueError('is not a table of prices: write [prices."provider:model"] with input and output')
    return {str(model): _price(model, price) for model, price in value.items()}


def _price(model: object, value: object) -> Price:
    if not isinstance(value, Mapping) or set(value) != {"input", "output"}:
        raise ValueError(f"gives {model} no input and output, in US dollars for a million tokens each")
    each = {name: _number(amount) for name, amount in value.items()}
    if min(each.values()) < 0:
        raise ValueError(f"gives {model} a price below 0")
    return Price(**each)


def names(value: object) -> dict[str, str]:
    """Return names by names."""
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value.values()):
        return {str(name): str(other) for name, other in value.items()}
    raise ValueError("is not a table of names")
