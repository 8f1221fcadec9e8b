"""Open the folder `.llmops` that holds everything stored."""

from __future__ import annotations

from pathlib import Path

from pytest_llmops.errors import DamagedError, MisuseError
from pytest_llmops.store.atomic import write_new

HOME = ".llmops"
"""Name of the folder in a project root."""

README = """\
# .llmops

pytest-llmops keeps here what it compares with: commit this folder.

| Path | What it is | Commit |
|---|---|---|
| `prompts/<name>/<digest>.json` | one registered version of a prompt | yes |
| `runs/<digest>.jsonl` | one stored run: the answers and scores of one test | yes |
| `runs/<digest>.meta.jsonl` | what differs between equal runs, such as times and costs | yes |
| `calibrations/<version>.json` | how well one version of a judge agrees with labels of people | yes |
| `refs/aliases/`, `refs/baselines/` | who pointed which name at which digest, one file a move | yes |
| `local/` | the cache of answers | no, it is ignored |

No file is ever edited: files are named by the digest of what they hold, so two branches never conflict here.
Only a calibration is replaced, when its judge is calibrated again.
Whoever reads a file checks that it still holds what was written.
"""

# A process that dies while it writes leaves a file `.<random>.tmp` behind.
GITIGNORE = "local/\n.*.tmp\n"


def make_folder(root: Path) -> None:
    """Make `root`, the folder `.llmops`, with its README.md and .gitignore, if it is not there.

    Raises:
        MisuseError: it cannot be written.
    """
    # .gitignore comes last, so a folder that was begun and not finished is finished here.
    if not (root / ".gitignore").exists():
        write_new(root / "README.md", README)
        write_new(root / ".gitignore", GITIGNORE)


def make_local(folder: Path) -> None:
    """Make `folder`, for its owner alone: answers may hold private data; in `.llmops` make that first.

    Raises:
        MisuseError: `.llmops` cannot be written.
        OSError: `folder` cannot be made.
    """
    if folder.parent.name == HOME:
        make_folder(folder.parent)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def inside(root: Path, *parts: str) -> Path:
    """Return the path of `parts` below `root`.

    Raises:
        MisuseError: it lies elsewhere, by `..` or by a symbolic link.
    """
    path = root.joinpath(*parts)
    if not path.resolve().is_relative_to(root.resolve()):
        raise MisuseError(f"{path} leads out of {root}; nothing outside that folder is read or written.")
    return path


def read_stored(path: Path) -> str:
    """Return the text of a stored file.

    Raises:
        DamagedError: it cannot be read, or is not UTF-8.
    """
    try:
        # Line ends may have become CRLF in a checkout on Windows.
        return path.read_bytes().decode("utf-8", "surrogatepass").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DamagedError(damage(path, f"byte {error.start} is not UTF-8")) from None
    except OSError as error:
        raise DamagedError(damage(path, error.strerror or str(error))) from None


def damage(path: Path, reason: str) -> str:
    """Return the message of a DamagedError."""
    return f"{path} is damaged: {reason}. Restore it with `git checkout -- {path}`, or delete it."
