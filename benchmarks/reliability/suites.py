"""Write eval suites whose answers are known, and run pytest on them as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.replies import answer_to

PYTEST = (
    sys.executable,
    "-m",
    "pytest",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:hypothesispytest",
    "-p",
    "no:asyncio",
)

EVAL = """
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="questions.jsonl")
def test_answers(llm_case):
    assert llm_case.text == llm_case.expected
"""

TRIVIAL = """
import pytest


@pytest.mark.parametrize("number", range({count}), ids=lambda number: f"case-{{number}}")
def test_answers(number):
    assert number >= 0
"""

LEFTOVERS = '''
import atexit
import json
import os
import threading


def left():
    """Note what is left when the interpreter ends."""
    files = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    sockets = [os.readlink(file) for file in files if os.path.islink(file)]
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        children = file.read().split()
    found = {
        "threads": [each.name for each in threading.enumerate() if each is not threading.main_thread()],
        "sockets": [name for name in sockets if name.startswith("socket:")],
        "children": children,
    }
    with open("left.json", "w") as file:
        json.dump(found, file)


atexit.register(left)
'''
"""A conftest.py: registered first, so that it runs last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Be a pytest process that has ended."""

    status: int
    output: str
    seconds: float
    cpu: float
    """Seconds of all cores, those of workers included."""
    megabytes: float
    """The most that its largest process held."""


def write_suite(root: Path, questions: Sequence[str], *, streams: bool = False) -> None:
    """Write a suite that asks each question once, and expects the server's right answer."""
    parameters = "modelParameters:\n  stream: true\n" if streams else ""
    rows = [
        {"id": f"case-{n}", "inputs": {"question": text}, "expected": answer_to(text)}
        for n, text in enumerate(questions)
    ]
    files = {
        "llmops.toml": "",
        "prompts/ask.prompt.yml": f"model: openai:a-model\n{parameters}"
        "messages:\n  - role: user\n    content: '{{ question }}'\n",
        "golden/questions.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "test_answers.py": EVAL,
        "conftest.py": LEFTOVERS,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def write_trivial(root: Path, count: int) -> None:
    """Write as many parametrized tests that do nothing."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "test_answers.py").write_text(TRIVIAL.format(count=count), encoding="utf-8")


def run(root: Path, command: Sequence[str], environment: Mapping[str, str]) -> Ended:
    """Run a command in the folder of a suite until it ends.

    Args:
        root: the folder.
        command: such as `PYTEST` with its arguments.
        environment: what is added to the present one.
    """
    told = root / "output.txt"
    # An installed package has its bytecode, whatever this machine allows.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment}
    start = time.perf_counter()
    with told.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        # The only way to learn what a child and its own children used.
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(
        status=process.returncode,
        output=told.read_text(encoding="utf-8", errors="replace"),
        seconds=time.perf_counter() - start,
        cpu=used.ru_utime + used.ru_stime,
        megabytes=used.ru_maxrss / 1e3,
    )


def left_behind(root: Path) -> Mapping[str, Sequence[str]]:
    """Return the threads, sockets and children that the last pytest process ended with."""
    found: Mapping[str, Sequence[str]] = json.loads((root / "left.json").read_text(encoding="utf-8"))
    return {name: things for name, things in found.items() if things}
