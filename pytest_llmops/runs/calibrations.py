"""Keep the calibrations of judges, each under the version of its judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_llmops.errors import DamagedError
from pytest_llmops.runs.calibration import Calibration
from pytest_llmops.store.atomic import write_text
from pytest_llmops.store.canonical import SHORT, canonical, digest, parse_json
from pytest_llmops.store.folder import damage, inside, make_folder, read_stored
from pytest_llmops.store.names import check_name, is_name

FOLDER: Final = "calibrations"
SUFFIX: Final = ".json"


@dataclass(frozen=True, slots=True)
class Calibrations:
    """Store calibrations below `root`, the folder `.llmops`."""

    root: Path

    def save(self, calibration: Calibration) -> Path:
        """Store a calibration in place of an earlier one of the same judge, and return its file.

        Raises:
            MisuseError: the file cannot be written.
        """
        path = self._path(check_name(calibration.version, "a judge's version"))
        make_folder(self.root)
        content = calibration.to_json()
        write_text(path, canonical({"calibration": content, "digest": digest(content)}) + "\n")
        return path

    def find(self, version: str) -> Calibration | None:
        """Return the calibration of a judge's version; None where there is none.

        Raises:
            DamagedError: its file no longer is what was written.
        """
        if not is_name(version):
            return None
        path = self._path(version)
        return _read(path) if path.exists() else None

    def versions(self) -> list[str]:
        """Return the versions of all judges that are calibrated, sorted."""
        names = (path.name for path in inside(self.root, FOLDER).glob(f"*{SUFFIX}"))
        return sorted(name.removesuffix(SUFFIX) for name in names if is_name(name))

    def _path(self, version: str) -> Path:
        return inside(self.root, FOLDER, version + SUFFIX)


def _read(path: Path) -> Calibration:
    try:
        data = parse_json(read_stored(path))
        if not isinstance(data, Mapping):
            raise ValueError("it is not a JSON object")
        content = data["calibration"]
        found = digest(content)
        if found != data["digest"]:
            raise ValueError(f"its content has the digest {found[:SHORT]}")
        if not isinstance(content, Mapping):
            raise ValueError("it holds no calibration")
        return Calibration.from_json(content)
    except (ValueError, LookupError, TypeError) as error:
        raise DamagedError(damage(path, str(error) or type(error).__name__)) from None
