"""F10: run sessions where little works: read-only and full disks, no home, files in the way, damage."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.reliability.suites import PYTEST, run, write_suite
from benchmarks.server import Served, serving
from pytest_llmops.store.folder import HOME

CASES = 12

WARNINGS = re.compile(r"^\S.*(?:cannot be used|holds a damaged answer).*", re.MULTILINE)

MOUNTED = """
set -e
mount -t tmpfs -o size={size}k llmops "$1"
cp -a "$0"/. "$1"
{then}
cd "$1"
shift
status=0
"$@" || status=$?
rm -rf "$0/.llmops"
cp -a .llmops "$0" || true
exit $status
"""
"""Runs in mounts of its own, which end with it; $0 is the suite, $1 where it goes, the rest the command."""

FULL = 'cat /dev/zero > "$1/filling" 2>/dev/null || true'

READ_ONLY = 'mount -o remount,ro "$1"'


def _leave(root: Path) -> None:
    """Spoil nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poor:
    """Be one environment that lacks something."""

    prepare: Callable[[Path], object] = _leave
    """Spoils the suite, after a first session has filled its cache."""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    """None takes a variable away."""
    mounted: str = ""
    """Shell script around the session, which needs root."""
    warnings: int = 1
    """Lines of the report that say so."""
    again: int = CASES
    """Cases that are asked for again, at least."""
    sound: bool = True
    """Whether the cache is sound, and still must be so afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Be what came of a session."""

    status: int
    passed: int
    warnings: Sequence[str]
    requests: int
    sound: bool
    """Whether SQLite finds nothing wrong with the cache, where there is one."""
    output: str


def _cache(root: Path) -> Path:
    return root / HOME / "local" / "cache.sqlite"


def _environment(changed: Mapping[str, str | None]) -> dict[str, str]:
    # A line of the report must hold a path and what is wrong with it.
    changed = {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "500", **changed}
    return {name: value for name, value in {**os.environ, **changed}.items() if value is not None}


def _is_sound(path: Path) -> bool:
    if not path.exists():
        return True
    try:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    except sqlite3.DatabaseError:
        return False


def _file_in_the_way(root: Path) -> None:
    shutil.rmtree(root / HOME / "local")
    (root / HOME / "local").write_text("in the way")


def _no_database(root: Path) -> None:
    _cache(root).write_bytes(b"no database at all" * 500)


def _cut_off(root: Path) -> None:
    with closing(sqlite3.connect(_cache(root))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _cache(root).write_bytes(_cache(root).read_bytes()[:5000])


def _damaged_rows(root: Path) -> None:
    with closing(sqlite3.connect(_cache(root))) as connection:
        connection.execute("UPDATE answers SET response = replace(response, 'answer', 'Answer')")
        connection.commit()


def _elsewhere(root: Path) -> None:
    (root / HOME).rename(root / "elsewhere")
    (root / HOME).symlink_to(root / "elsewhere")


ENVIRONMENTS: Mapping[str, Poor] = {
    "no HOME": Poor(environment={"HOME": None}, warnings=0, again=0),
    "HOME that is not there": Poor(environment={"HOME": "/nonexistent"}, warnings=0, again=0),
    "TMPDIR that is not there": Poor(environment={"TMPDIR": "/nonexistent"}, warnings=0, again=0),
    "store behind a symbolic link": Poor(prepare=_elsewhere, warnings=0, again=0),
    "a file where the folder should be": Poor(prepare=_file_in_the_way),
    "cache that is no database": Poor(prepare=_no_database, sound=False),
    "cache that is cut off": Poor(prepare=_cut_off, sound=False),
    "damaged rows": Poor(prepare=_damaged_rows),
}

NEEDING_ROOT: Mapping[str, Poor] = {
    "read-only disk": Poor(mounted=MOUNTED.format(size=4096, then=READ_ONLY), again=0),
    "read-only disk without a cache": Poor(
        mounted=MOUNTED.format(size=4096, then=f'rm -rf "$1/{HOME}"\n{READ_ONLY}')
    ),
    "full disk": Poor(mounted=MOUNTED.format(size=256, then=FULL), again=0),
    "full disk without a cache": Poor(mounted=MOUNTED.format(size=256, then=f'rm -rf "$1/{HOME}"\n{FULL}')),
}


def write_filled(root: Path, server: Served) -> None:
    """Write a suite and fill its cache."""
    write_suite(root, [f"Question {n}?" for n in range(CASES)])
    ended = run(root, [*PYTEST, "-q"], server.environment)
    assert ended.status == 0, ended.output


def session_in(
    root: Path, poor: Poor, *, filled: Path, server: Served, arguments: Sequence[str] = ()
) -> Session:
    """Return what comes of a session in a poor environment.

    Args:
        root: an empty folder.
        poor: the environment.
        filled: a suite with its cache, which is copied.
        server: who answered it.
        arguments: of pytest.
    """
    suite, place = root / "suite", root / "place"
    place.mkdir()
    shutil.copytree(filled, suite)
    poor.prepare(suite)
    command = [*PYTEST, "-q", *arguments]
    if poor.mounted:
        command = ["unshare", "-m", "sh", "-c", poor.mounted, str(suite), str(place), *command]
    seen = len(server.log())
    ended = subprocess.run(
        command,
        cwd=suite,
        env=_environment({**server.environment, **poor.environment}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    passed = re.search(r"(\d+) passed", ended.stdout)
    return Session(
        status=ended.returncode,
        passed=int(passed[1]) if passed else 0,
        warnings=WARNINGS.findall(ended.stdout),
        requests=len(server.log()) - seen,
        sound=_is_sound(_cache(suite)),
        output=ended.stdout,
    )


def breaches(found: Session, poor: Poor) -> list[str]:
    """Return what a session in a poor environment did not do."""
    told = []
    if (found.status, found.passed) != (0, CASES):
        told.append(f"status {found.status}, {found.passed} of {CASES} passed")
    if len(found.warnings) != poor.warnings:
        told.append(f"{len(found.warnings)} warnings in place of {poor.warnings}")
    if found.requests < poor.again or (not poor.warnings and found.requests):
        told.append(f"{found.requests} requests where {poor.again} are needed")
    if poor.sound and not found.sound:
        told.append("the cache is corrupt")
    return told


def poor_environments() -> bool:
    """Print how sessions fared in each environment, and return whether all ran and said what was wrong."""
    mounts = subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0
    if not mounts:
        print(f"poor: left out, for this user may not mount: {', '.join(NEEDING_ROOT)}")
    kept = True
    with tempfile.TemporaryDirectory() as folder, serving() as server:
        write_filled(Path(folder) / "filled", server)
        for name, poor in {**ENVIRONMENTS, **(NEEDING_ROOT if mounts else {})}.items():
            for arguments in ((), ("-n2",)):
                root = Path(folder) / f"{name} {' '.join(arguments)}"
                root.mkdir()
                found = session_in(
                    root, poor, filled=Path(folder) / "filled", server=server, arguments=arguments
                )
                broken = breaches(found, poor)
                kept = kept and not broken
                print(
                    f"poor: {name}, {' '.join(arguments) or 'plain'}: status {found.status}, "
                    f"{found.passed} of {CASES} passed, {len(found.warnings)} warnings, "
                    f"{found.requests} requests: {'; '.join(broken) or 'kept'}",
                    flush=True,
                )
    return kept
