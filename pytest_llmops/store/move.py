"""Hold one move of a ref."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import SHORT, JsonValue, canonical, digest, parse_json

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Be one pointing of a ref at a digest: by whom, when, why, and after which moves."""

    ref: str
    to: str
    """The digest that the ref points at from now on."""
    before: str | None
    """The digest that all parents point at; None where there is no parent, or they disagree."""
    parents: tuple[str, ...]
    """Digests of the moves that this one follows, sorted: none for the first, several after a fork."""
    when: str
    """UTC, ISO 8601, to the second."""
    who: str
    why: str = ""

    @property
    def digest(self) -> str:
        """Return the digest that names the move's file, 64 hex digits."""
        return digest(self.to_json())

    def __str__(self) -> str:
        reason = f" ({self.why})" if self.why else ""
        return f"to {self.to[:SHORT]} by {self.who} on {self.when}{reason}"

    def to_json(self) -> dict[str, JsonValue]:
        """Return the move as JSON values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "ref": self.ref,
            "to": self.to,
            "from": self.before,
            "parents": list(self.parents),
            "when": self.when,
            "who": self.who,
            "why": self.why,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Move:
        """Return the move that `to_json` wrote.

        Raises:
            MisuseError: a newer version wrote it.
        """
        if data["schema_version"] > SCHEMA_VERSION:
            raise MisuseError("A newer pytest-llmops wrote this move; install that version to read it.")
        return cls(
            ref=data["ref"],
            to=data["to"],
            before=data["from"],
            parents=tuple(data["parents"]),
            when=data["when"],
            who=data["who"],
            why=data["why"],
        )

    def to_text(self) -> str:
        """Return the text of the move's file."""
        return canonical(self.to_json()) + "\n"

    @classmethod
    def read(cls, text: str) -> tuple[Move, str]:
        """Return the move that `to_text` wrote, and the digest of what `text` holds.

        Raises:
            MisuseError: a newer version wrote it.
            ValueError: `text` is not JSON.
            LookupError: it holds no move.
            TypeError: it holds no move.
        """
        data: Any = parse_json(text)
        return cls.from_json(data), digest(data)
