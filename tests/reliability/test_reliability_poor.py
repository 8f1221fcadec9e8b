"""Run sessions where little works; `python -m benchmarks.reliability poor` mounts poor disks as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from benchmarks.reliability.poor import ENVIRONMENTS, Session, breaches, session_in, write_filled
from benchmarks.server import serving

WITH_WORKERS = ("a file where the folder should be", "damaged rows")
"""The others differ in nothing that workers do."""


@pytest.fixture(scope="module")
def in_poor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Session]]:
    filled = tmp_path_factory.mktemp("filled") / "suite"
    with serving() as server:
        write_filled(filled, server)
        yield partial(session_in, filled=filled, server=server)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_session_runs_and_says_once_what_is_wrong(
    in_poor: Callable[..., Session], tmp_path: Path, name: str
) -> None:
    found = in_poor(tmp_path, ENVIRONMENTS[name])
    assert breaches(found, ENVIRONMENTS[name]) == [], found.output


@pytest.mark.parametrize("name", WITH_WORKERS)
def test_workers_say_once_what_is_wrong(in_poor: Callable[..., Session], tmp_path: Path, name: str) -> None:
    found = in_poor(tmp_path, ENVIRONMENTS[name], arguments=["-n2"])
    assert breaches(found, ENVIRONMENTS[name]) == [], found.output


def test_a_budget_that_workers_cannot_share_is_not_spent(
    in_poor: Callable[..., Session], tmp_path: Path
) -> None:
    poor = ENVIRONMENTS["a file where the folder should be"]
    found = in_poor(tmp_path, poor, arguments=["-n2", "--llmops-max-calls=5", "-rs"])
    assert (found.status, found.passed, found.requests) == (6, 0, 0)
    assert "its budget cannot be shared" in found.output

    (tmp_path / "alone").mkdir()
    found = in_poor(tmp_path / "alone", poor, arguments=["--llmops-max-calls=5"])
    assert (found.status, found.passed, found.requests) == (6, 5, 5)
