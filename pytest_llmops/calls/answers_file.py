"""Open the file of answers for those who look after it: nothing is made, and nothing falls back to memory."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from pytest_llmops.calls.cache import checksum, read_answer
from pytest_llmops.calls.database import PATIENCE, VERSION
from pytest_llmops.calls.exchange import Response
from pytest_llmops.errors import MisuseError

ADVICE = {
    sqlite3.SQLITE_NOTADB: "is not a SQLite file. Delete it or move it away: a run makes a new one",
    sqlite3.SQLITE_CORRUPT: "is damaged. Delete it: a run makes a new one and asks again",
    sqlite3.SQLITE_READONLY: "cannot be changed. Mend the permissions of the file and of its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened. Mend the permissions of the file and of its folder",
    sqlite3.SQLITE_BUSY: f"has been in use by another process for {PATIENCE:.0f} s. Try again",
    sqlite3.SQLITE_FULL: "cannot be changed. Make room on its disk",
}


def find_file(path: Path) -> Path | None:
    """Return the file in which this version keeps the answers of the cache at `path`, None without one.

    Raises:
        MisuseError: there is only a file of another version, or one that is not SQLite.
    """
    # An empty file is one that a first run is just making.
    files = [
        file
        for file in (path, path.with_stem(f"{path.stem}-{VERSION}"))
        if file.exists() and not (file.is_file() and file.stat().st_size == 0)
    ]
    versions = {file: _version(file) for file in files}
    for file, version in versions.items():
        if version == VERSION:
            return file
    if any(versions.values()):
        raise MisuseError(
            f"{path} is of another version of pytest-llmops (form {versions[path]}, here {VERSION}). Use "
            "that version, or delete the file: a run makes a new one."
        )
    return None


@contextlib.contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Open `file`, and tell what goes wrong with it as the user's to mend.

    Raises:
        MisuseError: SQLite cannot read or change the file.
    """
    try:
        with contextlib.closing(_connected(file)) as connection:
            yield connection
    except UnicodeDecodeError as error:
        # SQLite quotes what it stumbles over in its messages, and Python cannot read such a message.
        raise MisuseError(f"{file} {ADVICE[sqlite3.SQLITE_CORRUPT]}.") from error
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        raise MisuseError(f"{file} {ADVICE.get(code, 'cannot be used')} ({error}).") from error


def size_of(file: Path) -> int:
    """Return the bytes of `file`, with those that SQLite has not merged into it yet."""
    parts = (file, Path(f"{file}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def sound_answer(key: str, data: object, proof: object) -> Response | None:
    """Return the answer in a row, None where the row is not what was stored."""
    if not isinstance(data, bytes) or proof != checksum(key, data):
        return None
    return read_answer(data)


def _version(file: Path) -> int:
    with opened(file) as connection:
        number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def _connected(file: Path) -> sqlite3.Connection:
    uri = file.absolute().as_uri()
    try:
        return _touched(f"{uri}?mode=rw")
    except sqlite3.OperationalError as error:
        shut = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        if not shut or Path(f"{file}-wal").exists():
            raise
    # Where nothing may be written SQLite reads such a file only if told that nobody writes it.
    return _touched(f"{uri}?immutable=1")


def _touched(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
    # A damaged text must be one bad row, not an error of the whole file.
    connection.text_factory = lambda data: data.decode(errors="replace")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
