"""Join the one server that all processes of a user share for the same weights, or start it."""

from __future__ import annotations

import contextlib
import http.client
import importlib.metadata
import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import astuple, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pytest_llmops.errors import MisuseError
from pytest_llmops.providers.weights import OWN_CACHE, Weights, private_folder
from pytest_llmops.store.canonical import SHORT, digest

CONTEXT = 4096
"""Tokens of prompt and answer together."""

START_PATIENCE = 330.0
"""Seconds to wait for another process that starts the server; a little more than a start may take."""

LEAVE_PATIENCE = 30.0
"""Seconds to wait for a server that is ending."""

SIGN_PATIENCE = 10.0
"""Seconds in which a server that is alive gives a sign of it, however busy."""

INSTALL = "run `pip install 'pytest-llmops[local]'`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Be where a server answers."""

    base_url: str
    token: str
    """What the server wants to see, so that it answers nobody else on this machine."""
    pid: int


class SharedServer:
    """Hold on to the server for `weights`; it lives while anybody does.

    A client holds a read transaction of an empty SQLite file, which the system ends with the process. The
    server leaves when it can lock that file for itself. The address stands in a second file, locked by
    whoever reads it, so that of several clients one starts the server and the others find it.

    Args:
        weights: what the server runs.
        runtime: name and version of what runs it; another version is another server.
    """

    def __init__(self, weights: Weights, runtime: str) -> None:
        self._weights = weights
        self._key = digest({"weights": weights.sha256, "runtime": runtime, "context": CONTEXT})[:SHORT]
        self._lease: sqlite3.Connection | None = None

    def join(self) -> Address:
        """Return the address of the running server, started if need be; blocks meanwhile.

        Raises:
            MisuseError: the weights are missing or damaged, or the server cannot start.
        """
        self._weights.verify()
        folder = private_folder("servers")
        clients = folder / f"{self._key}.clients.sqlite"
        try:
            self._hold(clients)
            return self._address(folder / f"{self._key}.address.sqlite", clients)
        except BaseException as error:
            self.leave()
            if isinstance(error, sqlite3.Error):
                raise MisuseError(
                    f"{folder} cannot be used: {error}. Delete that folder, or set {OWN_CACHE} to a folder "
                    "on a local disk."
                ) from None
            raise

    def leave(self) -> None:
        """Let go of the server."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.close()

    def _hold(self, clients: Path) -> None:
        if self._lease is None:
            self._lease = sqlite3.connect(
                clients, timeout=LEAVE_PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._lease.execute("BEGIN")
            # The lock comes with the first read.
            self._lease.execute("SELECT 1 FROM sqlite_master").fetchall()

    def _address(self, path: Path, clients: Path) -> Address:
        with contextlib.closing(sqlite3.connect(path, timeout=START_PATIENCE, isolation_level=None)) as book:
            book.execute("BEGIN EXCLUSIVE")
            book.execute("CREATE TABLE IF NOT EXISTS address (base_url TEXT, token TEXT, pid INTEGER)")
            row = book.execute("SELECT base_url, token, pid FROM address").fetchone()
            if row is not None:
                known = Address(base_url=row[0], token=row[1], pid=row[2])
                if self._answers(known):
                    return known
            started = self._start(clients)
            book.execute("DELETE FROM address")
            book.execute("INSERT INTO address VALUES (?, ?, ?)", astuple(started))
            book.execute("COMMIT")
        return started

    def _answers(self, address: Address) -> bool:
        # Not through urllib, which would ask the user's proxy for this machine's loopback.
        place = urlsplit(address.base_url)
        connection = http.client.HTTPConnection(place.netloc, timeout=SIGN_PATIENCE)
        try:
            connection.request(
                "GET", f"{place.path}/models", headers={"Authorization": f"Bearer {address.token}"}
            )
            # The port may be another program's by now.
            return self._weights.sha256.encode() in connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _start(self, clients: Path) -> Address:
        script = Path(__file__).with_name("local_server.py")
        # By path and without the working folder, so that no file of the user's is taken for a module.
        done = subprocess.run(  # noqa: S603 - our own interpreter and file
            [
                *(sys.executable, "-P", script),
                *(self._weights.path, self._weights.sha256, str(CONTEXT), clients),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=_environment(),
            # The server must not keep the user's folder in use.
            cwd=clients.parent,
            # Out of reach of a Ctrl-C in the terminal.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            check=False,
        )
        with contextlib.suppress(ValueError, TypeError):
            return Address(**json.loads(done.stdout.rstrip().rpartition("\n")[2]))
        raise _no_start(self._weights, done.stderr)


def _environment() -> dict[str, str]:
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    libraries = _openmp_libraries()
    if libraries is not None:
        others = os.environ.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = f"{libraries}:{others}" if others else str(libraries)
    return environment


def _openmp_libraries() -> Path | None:
    # xllamacpp needs libgomp, which small Linux images lack and pip can bring.
    if sys.platform != "linux":
        return None
    try:
        package = importlib.metadata.distribution("cmeel-libomp")
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(package.locate_file("cmeel.prefix/lib")))


def _no_start(weights: Weights, told: str) -> MisuseError:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    if "libgomp" in told:
        return MisuseError(
            f"The embedded model needs the system library libgomp: {INSTALL}, which brings it, or install "
            "it with the system's packages (Debian and Ubuntu: libgomp1)."
        )
    reasons = [line for line in lines if "error" in line.lower()] or lines[-1:]
    reason = reasons[0] if reasons else "it ended without a word; perhaps this processor is too old for it."
    return MisuseError(f"The embedded model cannot start from {weights.path}: {reason}")
