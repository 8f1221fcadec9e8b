"""A run with metrics of deepeval sends nothing, reads no `.env` and leaves no folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from test_deepeval_suite import BODY, write

CODE = """
import os, sys, pytest
seen = []
def audit(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen"}:
        seen.append((event, str(arguments)))
sys.addaudithook(audit)
before = dict(os.environ)
assert pytest.main(["-q", "-p", "no:deepeval", "-p", "no:cacheprovider", "-p", "no:asyncio", "."]) == 0
changed = {name for name in {**os.environ, **before} if os.environ.get(name) != before.get(name)}
print("SEEN", seen, sorted(changed - {"PYTEST_VERSION", "PYTEST_CURRENT_TEST"}), "deepeval" in sys.modules)
"""

CONFTEST = """
from deepeval_replies import reply
from pytest_llmops import ScriptedProvider


def pytest_llmops_provider(name):
    return ScriptedProvider(reply) if name == "scripted" else None
"""


def test_nothing_is_sent_read_or_left(tmp_path):
    home, root = tmp_path / "home", tmp_path / "root"
    home.mkdir()
    root.mkdir()
    write(root, "scripted:model")
    (root / "conftest.py").write_text(CONFTEST)
    (root / "test_questions.py").write_text(BODY)
    for name in (".env", ".env.local"):
        (root / name).write_text("LEAKED=1\nCONFIDENT_API_KEY=x\n")
    (root / ".deepeval").write_text(json.dumps({"api_key": "y"}))
    names = {path.name for path in root.iterdir()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEEPEVAL", "GRPC"))}
    done = subprocess.run(
        [sys.executable, "-B", "-c", CODE],
        cwd=root,
        env={
            **kept,
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    variables = ["DEEPEVAL_DISABLE_DOTENV", "DEEPEVAL_DISABLE_LEGACY_KEYFILE", "DEEPEVAL_TELEMETRY_OPT_OUT"]
    assert done.stdout.splitlines()[-1] == f"SEEN [] {variables} True"
    assert {path.name for path in root.iterdir()} - names == {".llmops"}
    assert list(home.iterdir()) == []
