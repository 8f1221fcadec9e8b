"""Point names at digests: every move is a file of its own, so moves on two branches never conflict in git."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path
from types import EllipsisType

from pytest_llmops.errors import DamagedError, MisuseError
from pytest_llmops.store.canonical import SHORT
from pytest_llmops.store.folder import damage, inside, make_folder
from pytest_llmops.store.lock import locked
from pytest_llmops.store.move import Move
from pytest_llmops.store.names import check_name, slug
from pytest_llmops.store.objects import DIGEST, Objects
from pytest_llmops.store.who import identity

SUFFIX = ".json"


def alias_ref(prompt: str, alias: str) -> str:
    """Return the ref of an alias of a prompt."""
    return f"aliases/{check_name(prompt, 'a prompt')}/{check_name(alias, 'an alias')}"


def baseline_ref(name: str, test_key: str) -> str:
    """Return the ref of the run of one test under a baseline's name; `test_key` is free text."""
    if not test_key:
        raise MisuseError("A baseline needs the key of a test.")
    return f"baselines/{check_name(name, 'a baseline')}/{test_key}"


@dataclass(frozen=True, slots=True)
class Refs:
    """Keep the moves of all refs below `root`, the folder `.llmops`."""

    root: Path

    def current(self, ref: str) -> str | None:
        """Return the digest that `ref` points at; None where it never was moved.

        Raises:
            MisuseError: two branches moved it to different digests.
            DamagedError: the file of a move is damaged.
        """
        return _agreed(ref, self.tips(ref))

    def tips(self, ref: str) -> tuple[Move, ...]:
        """Return the moves that no other move follows: one, unless `ref` was moved on two branches."""
        moves = self._moves(ref)
        followed = {parent for move in moves.values() for parent in move.parents}
        tips = (move for digest, move in moves.items() if digest not in followed)
        return tuple(sorted(tips, key=_age))

    def log(self, ref: str) -> tuple[Move, ...]:
        """Return all moves, each after those that it follows."""
        moves = self._moves(ref)
        sorter = TopologicalSorter({digest: moves.keys() & set(moves[digest].parents) for digest in moves})
        sorter.prepare()
        ordered: list[Move] = []
        while sorter.is_active():
            ready = sorter.get_ready()
            ordered += sorted((moves[digest] for digest in ready), key=_age)
            sorter.done(*ready)
        return tuple(ordered)

    def move(
        self,
        ref: str,
        to: str,
        *,
        expected: str | EllipsisType | None = ...,
        who: str | None = None,
        why: str = "",
        when: datetime | None = None,
    ) -> Move:
        """Point `ref` at the digest `to`.

        Args:
            ref: what `alias_ref` or `baseline_ref` gave.
            to: 64 hex digits.
            expected: what `ref` must point at now, None for nothing; left out, it may be anything.
            who: the mover; left out, whom git or the system knows.
            why: the reason, free text.
            when: an aware time; left out, now.

        Raises:
            MisuseError: `ref` does not point at `expected`, or two branches moved it to different digests.
        """
        by = identity(self.root.parent) if who is None else who
        with self._locked():
            tips = self.tips(ref)
            found = _agreed(ref, tips)
            if not isinstance(expected, EllipsisType) and found != expected:
                raise MisuseError(
                    f"{ref} was moved by somebody else: {tips[-1] if tips else 'it points at nothing now'}, "
                    f"where {_short(expected)} was expected. Look at it again before you move it."
                )
            return self._add(ref, to, tips, who=by, why=why, when=when)

    def settle(
        self, ref: str, to: str, *, who: str | None = None, why: str = "", when: datetime | None = None
    ) -> Move:
        """Point a ref that two branches moved at the digest `to`; the move follows all its tips.

        Raises:
            MisuseError: there is no fork to settle.
        """
        by = identity(self.root.parent) if who is None else who
        with self._locked():
            tips = self.tips(ref)
            if len(tips) < 2:
                raise MisuseError(f"{ref} needs no settling: it was not moved on two branches.")
            return self._add(ref, to, tips, who=by, why=why, when=when)

    def names(self, kind: str) -> list[str]:
        """Return the names that hold refs of `kind`: prompts of `aliases`, baselines of `baselines`."""
        folder = inside(self.root, "refs", kind)
        return sorted({file.parent.parent.name for file in folder.glob(f"*/*/*{SUFFIX}")})

    def keys(self, kind: str, name: str) -> list[str]:
        """Return the full last parts of the refs under `name`: aliases of a prompt, test keys of a baseline.

        Raises:
            DamagedError: the file of a move is damaged or misplaced.
        """
        keys = []
        for path in inside(self.root, "refs", kind, name).glob("*/"):
            folder = path.relative_to(self.root).as_posix()
            for digest in Objects(self.root).digests(folder, suffix=SUFFIX)[:1]:
                keys.append(self._read(folder, digest).ref.split("/", 2)[2])
        return sorted(keys)

    def _moves(self, ref: str) -> Mapping[str, Move]:
        folder = _folder(ref)
        digests = Objects(self.root).digests(folder, suffix=SUFFIX)
        return {digest: self._read(folder, digest) for digest in digests}

    def _read(self, folder: str, digest: str) -> Move:
        move = Objects(self.root).get(folder, digest, suffix=SUFFIX, read=Move.read)
        if _folder(move.ref) != folder:
            path = self.root / folder / (digest + SUFFIX)
            raise DamagedError(damage(path, f"it belongs to {move.ref!r}, not here"))
        return move

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        make_folder(self.root)
        with locked(self.root / "local" / "refs.lock"):
            yield

    def _add(
        self, ref: str, to: str, tips: Collection[Move], *, who: str, why: str, when: datetime | None
    ) -> Move:
        if not DIGEST.fullmatch(to):
            raise MisuseError(f"{ref} cannot point at {to[:80]!r}, which is not a digest of 64 hex digits.")
        targets = {tip.to for tip in tips}
        move = Move(
            ref=ref,
            to=to,
            before=targets.pop() if len(targets) == 1 else None,
            parents=tuple(sorted(tip.digest for tip in tips)),
            when=(when or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            who=who,
            why=why,
        )
        Objects(self.root).put(_folder(ref), move.digest, move.to_text(), suffix=SUFFIX)
        return move


def _folder(ref: str) -> str:
    kind, _, rest = ref.partition("/")
    name, _, key = rest.partition("/")
    if kind == "aliases":
        return f"refs/{alias_ref(name, key)}"
    if kind == "baselines":
        return f"refs/baselines/{check_name(name, 'a baseline')}/{slug(key)}"
    raise MisuseError(f"{ref[:80]!r} is no ref: refs begin with `aliases/` or `baselines/`.")


def _agreed(ref: str, tips: Collection[Move]) -> str | None:
    targets = {tip.to for tip in tips}
    if len(targets) < 2:
        return next(iter(targets), None)
    raise MisuseError(
        f"{ref} was moved on two branches: " + "; and ".join(str(tip) for tip in tips) + ". Settle it with "
        f"`llmops resolve {shlex.quote(ref)} <digest>`, which takes the digest that is right."
    )


def _age(move: Move) -> tuple[str, str]:
    return move.when, move.digest


def _short(digest: str | None) -> str:
    return "nothing" if digest is None else digest[:SHORT]
