"""Hold golden cases: what goes in, what is expected out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_llmops.store.canonical import JsonValue, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Be one golden row."""

    id: str
    """Unique in its golden set."""
    inputs: Mapping[str, JsonValue]
    """The variables of the prompt."""
    expected: JsonValue = None
    """What a right answer is; None where the row names none."""
    messages: tuple[Mapping[str, JsonValue], ...] = ()
    """The conversation so far, each message with `role` and `content`."""
    context: tuple[str, ...] = ()
    """Passages that were retrieved for this case."""
    tags: tuple[str, ...] = ()
    cluster: str | None = None
    """Name of the group (conversation, document) whose cases stand or fall together."""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    _digest: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def unit(self) -> str:
        """Return the name of the independent unit: the cluster, or the case that stands alone."""
        return unit_name(self.id, self.cluster)

    @property
    def digest(self) -> str:
        """Return the row digest: of what is asked and what is expected, so not of tags or cluster."""
        if self._digest is None:
            # Asked for many times in a session.
            object.__setattr__(self, "_digest", digest(self._content))
        assert self._digest is not None
        return self._digest

    @property
    def _content(self) -> dict[str, JsonValue]:
        content: dict[str, JsonValue] = {"inputs": self.inputs, "expected": self.expected}
        # Left out where there is none: rows from before they were known keep their digests.
        more: dict[str, JsonValue] = {"messages": self.messages, "context": self.context}
        return {**content, **{name: value for name, value in more.items() if value}}


def unit_name(case_id: str, cluster: str | None) -> str:
    """Return the name of the independent unit that a case belongs to."""
    return f"case {case_id}" if cluster is None else f"cluster {cluster}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenSet:
    """Be the cases of one golden file, in the file's order."""

    name: str
    cases: tuple[Case, ...]
    path: Path | None = None
    notes: tuple[str, ...] = ()
    """What the reader should be told once, such as ids that were derived."""

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def digest(self) -> str:
        """Return the digest of all rows; their order does not matter."""
        return digest({case.id: case.digest for case in self.cases})
