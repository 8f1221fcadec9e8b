"""Read the JSON of a list of embeddings."""

from __future__ import annotations

import binascii
import math
import struct
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

Vector = tuple[float, ...]


def read_vectors(reply: Mapping[str, Any], count: int) -> tuple[Vector, ...] | None:
    """Return the vectors in the order of their texts, None where they are not `count` well-formed ones."""
    rows = reply.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        return None
    placed = {row.get("index", place): _vector(row.get("embedding")) for place, row in enumerate(rows)}
    if len(rows) != count or set(placed) != set(range(count)):
        return None
    vectors = tuple(placed[place] for place in range(count))
    lengths = {len(vector) for vector in vectors}
    return vectors if len(lengths) <= 1 and 0 not in lengths else None


def _vector(value: object) -> Vector:
    # An empty vector stands for what is none.
    numbers = _unpacked(value) if isinstance(value, str) else value
    if not isinstance(numbers, list | tuple):
        return ()
    usable = all(isinstance(number, float | int) and math.isfinite(number) for number in numbers)
    return tuple(map(float, numbers)) if usable else ()


def _unpacked(text: str) -> Vector:
    try:
        packed = b64decode(text, validate=True)
        return struct.unpack(f"<{len(packed) // 4}f", packed)
    except (binascii.Error, struct.error, ValueError):
        return ()
