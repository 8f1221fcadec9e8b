"""Prove that the plugin is a quiet guest: installed and unused it changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HEAVY = {
    "openai",
    "aiohttp",
    "httpx2",
    "pydantic",
    "deepeval",
    "jsonschema",
    "re2",
    "referencing",
    "tabulate",
    "jinja2",
    "yaml",
    "numpy",
    "scipy",
    "genai_prices",
    "xllamacpp",
    "asyncio",
    "sqlite3",
}
"""Modules that no unused plugin may import; the last two are the standard library's own heavy ones."""


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def plain_project(folder: Path) -> Path:
    (folder / "test_plain.py").write_text("def test_plain():\n    pass\n")
    return folder


def test_loading_the_entry_point_imports_pytest_and_the_standard_library_only(tmp_path: Path) -> None:
    code = """
import sys, pytest
before = set(sys.modules)
import pytest_llmops.plugin
new = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(new - set(sys.stdlib_module_names) - {"pytest_llmops"}))
"""
    assert run(code, tmp_path).split() == []


def test_an_unused_session_imports_nothing_heavy(tmp_path: Path) -> None:
    code = f"""
import sys, pytest
quiet = ["-q", "-p", "no:xdist", "-p", "no:asyncio", "-p", "no:hypothesispytest", "."]
plain = pytest.main([*quiet, "-p", "no:llmops"])
before = set(sys.modules)
used = pytest.main(quiet)
assert plain == used == 0
new = {{name.split(".")[0] for name in set(sys.modules) - before}}
print("NEW", *sorted(new & {HEAVY!r}))
"""
    assert run(code, plain_project(tmp_path)).splitlines()[-1].split() == ["NEW"]


def test_an_unused_session_makes_no_file_opens_no_socket_and_sets_no_variable(tmp_path: Path) -> None:
    plain_project(tmp_path)
    code = """
import os, sys, pytest
seen = []
def audit(event, arguments):
    if event.startswith("socket.") or event in {{"subprocess.Popen", "os.system", "os.mkdir"}}:
        seen.append((event, str(arguments)))
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        seen.append((event, str(arguments)))
sys.dont_write_bytecode = True
environment = dict(os.environ)
sys.addaudithook(audit)
quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:asyncio", "-p", "no:hypothesispytest"]
assert pytest.main([*quiet, *{arguments}, "."]) == 0
changed = {{name for name in os.environ if os.environ[name] != environment.get(name)}} - {{"PYTEST_VERSION"}}
print("SEEN", seen, changed)
"""
    without = run(code.format(arguments=["-p", "no:llmops"]), tmp_path).splitlines()[-1]
    assert run(code.format(arguments=[]), tmp_path).splitlines()[-1] == without
    assert "socket" not in without
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test_plain.py"]


def test_an_unused_session_prints_nothing_of_its_own(tmp_path: Path) -> None:
    plain_project(tmp_path)

    def printed(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "COLUMNS": "80"},
        )
        # The list of plugins names every installed one, and times differ.
        return "\n".join(
            line.partition(" in ")[0] for line in done.stdout.splitlines() if not line.startswith("plugins:")
        )

    assert printed() == printed("-p", "no:llmops")
