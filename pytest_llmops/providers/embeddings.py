"""Read the JSON of a list of embeddings."""

from __future__ import annotations

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
    placed = {
        row.get("index", place): row for place, row in enumerate(rows) if isinstance(row.get("index", 0), int)
    }
    if len(rows) != count or placed.keys() != set(range(count)):
        return None
    vectors = tuple(_vector(placed[place].get("embedding")) for place in range(count))
    lengths = {len(vector) for vector in vectors}
    return vectors if len(lengths) <= 1 and 0 not in lengths else None


def _vector(value: object) -> Vector:
    """Return what `value` holds; an empty vector where it is none."""
    try:
        numbers = _unpacked(value) if isinstance(value, str) else value
        if not isinstance(numbers, list | tuple) or {type(number) for number in numbers} - {float, int}:
            return ()
        vector = tuple(map(float, numbers))
    except (OverflowError, ValueError, struct.error):
        return ()
    return vector if all(map(math.isfinite, vector)) else ()


def _unpacked(text: str) -> Vector:
    packed = b64decode(text, validate=True)
    return struct.unpack(f"<{len(packed) // 4}f", packed)
