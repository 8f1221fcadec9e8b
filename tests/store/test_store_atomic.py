from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.atomic import write_bytes, write_new, write_text

LIMITED = """
import resource, signal, sys
from pathlib import Path
from pytest_llmops.errors import MisuseError
from pytest_llmops.store import atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    getattr(atomic, sys.argv[1])(Path(sys.argv[2]), "n" * 5000)
except MisuseError as error:
    print(error)
"""

# Ends the process, as a power cut would, at the n-th thing that it asks of the system in that folder.
CRASHING = """
import os, sys
from pathlib import Path
from pytest_llmops.store import atomic
folder, left = sys.argv[2], int(sys.argv[3])
def hook(event, arguments):
    global left
    if any(isinstance(item, (str, os.PathLike)) and str(item).startswith(folder) for item in arguments):
        if left == 0:
            os._exit(9)
        left -= 1
path = Path(folder) / "deep" / "file"
sys.addaudithook(hook)
getattr(atomic, sys.argv[1])(path, "new" * 1000)
"""

RACING = """
import sys
from pathlib import Path
from pytest_llmops.store.atomic import write_new
folder, me = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
print(*(int(write_new(folder / str(number), me * 50_000)) for number in range(40)))
"""


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_written_file_holds_the_bytes_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_bytes(path, b"\x00\r\n\xff")
    assert path.read_bytes() == b"\x00\r\n\xff"
    write_text(path, "zwei\r\n€")
    assert path.read_bytes() == "zwei\r\n€".encode()
    assert names(tmp_path) == ["file"]


def test_half_a_surrogate_pair_does_not_lose_the_file(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "a\ud83d")
    assert (tmp_path / "file").read_bytes().decode("utf-8", "surrogatepass") == "a\ud83d"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_written_file_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "x")
        write_new(tmp_path / "new", "x")
    finally:
        os.umask(before)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "new")} == {0o640}


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "old"
    assert (tmp_path / "link").read_text() == "new"


def test_write_new_writes_once(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    assert write_new(path, "first")
    assert not write_new(path, "second")
    assert path.read_text() == "first"
    assert names(tmp_path) == ["file"]


def test_write_new_leaves_a_broken_link_alone(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert not write_new(tmp_path / "link", "text")
    assert not (tmp_path / "nowhere").exists()


def test_write_new_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert write_new(tmp_path / "file", "first")
    assert not write_new(tmp_path / "file", "second")
    assert (tmp_path / "file").read_text() == "first"
    assert names(tmp_path) == ["file"]


def test_a_failure_without_hard_links_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def fail_second(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    calls: list[int] = []
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "fsync", fail_second)
    with pytest.raises(MisuseError, match=r"file cannot be written: No space left on device\."):
        write_new(tmp_path / "file", "text")
    assert names(tmp_path) == []


@pytest.mark.parametrize("write", [write_text, write_new])
def test_a_file_gets_its_name_once_its_bytes_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, str], object]
) -> None:
    def record(handle: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), os.fstat(handle).st_size, path.exists()))
        fsync(handle)

    path = tmp_path / "file"
    synced: list[tuple[bool, int, bool]] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", record)
    write(path, "x" * 5000)
    assert synced[0] == (False, 5000, False)
    assert [(folder, named) for folder, _, named in synced[1:]] == [(True, True)]


def test_of_racing_processes_one_writes_each_file_whole(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACING, str(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abc"
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    wins = {name: racer.communicate()[0].split() for name, racer in zip("abc", racers, strict=True)}
    for number in range(40):
        winners = [name for name in "abc" if wins[name][number] == "1"]
        assert len(winners) == 1
        assert (tmp_path / str(number)).read_text() == winners[0] * 50_000
    assert len(names(tmp_path)) == 40


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on file sizes")
@pytest.mark.parametrize("function", ["write_text", "write_new"])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path, function: str) -> None:
    path = tmp_path / "file"
    if function == "write_text":
        path.write_text("old")
    before = names(tmp_path)
    told = python(LIMITED, function, path)
    assert told.stderr == ""
    assert told.stdout.startswith(f"{path} cannot be written: File too large.")
    assert names(tmp_path) == before
    assert not before or path.read_text() == "old"


@pytest.mark.parametrize("function", ["write_text", "write_new"])
def test_a_crash_at_any_moment_leaves_the_file_old_or_new(tmp_path: Path, function: str) -> None:
    seen = set()
    for moment in range(40):
        folder = tmp_path / str(moment)
        (folder / "deep").mkdir(parents=True)
        path = folder / "deep" / "file"
        if function == "write_text":
            path.write_text("old")
        code = python(CRASHING, function, folder, moment).returncode
        seen.add(path.read_text() if path.exists() else "")
        # What a crash leaves behind is a hidden temporary file, which .gitignore names.
        assert all(name == "file" or (name[0] == "." and name.endswith(".tmp")) for name in names(folder))
        if code == 0:
            break
        assert code == 9
    assert code == 0
    assert moment > 3
    assert seen == {"old" if function == "write_text" else "", "new" * 1000}


@pytest.mark.parametrize("write", [write_text, write_new])
def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path, write) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(MisuseError, match=r"file cannot be written: "):
        write(tmp_path / "a" / "b" / "file", "text")
    assert names(tmp_path) == ["a"]


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(MisuseError, match=r"file cannot be written: "):
        write_text(tmp_path / "file", "text")
    assert names(tmp_path) == []
