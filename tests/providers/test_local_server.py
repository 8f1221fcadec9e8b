from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from embedded_model import CLIENT, PATIENCE, client, is_running, own_cache, shared_server, wait_until_gone

from pytest_llmops.errors import MisuseError
from pytest_llmops.providers.local_join import SharedServer
from pytest_llmops.providers.weights import find_weights


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_cache(tmp_path_factory.mktemp("server") / "cache")


@pytest.fixture
def cache(real: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMOPS_CACHE_DIR", str(real))
    return real


@pytest.fixture
def server(cache: Path) -> Iterator[SharedServer]:
    """Join the server from the test's own process; after it, nobody is left."""
    server = shared_server()
    yield server
    pid = server.join().pid
    server.leave()
    wait_until_gone(pid)


def server_pid(server: SharedServer) -> int:
    pid = server.join().pid
    server.leave()
    return pid


@pytest.mark.embedded
def test_processes_that_start_at_once_share_one_server_until_the_last_has_left(
    cache: Path, tmp_path: Path
) -> None:
    # A file of the user's that has the name of a module must not be taken for it.
    (tmp_path / "sqlite3.py").write_text("raise SystemExit('the wrong sqlite3')")
    server = shared_server()
    with ExitStack() as stack:
        clients = [stack.enter_context(client(tmp_path)) for _ in range(3)]
        for each in clients:
            each.say("ask")
        assert [each.hear() for each in clients] == ["stop"] * 3
        pid = server_pid(server)
        # The starter may be among the killed.
        clients[0].kill()
        clients[1].kill()
        clients[2].say("ask")
        assert clients[2].hear() == "stop"
        assert server_pid(server) == pid
        clients[2].say("close")
        assert clients[2].hear() == "closed"
        wait_until_gone(pid)
        # Whoever comes later starts another one.
        clients[2].say("ask")
        assert clients[2].hear() == "stop"
        other = server_pid(server)
        assert other != pid
        clients[2].kill()
        wait_until_gone(other)


@pytest.mark.embedded
def test_only_one_server_ever_ran(cache: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(client(tmp_path)) for _ in range(3)]
        for each in clients:
            each.say("ask")
        assert [each.hear() for each in clients] == ["stop"] * 3


@pytest.mark.embedded
def test_the_server_leaves_the_terminal_and_the_pipes_alone(
    server: SharedServer, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pid = server.join().pid
    assert capfd.readouterr() == ("", "")
    if os.name == "posix":
        assert os.getpgid(pid) != os.getpgid(0)
    os.kill(pid, signal.SIGINT)
    assert server.join().pid == pid
