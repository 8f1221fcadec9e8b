"""Write values as canonical JSON and digest them: the only hashing in the package."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from sys import intern
from typing import TypeAlias

from pytest_llmops.errors import MisuseError

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
"""What JSON can hold; every stored noun is made of it."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)

_LEAVES = frozenset({str, int, bool, type(None)})

SHORT = 12
"""Hex digits of a digest that people see."""


def canonical(value: JsonValue) -> str:
    """Return `value` as the one JSON text that equal values share.

    Keys are sorted, spaces are left out, and 1.0 is written as 1, so neither the order of keys nor the
    spelling of a number changes a digest.

    Raises:
        MisuseError: `value` holds NaN, an infinity, or something that is not JSON.
    """
    return _ENCODER.encode(value if _is_plain(value) else _plain(value))


def digest(value: JsonValue) -> str:
    """Return the sha256 of the canonical JSON of `value`, 64 hex digits."""
    return digest_text(canonical(value))


def digest_text(text: str) -> str:
    """Return the sha256 of `text` in UTF-8, 64 hex digits; lone surrogates have a digest too."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest_bytes(data: bytes) -> str:
    """Return the sha256 of `data`, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def parse_json(text: str) -> JsonValue:
    """Read strict JSON.

    Raises:
        ValueError: `text` is not JSON, is nested too deeply, or holds NaN, an infinity or one key twice.
    """
    try:
        value: JsonValue = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_no_twin_keys
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _is_plain(value: object) -> bool:
    """Tell whether the encoder may have `value` as it is: this is asked several times for each case."""
    kind = type(value)
    if kind in _LEAVES:
        return True
    if kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str or not (type(item) is str or _is_plain(item)):
                return False
        return True
    return kind is list and all(map(_is_plain, value))  # type: ignore[call-overload]


def _plain(value: JsonValue) -> JsonValue:
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise MisuseError(f"{value} is not a number that JSON can hold; leave it out or use null.")
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item) for item in value]
    raise MisuseError(f"{type(value).__name__} {value!r} is not JSON: use text, numbers, lists and mappings.")


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise MisuseError(f"The key {key!r} is not text; JSON keys are.")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is larger than any number that can be held")
    return number


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not JSON")


def _no_twin_keys(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    # The keys of many rows are the same few words.
    result: dict[str, JsonValue] = {intern(key): value for key, value in pairs}
    if len(result) < len(pairs):
        twin = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise ValueError(f"the key {twin!r} stands twice")
    return result
