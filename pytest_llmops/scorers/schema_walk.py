"""Look through a schema before it is used: where its references lead, and whether they come to an end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.source import described

if TYPE_CHECKING:
    from jsonschema.protocols import Validator
    from referencing._core import Resolver
    from referencing.jsonschema import Schema, SchemaResource

_SHOWN = 160
"""Characters of a reference that a message shows."""

_SAME_VALUE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "extends")
"""Keywords whose schemas are asked about the same value, so a way back through them never ends."""


class SchemaWalk:
    """Visit every schema that a document holds, and all that they refer to.

    Args:
        schema: the document; its `$schema` decides nothing here.
        draft: the validator of its draft.
        source: where it was read, for messages.
    """

    def __init__(self, schema: Mapping[str, Any], draft: type[Validator], source: str) -> None:
        self._root = schema
        self._draft = draft
        self._source = source
        self._same: dict[int, set[int]] = {}
        self.schemas: dict[int, Mapping[str, Any]] = {}
        """All schemas visited, by identity."""
        self.targets: list[Mapping[str, Any]] = []
        """What stands where no keyword holds a schema, and is referred to as one all the same."""
        self._visit()

    def check_ends(self) -> None:
        """Refuse references that lead round in a circle.

        Raises:
            MisuseError: one does.
        """
        try:
            TopologicalSorter(self._same).prepare()
        except CycleError as error:
            refs = dict.fromkeys(
                str(self.schemas[node]["$ref"]) for node in error.args[1] if "$ref" in self.schemas[node]
            )
            named = ", ".join(repr(ref) for ref in refs)
            raise MisuseError(
                f"The schema of {self._source} refers to itself without end, by the $ref {named[:_SHOWN]}. "
                "Put the way back into `properties` or `items`."
            ) from None

    def _visit(self) -> None:
        from jsonschema_specifications import REGISTRY
        from referencing.jsonschema import specification_with

        draft: Any = self._draft
        spec = specification_with(draft.ID_OF(draft.META_SCHEMA))
        own = set(_identities(self._root))
        root = spec.create_resource(self._root)
        held = [(REGISTRY.resolver_with_root(root), root)]
        referred: list[tuple[Resolver[Schema], SchemaResource]] = []
        while held or referred:
            # What keywords hold comes first: only what is left then was never checked to be a schema.
            beside = not held
            resolver, resource = referred.pop() if beside else held.pop()
            contents = resource.contents
            if not isinstance(contents, Mapping) or id(contents) in self.schemas:
                continue
            if beside:
                self.targets.append(contents)
            self.schemas[id(contents)] = contents
            edges = self._same.setdefault(id(contents), set(map(id, _of_same_value(contents))))
            for sub in resource.subresources():
                held.append((resolver.in_subresource(sub), sub))
            target = self._target(contents, resolver)
            if target is not None and id(target.contents) in own:
                edges.add(id(target.contents))
                referred.append((target.resolver, spec.create_resource(target.contents)))

    def _target(self, contents: Mapping[str, Any], resolver: Resolver[Schema]) -> Any:
        from referencing.exceptions import Unresolvable

        ref = contents.get("$ref")
        if not isinstance(ref, str):
            return None
        try:
            target = resolver.lookup(ref)
        except (Unresolvable, ValueError, TypeError, AttributeError):
            raise MisuseError(
                f"The schema of {self._source} refers to what it does not hold: {ref[:_SHOWN]!r}. "
                "Put that schema into $defs; other documents are never fetched."
            ) from None
        if not isinstance(target.contents, Mapping | bool):
            raise MisuseError(
                f"The schema of {self._source} refers to {ref[:_SHOWN]!r}, which is no schema but "
                f"{described(target.contents)}."
            )
        return target


def _identities(value: Any) -> Iterator[int]:
    stack = [value]
    seen: set[int] = set()
    while stack:
        node = stack.pop()
        children = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
        if id(node) not in seen and isinstance(node, Mapping | list):
            seen.add(id(node))
            yield id(node)
            stack.extend(children)


def _of_same_value(contents: Mapping[str, Any]) -> Iterator[Any]:
    for keyword in _SAME_VALUE:
        held = contents.get(keyword)
        if keyword == "dependentSchemas" and isinstance(held, Mapping):
            yield from held.values()
        elif isinstance(held, list):
            yield from held
        elif isinstance(held, Mapping):
            yield held
