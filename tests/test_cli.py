"""Drive the command `llmops` as a user does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_llmops.cli import main

PROMPT = "model: local:smollm2-135m\nmessages:\n  - role: user\n    content: '{}'\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "llmops.toml").write_text("")
    (tmp_path / "prompts" / "triage.prompt.yml").write_text(PROMPT.format("Sort {{ text }}"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def registered(capsys: pytest.CaptureFixture[str]) -> str:
    code, out, _ = ran(capsys, "prompts", "register", "triage")
    assert code == 0
    name, _, version = out.split()[0].partition(":")
    assert name == "triage"
    return version


def test_the_same_content_is_registered_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = ran(capsys, "prompts", "register", "triage")[1]
    again = ran(capsys, "prompts", "register", "triage")[1]
    assert first.endswith(" registered\n")
    assert again.endswith(" was registered already\n")
    assert len(list((project / ".llmops" / "prompts" / "triage").iterdir())) == 1


def test_an_alias_points_at_a_version_and_can_move(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = registered(capsys)
    (project / "prompts" / "triage.prompt.yml").write_text(PROMPT.format("Choose a team for {{ text }}"))
    new = registered(capsys)
    assert old != new
    assert ran(capsys, "prompts", "alias", "triage", "production", old)[:2] == (
        0,
        f"triage@production is triage:{old}\n",
    )
    assert "Sort {{ text }}" in ran(capsys, "prompts", "show", "triage@production")[1]
    ran(capsys, "prompts", "alias", "triage", "production", new, "--why", "better")
    assert "Choose a team" in ran(capsys, "prompts", "show", "triage@production")[1]
    listed = ran(capsys, "prompts", "list", "triage")[1].splitlines()
    assert sorted(listed) == sorted([f"triage:{old}", f"triage:{new} production"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prompts", "register", "triag"], "Did you mean 'triage'?"),
        (["prompts", "show", "triage@production"], "No version of a prompt 'triage' is registered"),
        (["prompts", "show", "triage"], "write `name@alias` or `name:digest`"),
        (["prompts", "alias", "triage", "production", "abc"], "No version"),
        (["resolve", "aliases/triage/production", "abcdef"], "is not the digest of one of the moves"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = ran(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("llmops: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (project / ".llmops").exists()


def test_the_command_needs_no_pytest(project: Path) -> None:
    code = (
        "import sys; from pytest_llmops.cli import main; main(['prompts', 'register', 'triage']); "
        "print('pytest' in sys.modules, '_pytest' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False False"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("pull", "prompts", "resolve", "cache"))
