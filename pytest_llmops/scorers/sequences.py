"""Compare two sequences with as many bits at a time as there are: edit distance and common subsequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

_KEPT: Final = 1024
"""Masks that are kept: in long texts with many words all of them would fill the memory."""


def edit_distance(one: str, other: str) -> int:
    """Return the Levenshtein distance: the fewest insertions, deletions and changes of a character.

    The bit-parallel algorithm of Myers (1999) in the form of Hyyrö (2003).
    """
    short, long = _differing(one, other)
    if not short:
        return len(long)
    mask = _masks(long)
    full = (1 << len(long)) - 1
    last = len(long) - 1
    up, down, distance = full, 0, len(long)
    for item in short:
        equal = mask(item)
        level = (((equal & up) + up) ^ up) | equal
        right = down | (full & ~(level | up))
        left = up & level
        distance += (right >> last & 1) - (left >> last & 1)
        right = right << 1 | 1
        stays = equal | down
        up = full & (left << 1 | ~(stays | right))
        down = right & stays & full
    return distance


def common_length(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence: items in order, others may stand between.

    The bit-parallel algorithm of Hyyrö (2004).
    """
    short, long = _differing(one, other)
    same = len(one) - (len(short) if len(one) <= len(other) else len(long))
    if not short:
        return same
    mask = _masks(long)
    full = (1 << len(long)) - 1
    row = full
    for item in short:
        found = row & mask(item)
        if found:
            row = full & ((row + found) | (row - found))
    return same + len(long) - row.bit_count()


def _differing(one: Sequence[str], other: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return both without their common start and end, the shorter one first."""
    short, long = (one, other) if len(one) <= len(other) else (other, one)
    start = next((i for i, item in enumerate(short) if item != long[i]), len(short))
    most = len(short) - start
    end = next((i for i in range(most) if short[-1 - i] != long[-1 - i]), most)
    return short[start : len(short) - end], long[start : len(long) - end]


def _masks(items: Sequence[str]) -> Callable[[str], int]:
    """Return a function that says where an item stands: bit i is set where it is the i-th."""
    places: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(item, []).append(place)

    @lru_cache(_KEPT)
    def mask(item: str) -> int:
        found = places.get(item)
        if found is None:
            return 0
        bits = bytearray(found[-1] // 8 + 1)
        for place in found:
            bits[place >> 3] |= 1 << (place & 7)
        return int.from_bytes(bits, "little")

    return mask
