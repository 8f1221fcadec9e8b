"""Name this process so that others can tell whether it still lives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Be one process."""

    place: str
    """The running system and its table of process ids; empty where that cannot be known."""
    pid: int
    started: str
    """When it started, in the system's own count: process ids are used again."""

    @classmethod
    def this(cls) -> Process:
        """Return the running process."""
        pid = os.getpid()
        return cls(place=_place(), pid=pid, started=_started(pid) or "")

    def is_gone(self) -> bool:
        """Return whether the process has surely ended; False where that cannot be known from here."""
        return bool(self.place) and self.place == _place() and _started(self.pid) != self.started


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # Containers on one system count their process ids apart.
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in brackets may hold spaces and brackets itself; state and start time follow it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]
