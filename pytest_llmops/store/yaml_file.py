"""Read YAML strictly: plain values only, no key twice, no bombs, and a line for every part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import JsonValue
from pytest_llmops.store.source import MAX_DEPTH, at, source_text
from pytest_llmops.store.yaml_scalar import TAG, Scalars

if TYPE_CHECKING:
    from yaml import CollectionStartEvent, MarkedYAMLError

T = TypeVar("T")
Place: TypeAlias = tuple["str | int", ...]
"""The keys and indexes that lead to a part of the file."""

MAX_SIZE = 20_000_000
"""Most characters that a file may hold with its aliases written out."""
NODE_SIZE = 20
"""What a value counts on top of its characters."""

SAFE = "A text that holds braces or colons is safest in a block (`key: |`, the text indented below)."
UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlFile:
    """Be what a YAML file holds, and where."""

    path: Path
    value: JsonValue
    lines: Mapping[Place, int]
    """The line of each part; of a mapping's value it is the line of its key."""
    texts: Mapping[Place, int]
    """The line on which a text begins, where it is not the line of its part."""

    def at(self, *place: str | int) -> str:
        """Return file and line of a part, for messages."""
        return at(self.path, self.line(*place))

    def in_text(self, line: int, *place: str | int) -> str:
        """Return file and line of one line, counted from 1, of the text at `place`, for messages."""
        return at(self.path, self.texts.get(place, self.line(*place)) + line - 1)

    def line(self, *place: str | int) -> int:
        """Return the line of a part."""
        # What stands behind an alias has no line of its own.
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_yaml(path: Path) -> YamlFile:
    """Read the one document of a YAML file.

    Raises:
        MisuseError: the file is not YAML, or holds what JSON has no form for; it names the line.
    """
    import yaml

    text = source_text(path)
    strange = UNPRINTABLE.search(text)
    if strange:
        line = text.count("\n", 0, strange.start()) + 1
        raise MisuseError(f"{at(path, line)}: YAML cannot hold the character U+{ord(strange.group()):04X}.")
    # The parser in C reads the same language fifteen times as fast; not every build has it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Builder(path, yaml.parse(text, Loader=loader)).document()
    # The parser has no other error left, once the characters are known to be right.
    except yaml.MarkedYAMLError as error:
        raise MisuseError(_not_yaml(path, error)) from None


def _not_yaml(path: Path, error: MarkedYAMLError) -> str:
    begun, found = error.context_mark, error.problem_mark
    context = error.context or ""
    if begun and found and begun.line != found.line:
        context += f" that begins in line {begun.line + 1}"
    said = ", ".join(part for part in (context, error.problem) if part)
    mark = found or begun
    return f"{at(path, mark.line + 1 if mark else 1)}: this is not YAML: {said}. {SAFE}"


class _Builder:
    """Make a value of the parser's events, which, unlike its nodes, come one by one and cannot explode."""

    def __init__(self, path: Path, events: Iterator[Any]) -> None:
        self.path = path
        self.events = events
        self.scalars = Scalars()
        self.lines: dict[Place, int] = {}
        self.texts: dict[Place, int] = {}
        self.anchors: dict[str, tuple[JsonValue, int]] = {}
        self.size = 0

    def document(self) -> YamlFile:
        import yaml

        next(self.events)
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise MisuseError(f"{self.path} holds nothing but comments.")
        value = self.value(next(self.events), ())
        next(self.events)
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self.error(event, "a second document begins; a file holds one")
        return YamlFile(path=self.path, value=value, lines=self.lines, texts=self.texts)

    def value(self, event: Any, place: Place) -> JsonValue:
        import yaml

        self.lines.setdefault(place, _line(event))
        if len(place) >= MAX_DEPTH:
            raise self.error(event, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        before = self.size
        value = self.fresh(event, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, self.size - before)
        return value

    def fresh(self, event: Any, place: Place) -> JsonValue:
        import yaml

        self.count(event, NODE_SIZE)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(event, place)
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(event, place)
        self.count(event, len(event.value))
        # The text of a block begins on the line after its sign.
        self.texts[place] = _line(event) + (1 if event.style in ("|", ">") else 0)
        return self.told(event, self.scalars.read)

    def alias(self, event: Any) -> JsonValue:
        if event.anchor not in self.anchors:
            raise self.error(event, f"*{event.anchor} stands for nothing that is complete before it")
        value, size = self.anchors[event.anchor]
        self.count(event, size)
        return value

    def sequence(self, event: CollectionStartEvent, place: Place) -> list[JsonValue]:
        import yaml

        self.untagged(event, "seq")
        items: list[JsonValue] = []
        while not isinstance(item := next(self.events), yaml.SequenceEndEvent):
            items.append(self.value(item, (*place, len(items))))
        return items

    def mapping(self, event: CollectionStartEvent, place: Place) -> dict[str, JsonValue]:
        import yaml

        self.untagged(event, "map")
        items: dict[str, JsonValue] = {}
        start: Any
        while not isinstance(start := next(self.events), yaml.MappingEndEvent):
            if not isinstance(start, yaml.ScalarEvent):
                raise self.error(start, f"a key must be text. {SAFE}")
            key = self.told(start, self.scalars.read_key)
            if key in items:
                raise self.error(start, f"the key {key!r} stands twice")
            self.count(start, len(key))
            self.lines[(*place, key)] = _line(start)
            items[key] = self.value(next(self.events), (*place, key))
        return items

    def untagged(self, event: CollectionStartEvent, kind: str) -> None:
        if event.tag not in (None, "!", TAG + kind):
            raise self.error(event, f"the tag {event.tag} is not read; write a plain value")

    def count(self, event: Any, size: int) -> None:
        self.size += size
        if self.size > MAX_SIZE:
            raise self.error(event, f"the file holds too much, over {MAX_SIZE:,} characters with aliases")

    def told(self, event: Any, read: Callable[[Any], T]) -> T:
        try:
            return read(event)
        except ValueError as error:
            raise self.error(event, str(error)) from None

    def error(self, event: Any, reason: str) -> MisuseError:
        return MisuseError(f"{at(self.path, _line(event))}: {reason.rstrip('.')}.")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
