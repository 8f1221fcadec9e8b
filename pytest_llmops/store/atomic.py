"""Write files so that they are old or new, never half: the only writing of files in the package."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from pytest_llmops.errors import MisuseError


def write_text(path: Path, text: str) -> None:
    """Put `text` in UTF-8 at `path`, whether or not a file is there; make the folders above it.

    Raises:
        MisuseError: the file cannot be written; what stood at `path` still stands.
    """
    write_bytes(path, _encoded(text))


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`, whether or not a file is there; make the folders above it.

    Raises:
        MisuseError: the file cannot be written; what stood at `path` still stands.
    """
    with _told(path), _beside(path, data) as complete:
        complete.replace(path)
        _sync_folder(path.parent)


def write_new(path: Path, text: str) -> bool:
    """Put `text` in UTF-8 at `path` where nothing stands; return False where something does.

    Of several processes that try at once exactly one gets True, and readers see the whole text or no file.

    Raises:
        MisuseError: the file cannot be written.
    """
    data = _encoded(text)
    with _told(path):
        if path.exists():
            return False
        with _beside(path, data) as complete:
            try:
                _link(complete, path, data)
            except FileExistsError:
                return False
            _sync_folder(path.parent)
    return True


def _encoded(text: str) -> bytes:
    # A model's answer may hold half a surrogate pair; losing the whole file for it would be worse.
    return text.encode("utf-8", "surrogatepass")


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise MisuseError(
            f"{path} cannot be written: {reason}. Check that its folder has room and may be written to."
        ) from error


@contextlib.contextmanager
def _beside(path: Path, data: bytes) -> Iterator[Path]:
    """Yield a temporary file in the folder of `path` that holds `data` durably."""
    _make_folder(path.parent)
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        _write_exclusive(temporary, data)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _write_exclusive(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _link(complete: Path, path: Path, data: bytes) -> None:
    try:
        os.link(complete, path)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no hard links. Here only a crash in this very moment leaves a torn file,
        # and whoever reads it finds that by its digest.
        _write_exclusive(path, data)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    # A rename is durable once its folder is; some systems cannot open a folder, and need not.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
