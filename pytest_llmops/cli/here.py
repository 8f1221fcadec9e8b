"""Open the project that the command was called in."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_llmops.project import Project
from pytest_llmops.settings import find_root, load_settings


def project_here(*, session: str = "") -> Project:
    """Return the project of the working folder.

    Args:
        session: names this use of the cache; needed where models are called.

    Raises:
        MisuseError: its settings are wrong.
    """
    here = Path.cwd()
    root = find_root(here, here)
    return Project(root, load_settings(root, os.environ, {}), session=session, alone=bool(session))
