"""Read from the log-probabilities of a judge's reply how sure it was of its verdict."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pytest_llmops.calls.exchange import Response
from pytest_llmops.scorers.scale import Scale

LEAST: Final = 0.5
"""Share of the probability that the marks of the scale must have among the tokens that are told."""


def expected_value(reply: Response, scale: Scale) -> float | None:
    """Return the mean score of the marks, each weighted with its probability; None where that is not told.

    For pass and fail it is the probability of a pass. `reply` is a valid verdict on `scale`.
    """
    shares: dict[float, float] = {}
    for rest, probability in _choices(reply, scale.key):
        marks = [mark for mark in scale.marks if _begins(str(mark), rest)]
        exact = [mark for mark in marks if str(mark) == rest]
        if len(exact or marks) == 1:
            value = scale.value((exact or marks)[0])
            shares[value] = shares.get(value, 0.0) + probability
    total = math.fsum(shares.values())
    if total < LEAST:
        return None
    return math.fsum(value * share for value, share in shares.items()) / total


def _choices(reply: Response, key: str) -> Iterator[tuple[str, float]]:
    """Yield the tokens that could have begun the verdict, cut off before it, each with its probability."""
    # Inside the reason the quotes are escaped, so the key is found nowhere else.
    place = re.search(rf'"{key}"\s*:\s*"?', reply.text)
    tokens = [token for token in reply.logprobs if isinstance(token.get("token"), str)]
    if place is None or "".join(str(token["token"]) for token in tokens) != reply.text:
        return
    begin, end = 0, place.end()
    for token in tokens:
        text = str(token["token"])
        if begin <= end < begin + len(text):
            before = text[: end - begin]
            for each in _alternatives(token):
                named = str(each["token"])
                if named.startswith(before) and len(named) > len(before):
                    yield named[len(before) :], math.exp(min(0.0, float(each["logprob"])))
            return
        begin += len(text)


def _alternatives(token: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    told = {
        each["token"]: each
        for each in (token, *(token.get("top_logprobs") or ()))
        if isinstance(each, Mapping)
        and isinstance(each.get("token"), str)
        and isinstance(each.get("logprob"), int | float)
    }
    return list(told.values())


def _begins(mark: str, rest: str) -> bool:
    """Tell whether `rest`, the start of what follows, can be the start of `mark` and what ends it."""
    return (
        mark.startswith(rest)
        or re.fullmatch(rf"{re.escape(mark)}[^0-9A-Za-z].*", rest, re.DOTALL) is not None
    )
