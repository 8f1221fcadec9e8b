"""Declare the command line options and read the settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.settings import Settings, find_root, load_settings

_OPTIONS: dict[str, tuple[str | None, str]] = {
    "baseline": (
        "NAME",
        "compare with the stored baseline NAME, or with alias:NAME, that prompt version asked today",
    ),
    "save-baseline": ("NAME", "store complete tests as the baseline NAME"),
    "require-baseline": (None, "it is a usage error when no baseline is stored at all"),
    "require-calibration": (
        None,
        "it is a usage error when a gated judge was not held against labels of people, or is near chance",
    ),
    "strict": (None, "inconclusive and not comparable verdicts fail too"),
    "rescore": (None, "score the baseline's stored outputs again with today's judges and test bodies"),
    "alpha": ("X", "risk of a false alarm for the whole session, one-sided (default 0.05)"),
    "canary": ("N", "ask N cases of the stored baseline's prompt again: has the provider's model moved?"),
    "early-stop": (None, "run cases in random order, and stop a test as soon as its verdict is clear"),
    "plan": (None, "say what a run would call, cost and be able to see; call nothing"),
    "repeat": ("N", "ask for each case N times"),
    "limit": ("N", "run at most N cases of each golden set"),
    "model": ("PROVIDER:MODEL", "answer with this model in place of the prompts' own"),
    "cache": ("MODE", "auto, offline (a miss fails), refresh (call again) or off (keep nothing)"),
    "concurrency": ("N", "most calls under way at once (default: 32 at first, then what the provider takes)"),
    "max-cost": ("USD", "make no call that could spend more than this"),
    "max-calls": ("N", "make no more calls than this, retries counted"),
    "max-seconds": ("S", "make no calls later than this after the first one"),
    "verbose": (None, "show every case that got worse"),
}

_LISTS: dict[str, tuple[str, str]] = {
    "margin": ("[METRIC=]X", "largest acceptable drop, as a share of the metric's range (default 0.05)"),
    "gate": ("METRIC[@TAG]", "only these metrics turn the build red; with @TAG also inside that slice"),
    "slice": ("TAG", "repeat the comparison inside the cases with this tag"),
    "tag": ("TAG", "run only cases with this tag"),
    "prompt": ("NAME@ALIAS", "run this version wherever the prompt NAME is asked for"),
}


def add_options(parser: pytest.Parser) -> None:
    """Declare every `--llmops-*` option."""
    group = parser.getgroup("llmops", "prompt evals against a stored baseline")
    for name, (metavar, text) in _OPTIONS.items():
        if metavar is None:
            group.addoption(f"--llmops-{name}", action="store_true", default=None, help=text)
        else:
            group.addoption(f"--llmops-{name}", metavar=metavar, default=None, help=text)
    for name, (metavar, text) in _LISTS.items():
        group.addoption(f"--llmops-{name}", metavar=metavar, action="append", default=None, help=text)


def read_settings(config: pytest.Config) -> Settings:
    """Return the settings of this session.

    Raises:
        pytest.UsageError: a setting is unknown or its value is wrong.
    """
    names = [name.replace("-", "_") for name in (*_OPTIONS, *_LISTS)]
    options = {name: config.getoption(f"llmops_{name}") for name in names}
    try:
        return load_settings(session_root(config), os.environ, options)
    except MisuseError as error:
        raise pytest.UsageError(str(error)) from None


def session_root(config: pytest.Config) -> Path:
    """Return the project root that the command line names, else that of the working directory."""
    for argument in config.args:
        path = (config.invocation_params.dir / argument.split("::")[0]).resolve()
        if path.exists():
            return find_root(path, config.rootpath)
    return find_root(config.invocation_params.dir, config.rootpath)
