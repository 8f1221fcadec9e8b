"""Keep immutable objects in files that are named by their digests."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pytest_llmops.errors import DamagedError, MisuseError
from pytest_llmops.store.atomic import write_new
from pytest_llmops.store.canonical import SHORT
from pytest_llmops.store.folder import damage, inside, make_folder, read_stored

DIGEST = re.compile(r"[0-9a-f]{64}")
PREFIX = re.compile(r"[0-9a-f]{6,64}")
LISTED = 10
"""Most digests that a message lists."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Objects:
    """Store texts below `root`, the folder `.llmops`; `folder` is a path in it such as `prompts/triage`."""

    root: Path

    def put(self, folder: str, digest: str, text: str, *, suffix: str) -> Path:
        """Store `text` under `digest` and return its file; an object that is there stays as it is.

        Raises:
            MisuseError: the file cannot be written.
        """
        path = self.path(folder, digest, suffix=suffix)
        make_folder(self.root)
        write_new(path, text)
        return path

    def get(self, folder: str, digest: str, *, suffix: str, read: Callable[[str], tuple[T, str]]) -> T:
        """Return the object under `digest`.

        Args:
            folder: where it lies.
            digest: 64 hex digits.
            suffix: end of the file name, such as `.json`.
            read: makes of the file's text the object and the digest of what it holds.

        Raises:
            DamagedError: the file cannot be read, or holds something else than was stored.
            MisuseError: no such object is stored.
        """
        path = self.path(folder, digest, suffix=suffix)
        if not path.exists():
            raise MisuseError(f"{path} does not exist. {self._stored(folder, suffix)}")
        text = read_stored(path)
        try:
            value, found = read(text)
        except MisuseError as error:
            raise type(error)(f"{path}: {error}") from None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedError(damage(path, str(error) or type(error).__name__)) from None
        if found != digest:
            raise DamagedError(damage(path, f"its content has the digest {found[:SHORT]}"))
        return value

    def find(self, folder: str, prefix: str, *, suffix: str) -> str:
        """Return the one stored digest that begins with `prefix`, at least 6 hex digits.

        Raises:
            MisuseError: none does, or several do.
        """
        if not PREFIX.fullmatch(prefix):
            raise MisuseError(f"{prefix[:80]!r} is not a digest: write at least 6 of its hex digits.")
        found = [digest for digest in self.digests(folder, suffix=suffix) if digest.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        if found:
            raise MisuseError(
                f"{len(found)} objects in {self.root / folder} begin with {prefix!r}: {_listed(found, 64)}. "
                "Write more digits."
            )
        raise MisuseError(
            f"Nothing in {self.root / folder} begins with {prefix!r}. {self._stored(folder, suffix)}"
        )

    def digests(self, folder: str, *, suffix: str) -> list[str]:
        """Return the digests of all objects in `folder`, sorted."""
        names = (path.name for path in inside(self.root, folder).glob(f"*{suffix}"))
        return sorted(name[:64] for name in names if DIGEST.fullmatch(name.removesuffix(suffix)))

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in `folder`, sorted."""
        return sorted(path.name for path in inside(self.root, folder).glob("*/"))

    def path(self, folder: str, digest: str, *, suffix: str) -> Path:
        """Return the file of the object under `digest`, stored or not."""
        if not DIGEST.fullmatch(digest):
            raise MisuseError(f"{digest[:80]!r} is not a digest of 64 hex digits.")
        return inside(self.root, folder, digest + suffix)

    def _stored(self, folder: str, suffix: str) -> str:
        digests = self.digests(folder, suffix=suffix)
        return f"Stored: {_listed(digests, SHORT)}." if digests else "Nothing is stored there."


def _listed(digests: list[str], digits: int) -> str:
    shown = ", ".join(digest[:digits] for digest in digests[:LISTED])
    rest = len(digests) - LISTED
    return f"{shown} and {rest} more" if rest > 0 else shown
