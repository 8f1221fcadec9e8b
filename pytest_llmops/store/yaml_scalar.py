"""Read a YAML scalar as what its writer means by it, or refuse it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_llmops.store.canonical import JsonValue

if TYPE_CHECKING:
    from yaml import ScalarEvent, ScalarNode

TAG = "tag:yaml.org,2002:"
AMBIGUOUS = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9_]+(:[0-9_.]+)+")
"""Numbers that YAML 1.1 reads to base 8 or 60, where people mean 010 and 12:30."""


class Scalars:
    """Turn scalars into text, numbers, truth values and null."""

    def __init__(self) -> None:
        import yaml

        constructor = yaml.constructor.SafeConstructor()
        self._node = yaml.ScalarNode
        self._resolver: Any = yaml.resolver.Resolver()
        self._readers: dict[str, Callable[[ScalarNode], JsonValue]] = {
            "str": lambda node: str(node.value),
            # A plain `=` is text to everybody but YAML 1.1.
            "value": lambda node: str(node.value),
            "null": constructor.construct_yaml_null,
            "bool": constructor.construct_yaml_bool,
            "int": constructor.construct_yaml_int,
            "float": constructor.construct_yaml_float,
        }

    def read(self, event: ScalarEvent) -> JsonValue:
        """Return the value of a scalar.

        Raises:
            ValueError: it has no form in JSON, or YAML reads something else than people do.
        """
        kind = self._kind(event)
        if kind == "timestamp" or (kind in ("int", "float") and AMBIGUOUS.fullmatch(event.value)):
            raise ValueError(f'YAML reads {event.value} as another value; quote it: "{event.value}"')
        if kind not in self._readers:
            raise ValueError(f"the tag {event.tag} is not read; write a plain value")
        try:
            value = self._readers[kind](self._node(TAG + kind, event.value))
        except (ValueError, LookupError):
            raise ValueError(f"{event.value[:40]!r} is not of the kind {kind}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{event.value} is not a number that JSON can hold; write null, or quote it")
        return value

    def read_key(self, event: ScalarEvent) -> str:
        """Return a scalar that is a key.

        Raises:
            ValueError: it is not text.
        """
        kind = self._kind(event)
        if kind == "merge":
            raise ValueError("merge keys (<<) are not read; write the keys out")
        if kind not in ("str", "value"):
            raise ValueError(f'a key must be text; quote it: "{event.value[:40]}"')
        return str(event.value)

    def _kind(self, event: ScalarEvent) -> str:
        if event.tag == "!":
            return "str"
        tag = event.tag or self._resolver.resolve(self._node, event.value, event.implicit)
        return str(tag).removeprefix(TAG)
