"""Serve the embedded model over loopback, in a process that ends with its last client.

Run by its path, with the standard library and xllamacpp alone. The first stage starts the second and ends
at once, so that the server is nobody's child and leaves no zombie. The second prints one line of JSON once
it can answer, and is silent from then on.
"""

from __future__ import annotations

import faulthandler
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xllamacpp

SERVE = "--serve"

START_LIMIT = 300.0
"""Seconds that loading may take."""

CHECK = 0.2
"""Seconds between two checks whether a client is left."""


def main(arguments: list[str]) -> None:
    """Run the stage that `arguments` name: `[--serve] WEIGHTS ALIAS CONTEXT CLIENTS`."""
    if arguments[0] != SERVE:
        _detach(arguments)
        os._exit(0)
    try:
        _serve(*arguments[1:])
    except Exception:
        traceback.print_exc()
    finally:
        # The runtime's own clean-up can wait for ever on a server that has just started.
        os._exit(1)


def _detach(arguments: list[str]) -> None:
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    subprocess.Popen(  # noqa: S603 - this very file
        [sys.executable, "-P", __file__, SERVE, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=sys.stdout,
        stderr=sys.stderr,
        creationflags=flags,
    )


def _serve(weights: str, alias: str, context: str, clients: str) -> None:
    # Ctrl-C is for pytest; this process ends when pytest lets go of its lock.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Loading holds the interpreter, so only this watchdog can end it.
    faulthandler.dump_traceback_later(START_LIMIT, exit=True)
    token = secrets.token_urlsafe()
    server = _started(weights, alias, int(context), token)
    faulthandler.cancel_dump_traceback_later()
    ready = {"base_url": f"{server.listening_address}/v1", "token": token, "pid": os.getpid()}
    print(json.dumps(ready), flush=True)  # noqa: T201 - what the client reads
    _be_silent()
    _wait_until_alone(clients)
    os._exit(0)


def _started(weights: str, alias: str, context: int, token: str) -> xllamacpp.Server:
    try:
        import xllamacpp
    except ImportError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = weights
    parameters.model_alias = [alias]
    parameters.api_keys = [token]
    parameters.n_ctx = context
    # Prompts are computed whole and one at a time: in other portions the numbers round differently, so with
    # a prompt cache or a second slot an answer would depend on the calls before it, even at temperature 0.
    parameters.n_parallel = 1
    parameters.cache_prompt = False
    parameters.cache_ram_mib = 0
    # A second thread on a busy machine waits in spin locks, 40 times slower than one.
    parameters.cpuparams.n_threads = 1
    # Prompts are read in large steps, where a second core halves the time; with OMP_WAIT_POLICY=passive a
    # busy one costs nothing. The number of threads does not change an answer.
    parameters.cpuparams_batch.n_threads = min(2, os.cpu_count() or 1)
    parameters.n_gpu_layers = 0
    # Errors only.
    parameters.verbosity = 1
    return xllamacpp.Server(parameters)


def _be_silent() -> None:
    # Also lets go of the pipes on which the client waits.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _wait_until_alone(clients: str) -> None:
    connection = sqlite3.connect(clients, timeout=0, isolation_level=None)
    # Nothing is ever written; a journal file would stay behind.
    connection.execute("PRAGMA journal_mode = MEMORY")
    while True:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                # The file is gone or broken: clients that are left start a server of their own.
                return
            time.sleep(CHECK)
        else:
            # Kept until this process has ended: a client that comes now waits, and starts a new server.
            return


if __name__ == "__main__":
    main(sys.argv[1:])
