"""Check names that become file names, and turn free text into safe ones."""

from __future__ import annotations

import re

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import SHORT, digest_text

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)
"""Names that Windows keeps for itself, whatever follows their first dot."""

SLUG = 40
"""Most characters of a free text that its folder name shows."""


def is_name(text: str) -> bool:
    """Tell whether `text` may name a prompt, an alias or a baseline."""
    # Windows drops a dot at the end, which would make two names one file.
    return bool(NAME.fullmatch(text)) and not text.endswith(".") and text.partition(".")[0] not in DEVICES


def check_name(name: str, what: str) -> str:
    """Return `name` if it may name `what`: a prompt, an alias, a baseline.

    Raises:
        MisuseError: it may not; nothing is replaced, since two names could then become one file.
    """
    if is_name(name):
        return name
    if NAME.fullmatch(name) and name.partition(".")[0] in DEVICES:
        raise MisuseError(f"{name!r} cannot name {what}: Windows keeps it for a device. Choose another name.")
    raise MisuseError(
        f"{name[:80]!r} cannot name {what}: a name is 1 to 64 characters of a-z, 0-9, dot, underscore and "
        "hyphen, begins with a letter or digit and does not end with a dot."
    )


def slug(text: str) -> str:
    """Return a readable file name that no other text shares."""
    readable = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:SLUG].rstrip("-")
    return f"{readable}-{digest_text(text)[:SHORT]}".lstrip("-")
