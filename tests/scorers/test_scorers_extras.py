"""Scorers whose package is not installed say which extra brings it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_llmops

ROOT = Path(pytest_llmops.__file__).parents[1]


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ("deepeval", "from pytest_llmops.scorers.deepeval import named_metric as make; make('bias', {})"),
        ("similarity", "from pytest_llmops.scorers.similarity import similarity_scorer as make; make()"),
    ],
)
def test_the_message_says_what_to_install(extra, code):
    # -S leaves out the installed packages: what has no extra runs on the standard library.
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("pytest_llmops.errors.MisuseError: ")
    assert f"pip install 'pytest-llmops[{extra}]'" in last
