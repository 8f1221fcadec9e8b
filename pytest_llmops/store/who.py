"""Find out who is at work."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def identity(folder: Path) -> str:
    """Return `name <email>` as git knows them in `folder`, else the name of the system's user.

    Asked once a process: a session that saves many runs does not start git for each.
    """
    name, email = _git(folder, "user.name"), _git(folder, "user.email")
    if name and email:
        return f"{name} <{email}>"
    return name or email or _user()


def _git(folder: Path, key: str) -> str:
    import shutil
    import subprocess

    program = shutil.which("git")
    if program is None:
        return ""
    try:
        answer = subprocess.run(  # noqa: S603 - the arguments are ours
            [program, "-C", str(folder), "config", key],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        # A container's user may have no name.
        return "unknown"
