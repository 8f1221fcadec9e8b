"""Install each tool in a folder of its own, and say how it runs the suite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]
HOME = ROOT / "build" / "peers"
PROGRAMS = Path(__file__).parent / "programs"

PROMPTFOO = "0.121.20"
"""The last version whose `engines` accept Node 20; later ones want 22.22."""

OWN_TEST = """
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="cases.jsonl")
def test_cases(llm_case):
    assert llm_case.text == llm_case.expected
"""

OWN_PROMPT = 'model: openai:model\nmessages:\n  - role: user\n    content: "{{ question }}"\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Be one question and its only right answer."""

    id: str
    question: str
    answer: str


class Tool(Protocol):
    """Be what runs the suite: all cases, an exact match each, and `<number> passed` in its output."""

    @property
    def name(self) -> str:
        """Return the name of the row."""

    @property
    def caches(self) -> bool:
        """Tell whether it keeps answers of models."""

    @property
    def quiet(self) -> Mapping[str, str]:
        """Return the variables that switch its telemetry and its looks for updates off."""

    def install(self) -> None:
        """Install it.

        Raises:
            subprocess.CalledProcessError: that failed; `stderr` says why.
        """

    def version(self) -> str:
        """Return the version that is installed."""

    def prepare(self, folder: Path, cases: Sequence[Case]) -> None:
        """Write the suite into `folder`."""

    def command(self, concurrency: int) -> Sequence[str]:
        """Return the command that runs the suite in its folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Be a tool that a short Python program drives."""

    name: str
    distribution: str
    program: str
    options: Sequence[str] = ()
    caches: bool = False
    quiet: Mapping[str, str] = field(default_factory=dict)

    def install(self) -> None:
        """Install the tool and the official client."""
        _make_environment(self.distribution, [self.distribution, "openai"])

    def version(self) -> str:
        """Return the version of the tool, or of what stands for it."""
        return f"{self.distribution} {_version(self.distribution)}"

    def prepare(self, folder: Path, cases: Sequence[Case]) -> None:
        """Write the cases."""
        rows = [{"id": case.id, "question": case.question, "answer": case.answer} for case in cases]
        (folder / "cases.json").write_text(json.dumps(rows))

    def command(self, concurrency: int) -> Sequence[str]:
        """Return the command that runs the program."""
        program = [str(_python(self.distribution)), str(PROGRAMS / self.program)]
        return [*program, "cases.json", str(concurrency), *self.options]


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Be this plugin, as a user installs it."""

    name: str = "pytest-llmops"
    caches: bool = True
    quiet: Mapping[str, str] = field(default_factory=dict)

    def install(self) -> None:
        """Install the working tree; pip does not take an earlier one for it."""
        _make_environment(self.name, [str(ROOT)])

    def version(self) -> str:
        """Return the version in the working tree."""
        return f"{self.name} {_version(self.name)}"

    def prepare(self, folder: Path, cases: Sequence[Case]) -> None:
        """Write a prompt, a golden set and a test of one line."""
        rows = [
            {"id": case.id, "inputs": {"question": case.question}, "expected": case.answer} for case in cases
        ]
        (folder / "llmops.toml").touch()
        (folder / "ask.prompt.yml").write_text(OWN_PROMPT)
        (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "test_cases.py").write_text(OWN_TEST)

    def command(self, concurrency: int) -> Sequence[str]:
        """Return the command that runs the test."""
        return [str(_python(self.name)), "-m", "pytest", "-q", f"--llmops-concurrency={concurrency}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promptfoo:
    """Be promptfoo, from npm."""

    name: str = "promptfoo"
    caches: bool = True
    quiet: Mapping[str, str] = field(
        default_factory=lambda: {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1"}
    )

    def install(self) -> None:
        """Install it where npm does not yet hold this version."""
        options = ["--no-audit", "--no-fund", "--loglevel=error"]
        _run(["npm", "install", "--prefix", str(HOME / self.name), *options, f"promptfoo@{PROMPTFOO}"])

    def version(self) -> str:
        """Return the version that npm installed."""
        package = HOME / self.name / "node_modules" / "promptfoo" / "package.json"
        return f"promptfoo {json.loads(package.read_text())['version']}"

    def prepare(self, folder: Path, cases: Sequence[Case]) -> None:
        """Write its configuration."""
        tests = [
            {
                "description": case.id,
                "vars": {"question": case.question},
                "assert": [{"type": "equals", "value": case.answer}],
            }
            for case in cases
        ]
        suite = {"prompts": ["{{question}}"], "providers": ["openai:chat:model"], "tests": tests}
        (folder / "promptfooconfig.json").write_text(json.dumps(suite))

    def command(self, concurrency: int) -> Sequence[str]:
        """Return the command that runs the configuration."""
        program = HOME / self.name / "node_modules" / ".bin" / "promptfoo"
        options = ["--no-progress-bar", "--no-table", "--max-concurrency", str(concurrency)]
        return [str(program), "eval", "-c", "promptfooconfig.json", *options]


DEEPEVAL_QUIET = {"DEEPEVAL_TELEMETRY_OPT_OUT": "1", "DEEPEVAL_DISABLE_DOTENV": "1"}

TOOLS: Sequence[Tool] = (
    Program(name="plain asyncio", distribution="openai", program="plain.py"),
    Own(),
    Program(name="pydantic-evals", distribution="pydantic-evals", program="pydantic_suite.py"),
    Program(name="inspect-ai", distribution="inspect-ai", program="inspect_suite.py", caches=True),
    Promptfoo(),
    Program(name="deepeval", distribution="deepeval", program="deepeval_suite.py", quiet=DEEPEVAL_QUIET),
    Program(
        name="deepeval, `write_cache=False`",
        distribution="deepeval",
        program="deepeval_suite.py",
        options=["no-cache"],
        quiet=DEEPEVAL_QUIET,
    ),
)


def _python(distribution: str) -> Path:
    return HOME / distribution / "bin" / "python"


def _make_environment(distribution: str, requirements: Sequence[str]) -> None:
    python = _python(distribution)
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(python.parents[1])])
    _run([str(python), "-m", "pip", "install", "-q", *requirements])


def _version(distribution: str) -> str:
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    return _run([str(_python(distribution)), "-c", code]).strip()


def _run(command: Sequence[str]) -> str:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout
