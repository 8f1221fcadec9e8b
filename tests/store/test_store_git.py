"""What git makes of the folder: real branches, real merges."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import digest_text
from pytest_llmops.store.refs import Refs, alias_ref, baseline_ref
from pytest_llmops.store.who import identity

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

ALIAS = alias_ref("triage", "production")
BASELINE = baseline_ref("production", "evals/test_triage.py::test_triage")
ONE, TWO, THREE = (digest_text(text) for text in ("one", "two", "three"))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    identity.cache_clear()
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Tester")
    git(folder, "config", "user.email", "tester@example.org")
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "move")


def moved_on_two_branches(folder: Path) -> Refs:
    refs = Refs(folder / ".llmops")
    refs.move(ALIAS, ONE)
    refs.move(BASELINE, ONE)
    commit(folder)
    for branch, target in (("left", TWO), ("right", THREE)):
        git(folder, "checkout", "-q", "-b", branch, "main")
        refs.move(ALIAS, target, why=f"on {branch}")
        refs.move(BASELINE, target)
        commit(folder)
    return refs


def test_moves_on_two_branches_merge_without_conflict_and_the_fork_is_named(repository: Path) -> None:
    refs = moved_on_two_branches(repository)
    git(repository, "merge", "-q", "--no-edit", "left")
    assert git(repository, "status", "--porcelain") == ""
    for ref in (ALIAS, BASELINE):
        with pytest.raises(MisuseError, match=rf"{ref} was moved on two branches: .*{TWO[:12]}|{THREE[:12]}"):
            refs.current(ref)
    with pytest.raises(MisuseError, match=r"\(on left\).*\(on right\)|\(on right\).*\(on left\)"):
        refs.current(ALIAS)
    refs.settle(ALIAS, TWO)
    refs.settle(BASELINE, TWO)
    assert refs.current(ALIAS) == refs.current(BASELINE) == TWO


def test_a_fork_settled_on_one_branch_is_settled_for_all(repository: Path) -> None:
    refs = moved_on_two_branches(repository)
    git(repository, "merge", "-q", "--no-edit", "left")
    refs.settle(ALIAS, TWO)
    commit(repository)
    git(repository, "checkout", "-q", "left")
    assert refs.current(ALIAS) == TWO
    git(repository, "merge", "-q", "--no-edit", "right")
    assert len(refs.log(ALIAS)) == 4
    assert refs.current(ALIAS) == TWO
    git(repository, "checkout", "-q", "main")
    assert refs.current(ALIAS) == ONE


def test_git_does_not_see_what_is_local_or_half_written(repository: Path) -> None:
    refs = Refs(repository / ".llmops")
    refs.move(ALIAS, ONE)
    (refs.root / "refs" / ".0123456789abcdef.tmp").write_text("half")
    seen = git(repository, "status", "--porcelain", "-uall").split()[1::2]
    move = refs.log(ALIAS)[0]
    assert sorted(seen) == [
        ".llmops/.gitignore",
        ".llmops/README.md",
        f".llmops/refs/aliases/triage/production/{move.digest}.json",
    ]


def test_moves_survive_a_checkout_with_other_line_ends(repository: Path) -> None:
    refs = moved_on_two_branches(repository)
    git(repository, "config", "core.autocrlf", "true")
    shutil.rmtree(refs.root / "refs")
    git(repository, "checkout", "-q", "--", ".")
    assert any(b"\r\n" in path.read_bytes() for path in (refs.root / "refs").rglob("*.json"))
    assert refs.current(ALIAS) == THREE


def test_the_mover_is_whom_git_knows(repository: Path) -> None:
    refs = Refs(repository / ".llmops")
    assert refs.move(ALIAS, ONE).who == "Tester <tester@example.org>"
    assert refs.move(ALIAS, TWO, who="release job").who == "release job"


def test_without_git_s_knowledge_the_mover_is_the_user(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repository, "config", "--unset", "user.email")
    assert identity(repository) == "Tester"
    git(repository, "config", "--unset", "user.name")
    monkeypatch.setenv("LOGNAME", "somebody")
    identity.cache_clear()
    assert identity(repository) == "somebody"
    monkeypatch.setenv("PATH", "")
    identity.cache_clear()
    assert identity(repository) == "somebody"


def test_a_git_that_does_not_start_is_no_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "git").write_bytes(b"\x7fno program")
    (repository / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(repository))
    monkeypatch.setenv("LOGNAME", "somebody")
    assert identity(repository) == "somebody"


def test_a_user_without_a_name_is_unknown(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("getpass.getuser", nameless)
    assert identity(repository) == "unknown"
