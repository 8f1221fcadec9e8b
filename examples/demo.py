"""Show the whole path on a real model: store a baseline, break the prompt, see it found.

Runs in a temporary copy of the sentiment example, as a user would in a repository: `make demo`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
REGRESSED, FINE = 1, 0


def main() -> int:
    """Run the steps and return 0 when each ended as it should."""
    started = time.monotonic()
    step("The embedded model, fetched once")
    subprocess.run([command("llmops"), "pull"], check=True)
    with tempfile.TemporaryDirectory(prefix="llmops-demo-") as folder:
        project = Path(folder)
        shutil.copytree(HERE / "sentiment", project / "evals")
        shutil.copytree(HERE.parent / "golden", project / "golden")
        (project / "llmops.toml").write_text(
            "# The settings of this project; an empty file marks its root.\n"
        )
        ended_well = walk(project)
    print(f"\nThe demo took {time.monotonic() - started:.0f} seconds.")
    if not ended_well:
        print("Something did not end as it should: see above.")
    return 0 if ended_well else 1


def walk(project: Path) -> bool:
    """Run pytest four times, as somebody who changes a prompt does."""
    working = project / "evals" / "prompts" / "sentiment.prompt.yml"
    variants = project / "evals" / "prompts" / "variants"
    production = working.read_text(encoding="utf-8")
    step("1. Store the production prompt's run as the baseline `production`")
    good = pytest(project, "--llmops-save-baseline=production", expected=FINE)
    step("2. Simplify the prompt: it loses a sentence that looked needless. The verdict must be red")
    shutil.copyfile(variants / "simplified" / working.name, working)
    good &= pytest(project, "--llmops-baseline=production", expected=REGRESSED)
    step("3. Reword the prompt without harm. The verdict must not be red")
    shutil.copyfile(variants / "reworded" / working.name, working)
    good &= pytest(project, "--llmops-baseline=production", expected=FINE)
    step("4. Take the change back. Nothing has to be asked again")
    working.write_text(production, encoding="utf-8")
    return pytest(project, "--llmops-baseline=production", expected=FINE, calls=0) and good


def pytest(project: Path, *options: str, expected: int, calls: int | None = None) -> bool:
    """Run pytest in the project and tell whether it ended as expected."""
    # Without what the demo does not need: --lf, and a plugin that warns of a setting it wants.
    arguments = [command("pytest"), "-p", "no:cacheprovider", "-p", "no:asyncio", *options]
    print(f"$ pytest {' '.join(options)}", flush=True)
    columns = str(min(shutil.get_terminal_size().columns, 160))
    done = subprocess.run(
        arguments,
        cwd=project,
        env={**os.environ, "COLUMNS": columns},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, flush=True)
    as_expected = done.returncode == expected and (calls is None or f"{calls} calls made" in done.stdout)
    print(f"pytest ended with exit code {done.returncode}; expected: {expected}.", flush=True)
    return as_expected


def command(name: str) -> str:
    """Return the path of a command beside this Python."""
    return str(Path(sys.executable).with_name(name))


def step(title: str) -> None:
    """Print the heading of a step."""
    print(f"\n=== {title} ===", flush=True)


if __name__ == "__main__":
    sys.exit(main())
