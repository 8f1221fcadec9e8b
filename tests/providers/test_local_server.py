from __future__ import annotations

import http.client
import http.server
import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from embedded_model import (
    PATIENCE,
    client,
    is_running,
    own_cache,
    servers_of,
    shared_server,
    wait_until_gone,
)

from pytest_llmops.errors import MisuseError
from pytest_llmops.providers import local_server
from pytest_llmops.providers.local_join import SharedServer
from pytest_llmops.providers.weights import Weights, find_weights

NO_GGUF = b"this is no model" * 99


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_cache(tmp_path_factory.mktemp("server") / "cache")


@pytest.fixture
def cache(real: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMOPS_CACHE_DIR", str(real))
    return real


@pytest.fixture
def server(cache: Path) -> Iterator[SharedServer]:
    """Stand for one client, the test itself; at the end nobody is left."""
    server = shared_server()
    yield server
    pid = pid_of(server)
    wait_until_gone(pid)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """Give the user weights that are none, and an empty cache folder."""
    path = tmp_path / "own.gguf"
    path.write_bytes(NO_GGUF)
    monkeypatch.setenv("LLMOPS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("LLMOPS_EMBEDDED_MODEL", str(path))
    return find_weights("own")


def pid_of(server: SharedServer) -> int:
    pid = server.join().pid
    server.leave()
    return pid


def runtime_that(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package before xllamacpp that runs `code` when it is imported."""
    (folder / "fake").mkdir()
    (folder / "fake" / "xllamacpp.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder / "fake"))


@pytest.mark.embedded
def test_processes_share_one_server_until_the_last_has_left_or_died(
    cache: Path, server: SharedServer, tmp_path: Path
) -> None:
    # A file of the user's that has the name of a module must not be taken for it.
    (tmp_path / "sqlite3.py").write_text("raise SystemExit('the wrong sqlite3')")
    # The address of a server that has left stands in the file.
    wait_until_gone(pid_of(server))
    with ExitStack() as stack:
        clients = [stack.enter_context(client(tmp_path)) for _ in range(3)]
        for each in clients:
            each.say("ask")
        assert [each.hear() for each in clients] == ["stop"] * 3
        pid = pid_of(server)
        assert servers_of(cache) == [pid]
        # The one that started the server may be among the killed.
        clients[0].kill()
        clients[1].kill()
        clients[2].say("ask")
        assert clients[2].hear() == "stop"
        assert servers_of(cache) == [pid]
        clients[2].kill()
        wait_until_gone(pid)


@pytest.mark.embedded
def test_a_client_that_closed_its_provider_holds_nothing_and_may_come_back(
    server: SharedServer, tmp_path: Path
) -> None:
    with client(tmp_path) as only:
        only.say("ask")
        assert only.hear() == "stop"
        pid = pid_of(server)
        only.say("close")
        assert only.hear() == "closed"
        wait_until_gone(pid)
        only.say("ask")
        assert only.hear() == "stop"
        assert pid_of(server) != pid


@pytest.mark.embedded
def test_the_server_keeps_no_pipe_of_the_client_that_started_it(server: SharedServer, tmp_path: Path) -> None:
    with client(tmp_path) as starter:
        starter.say("ask")
        assert starter.hear() == "stop"
        pid = server.join().pid
        starter.kill()
        # The end of the pipe comes when nobody holds it any more.
        rest, _ = starter.process.communicate(timeout=PATIENCE)
    assert rest == ""
    assert is_running(pid)


@pytest.mark.embedded
def test_the_server_prints_nothing_and_ctrl_c_is_not_for_it(
    server: SharedServer, capfd: pytest.CaptureFixture[str]
) -> None:
    pid = server.join().pid
    assert os.getpgid(pid) != os.getpgid(0)
    os.kill(pid, signal.SIGINT)
    assert server.join().pid == pid
    assert capfd.readouterr() == ("", "")


@pytest.mark.embedded
def test_its_environment_is_its_own(server: SharedServer) -> None:
    before = dict(os.environ)
    pid = server.join().pid
    assert dict(os.environ) == before
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    libraries = importlib.metadata.distribution("cmeel-libomp").locate_file("cmeel.prefix/lib")
    assert b"OMP_WAIT_POLICY=passive" in environment
    assert any(entry.startswith(f"LD_LIBRARY_PATH={libraries}".encode()) for entry in environment)


@pytest.mark.embedded
def test_it_answers_nobody_else_and_no_other_machine(server: SharedServer) -> None:
    address = server.join()
    place = urlsplit(address.base_url)
    assert place.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection(place.netloc, timeout=PATIENCE)
    connection.request("POST", "/v1/chat/completions", body="{}")
    assert connection.getresponse().status == 401
    connection.close()


def bound(port: int, handler: type[http.server.BaseHTTPRequestHandler]) -> http.server.HTTPServer:
    """Return a server on the very port, which the system may not have given back yet."""
    for _ in range(100):
        try:
            return http.server.HTTPServer(("127.0.0.1", port), handler)
        except OSError:
            threading.Event().wait(0.1)
    raise AssertionError(f"The port {port} stays in use.")


@pytest.mark.embedded
def test_an_address_that_is_another_programs_by_now_is_not_used(server: SharedServer) -> None:
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"data": []}')

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    address = server.join()
    os.kill(address.pid, signal.SIGKILL)
    wait_until_gone(address.pid)
    port = urlsplit(address.base_url).port
    assert port is not None
    with bound(port, Other) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            assert server.join().base_url != address.base_url
        finally:
            other.shutdown()
            thread.join()


@pytest.mark.embedded
def test_half_a_model_is_told_in_the_runtimes_own_words(
    cache: Path, own: Weights, capfd: pytest.CaptureFixture[str]
) -> None:
    [whole] = cache.glob("*.gguf")
    with whole.open("rb") as file:
        own.path.write_bytes(file.read(20_000_000))
    with pytest.raises(MisuseError, match=r"cannot start from .*own\.gguf: .*corrupted or incomplete"):
        shared_server(find_weights("own")).join()
    assert capfd.readouterr() == ("", "")


@pytest.mark.embedded
@pytest.mark.parametrize("content", [NO_GGUF, b""])
def test_a_file_that_is_no_model_is_told(content: bytes, own: Weights) -> None:
    own.path.write_bytes(content)
    with pytest.raises(MisuseError, match=r"cannot start from .*own\.gguf: .*failed to load model"):
        shared_server(find_weights("own")).join()


def test_damaged_weights_are_not_started(own: Weights) -> None:
    own.path.write_bytes(NO_GGUF + b"?")
    with pytest.raises(MisuseError, match=r"own\.gguf is damaged"):
        shared_server(own).join()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "raise ImportError('libgomp.so.1: cannot open shared object file: No such file or directory')",
            r"needs the system library libgomp: run `pip install 'pytest-llmops\[local\]'`",
        ),
        ("import no_such_part", "cannot start from .*: ModuleNotFoundError: No module named 'no_such_part'"),
        ("import os; os.abort()", "it ended without a word"),
        ("CommonParams = None", "cannot start from .*: TypeError: 'NoneType' object is not callable"),
    ],
)
def test_a_runtime_that_does_not_run_is_told(
    code: str, message: str, own: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime_that(tmp_path, code, monkeypatch)
    with pytest.raises(MisuseError, match=message):
        shared_server(own).join()


def test_loading_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime_that(tmp_path, "import threading; threading.Event().wait()", monkeypatch)
    code = """
import sys
from pytest_llmops.providers import local_server
local_server.START_LIMIT = 0.5
local_server.main(["--serve", *sys.argv[1:]])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "weights", "alias", "4096", str(tmp_path / "clients")],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "Timeout" in done.stderr


def test_a_lock_file_that_is_none_is_told(own: Weights, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="cannot start"):
        shared_server(own).join()
    [lock] = (tmp_path / "cache" / "servers").glob("*.clients.sqlite")
    lock.write_bytes(NO_GGUF)
    with pytest.raises(
        MisuseError, match=r"servers cannot be used: .*Delete that folder, or set LLMOPS_CACHE_DIR"
    ):
        shared_server(own).join()


def test_a_cache_folder_that_cannot_be_made_is_told(
    own: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLMOPS_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(MisuseError, match=r"servers cannot be used: .*LLMOPS_CACHE_DIR"):
        shared_server(own).join()


def test_the_server_needs_nothing_but_the_standard_library_and_the_runtime() -> None:
    code = (
        f"import runpy, sys; runpy.run_path({local_server.__file__!r}); print('pytest_llmops' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
