"""Make the items of an eval test, which share what is the same in all of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Final

import pytest

from pytest_llmops.plugin.plan import FIXTURE, CaseSlot

STAND_IN: Final = "llmops-cases"
"""The id of the one parameter that pytest is given in place of all cases."""

SHARED: Final = frozenset({"_obj", "_instance", "originalname", "_fixtureinfo", "fixturenames"})
"""Attributes of a function's item that are the same for all its parameters."""

SLOTTED: Final = ("_id", "_nodeid", "_store")
"""Attributes that pytest gives to every item anew, outside of its dictionary; not all versions have all."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Be the parameter that stands for all cases of a test until its items are made: their slots by id."""

    by_id: Mapping[str, CaseSlot]


@dataclass(slots=True, eq=False)
class Kin:
    """Hold what the items of one function share."""

    first: Any
    """The item that pytest made."""
    names: frozenset[str]
    """Attributes that pytest gives to every item anew."""
    prefix: str
    """The node id up to the name."""
    shared: dict[str, Any]
    """What the item that pytest made has for parameters."""

    @classmethod
    def of(cls, first: Any) -> Kin:
        """Return what the items beside `first` share."""
        slotted = {name for name in SLOTTED if hasattr(first, name)}
        return cls(
            first=first,
            names=frozenset(vars(first)).union(slotted) - SHARED,
            prefix=first.nodeid.removesuffix(first.name),
            shared={field.name: getattr(first.callspec, field.name) for field in fields(first.callspec)},
        )

    def name(self, slug: str) -> str:
        """Return the name of one item."""
        name: str = self.first.name
        return name.replace(STAND_IN, slug)

    def callspec(self, slot: CaseSlot, slug: str) -> Any:
        """Return the parameters of one item."""
        values = self.shared.copy()
        values["params"] = {**values["params"], FIXTURE: slot}
        values["_idlist"] = [slug if each == STAND_IN else each for each in values["_idlist"]]
        return type(self.first.callspec)(**values)

    def arguments(self, slot: CaseSlot, slug: str) -> dict[str, Any]:
        """Return what pytest makes an item of."""
        callspec = self.callspec(slot, slug)
        return {
            "name": self.name(slug),
            "callspec": callspec,
            "keywords": {callspec.id: True},
            "fixtureinfo": self.first._fixtureinfo,
            "originalname": self.first.originalname,
        }


class CaseItem(pytest.Function):
    """Be the item of one case: a function's item that takes its attributes on when it is asked for them.

    What pytest keeps for an item of its own takes 3 kB, and in a large golden set all of it is the same but
    for the case. So an item begins as its name and its slot. The first who asks for more (a marker that
    is added, `-k`, the run itself) makes it whole, by pytest's own constructor; after its run it may be bare
    again.
    """

    __slots__ = ("_slug", "bare", "kin", "slot")

    kin: Kin
    """What it shares with the other items of its function."""
    _slug: str
    slot: CaseSlot
    """The case and the repeat."""
    bare: bool
    """Whether it is only name and slot."""

    @classmethod
    def beside(cls, kin: Kin, slot: CaseSlot, slug: str) -> CaseItem:
        """Return the bare item of one case."""
        item = cls.__new__(cls)
        first = kin.first
        item.parent, item.config, item.session, item.path = (
            first.parent,
            first.config,
            first.session,
            first.path,
        )
        item.kin, item.slot, item._slug, item.bare = kin, slot, slug, True
        item.name = kin.name(slug)
        return item

    def __getattr__(self, name: str) -> Any:
        # A copy is asked for attributes before it has any.
        if name != "bare" and self.bare:
            if name == "callspec":
                # It is asked for in each session, to put items in order: not worth to be kept.
                return self.kin.callspec(self.slot, self._slug)
            if name in SHARED:
                return getattr(self.kin.first, name)
            if name in self.kin.names:
                self._fill()
                return object.__getattribute__(self, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def nodeid(self) -> str:
        """Return pytest's name of the item."""
        return f"{self.kin.prefix}{self.name}" if self.bare else super().nodeid

    @property
    def id(self) -> Any:
        """Return pytest's name of the item in its parts, where pytest knows such."""
        if not self.bare:
            return super().id
        whole = self.kin.first.id
        return replace(whole, params=whole.params.replace(STAND_IN, self._slug))

    def add_marker(self, marker: str | pytest.MarkDecorator, append: bool = True) -> None:
        """Add a marker to this item alone."""
        if self.bare:
            self._fill()
        super().add_marker(marker, append)

    @cached_property
    def location(self) -> tuple[str, int | None, str]:
        """Return where the function stands: it is looked up in the file system for one item of all."""
        path, line, _ = self.kin.first.location
        return path, line, self.name

    @property
    def untouched(self) -> bool:
        """Tell whether nobody has asked for more than name and slot."""
        return self.bare and not vars(self)

    def strip(self) -> None:
        """Let go of all that pytest keeps for an item."""
        self.__dict__ = {}
        for name in SLOTTED:
            if name in self.kin.names:
                delattr(self, name)
        self.bare = True

    def __repr__(self) -> str:
        return f"<Function {self.name}>"

    def _fill(self) -> None:
        self.bare = False
        pytest.Function.__init__(self, parent=self.parent, **self.kin.arguments(self.slot, self._slug))


def slot_of(item: pytest.Item) -> CaseSlot | None:
    """Return the case and repeat that an item runs; None for other items."""
    if isinstance(item, CaseItem):
        return item.slot
    callspec = getattr(item, "callspec", None)
    slot = callspec.params.get(FIXTURE) if callspec else None
    return slot if isinstance(slot, CaseSlot) else None


def expand(items: Sequence[Any]) -> Iterator[Any]:
    """Yield items with one for each case where pytest made one that stands in for all of them."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        slots = callspec.params.get(FIXTURE) if callspec else None
        if isinstance(slots, Slots):
            yield from _each(item, slots)
        else:
            yield item


def _each(first: Any, slots: Slots) -> Iterator[pytest.Item]:
    kin = Kin.of(first)
    # An item of a class has an instance of its own, and other plugins replace the items of coroutines.
    plain = type(first) is pytest.Function and first.cls is None
    bare = plain and not inspect.iscoroutinefunction(inspect.unwrap(first.obj))
    for slug, slot in slots.by_id.items():
        if bare:
            yield CaseItem.beside(kin, slot, slug)
        else:
            yield type(first).from_parent(first.parent, **kin.arguments(slot, slug))
