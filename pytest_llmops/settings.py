"""Read the settings: option, else environment `LLMOPS_*`, else file, else default."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from pytest_llmops.errors import MisuseError, closest

CacheMode = Literal["auto", "offline", "refresh", "off"]

LIVE = "alias:"
"""Start of a baseline's name that means a prompt alias, asked in the same session."""

DEFAULT_MARGIN = 0.05
"""The largest drop that is acceptable, as a share of a metric's range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Hold every setting, checked."""

    baseline: str | None = None
    """Name of the stored baseline to compare with."""
    save_baseline: str | None = None
    """Name under which complete runs are stored."""
    require_baseline: bool = False
    strict: bool = False
    """Inconclusive and not comparable fail too."""
    rescore: bool = False
    """Score the baseline's stored outputs again with today's judges and test bodies."""
    margin: Mapping[str, float] = field(default_factory=dict)
    """Margins by metric name as a share of the metric's range; the one under "" is for all others."""
    alpha: float = 0.05
    """Risk of a false alarm for the whole session, one-sided."""
    gate: tuple[str, ...] = ()
    """Metrics that may turn the build red, `METRIC` or `METRIC@TAG`; empty for each metric's own default."""
    slice: tuple[str, ...] = ()
    """Tags inside which the comparison is repeated."""
    canary: int | None = None
    """Cases of the stored baseline's prompt that are asked again."""
    early_stop: bool = False
    """Stop a test as soon as its verdict is clear."""
    plan: bool = False
    """Say what a run would call and could see, and call nothing."""
    model: str | None = None
    """`provider:model` that stands in for the prompts' own; option or environment only."""
    default_model: str | None = None
    """`provider:model` of prompts that name none: `model` in the settings file."""
    judge_model: str | None = None
    prompt: tuple[str, ...] = ()
    """`name@alias` or `name:digest` that stand in for prompts of that name."""
    repeat: int | None = None
    limit: int | None = None
    tag: tuple[str, ...] = ()
    cache: CacheMode = "auto"
    concurrency: int = 16
    deadline: float = 120.0
    """Seconds that one call may take with all its retries."""
    max_error_share: float = 0.05
    """Share of cases that may be lost to provider faults before a test counts as unmeasured."""
    verbose: bool = False

    @property
    def live_alias(self) -> str | None:
        """Return the alias of the prompt version to ask beside the candidate; None with a stored baseline."""
        name = self.baseline or ""
        return name.removeprefix(LIVE) if name.startswith(LIVE) else None


def load_settings(root: Path | None, environ: Mapping[str, str], options: Mapping[str, object]) -> Settings:
    """Return the settings that hold below `root`.

    Args:
        root: the project root; None where there is none yet.
        environ: the environment; of it only `LLMOPS_*` variables with a setting's name are read.
        options: values of command line options; None means not given.

    Raises:
        MisuseError: a key is unknown or a value is not what the setting takes.
    """
    values: dict[str, Any] = {}
    if root is not None:
        for name, value in _file_values(root).items():
            # A file speaks for all prompts, so a prompt's own model wins over it; an option is for this run.
            key = _FILE_KEYS.get(name, name)
            reader = name if name in _READERS else key
            _put(values, key, _read(reader, value, f"{name} in the llmops settings of {root}"))
    for name in _READERS:
        variable = f"LLMOPS_{name.upper()}"
        if environ.get(variable):
            _put(values, name, _read(name, environ[variable], f"the environment variable {variable}"))
    for name, value in options.items():
        if value not in (None, False, []):
            _put(values, name, _read(name, value, f"--llmops-{name.replace('_', '-')}"))
    settings = replace(Settings(), **values)
    _check_together(settings)
    return settings


def known_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secret values of the environment by the names of their variables.

    A variable counts as secret by the end of its name: KEY, TOKEN, SECRET or PASSWORD. Values under 8
    characters are left out: they are words such as `local`, and hiding them would spoil every text.
    """
    return {
        name: value
        for name, value in environ.items()
        if name.upper().endswith(("KEY", "TOKEN", "SECRET", "PASSWORD")) and len(value) >= 8
    }


def find_root(start: Path, fallback: Path) -> Path:
    """Return the project root of `start`, a file or folder.

    That is the nearest folder upwards with `.llmops/`, `llmops.toml` or `[tool.llmops]` in its
    pyproject.toml, else git's top level, else `fallback`.
    """
    folders = [start, *start.parents] if start.is_dir() else list(start.parents)
    for folder in folders:
        if (folder / ".llmops").is_dir() or (folder / "llmops.toml").is_file() or _in_pyproject(folder):
            return folder
    return next((folder for folder in folders if (folder / ".git").exists()), fallback)


def _check_together(settings: Settings) -> None:
    """Refuse settings that contradict each other."""
    stored = settings.baseline is not None and settings.live_alias is None
    if settings.live_alias == "":
        raise MisuseError("--llmops-baseline=alias: names no alias: write alias:production.")
    if settings.canary is not None and not stored:
        raise MisuseError(
            "--llmops-canary asks a stored baseline's prompt again: name one with --llmops-baseline=NAME."
        )
    if settings.canary is not None and settings.cache == "offline":
        raise MisuseError("--llmops-canary must call the model, and --llmops-cache=offline forbids it.")
    if settings.early_stop and any("@" in name for name in settings.gate):
        raise MisuseError(
            "--llmops-early-stop spends the risk on whole tests, so a slice cannot be gated with it: leave "
            "one of them out."
        )


def _in_pyproject(folder: Path) -> bool:
    path = folder / "pyproject.toml"
    # Another tool's broken pyproject.toml is not ours to report: only one that names us is read further.
    if not path.is_file() or b"tool.llmops" not in path.read_bytes():
        return False
    return "llmops" in _toml(path).get("tool", {})


def _file_values(root: Path) -> dict[str, Any]:
    own = root / "llmops.toml"
    if own.is_file():
        values = _toml(own)
    elif _in_pyproject(root):
        values = _toml(root / "pyproject.toml")["tool"]["llmops"]
    else:
        return {}
    for name in values:
        if name not in _READERS and name not in _FILE_KEYS:
            raise MisuseError(f"Unknown llmops setting {name!r} in {root}. {closest(name, _READERS)}")
    return values


def _toml(path: Path) -> dict[str, Any]:
    # Most projects have no file to read, and every pytest start would pay for the import.
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MisuseError(f"{path} cannot be read as TOML: {error}") from None


def _put(values: dict[str, Any], name: str, value: object) -> None:
    """Let a value win over an earlier one; of margins, metric by metric."""
    values[name] = {**values.get(name, {}), **value} if isinstance(value, Mapping) else value


def _read(name: str, value: object, where: str) -> object:
    try:
        return _READERS[name](value)
    except ValueError as error:
        raise MisuseError(f"{where}: {value!r} {error}") from None


def _text(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("is not a name")


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(part for item in value for part in _texts(item))
    raise ValueError("is not a list of names")


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError("is neither true nor false")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("is not a number")
    try:
        number = float(value)
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(number):
        raise ValueError("is not a finite number")
    return number


def _alpha(value: object) -> float:
    number = _number(value)
    if 0 < number < 0.5:
        return number
    raise ValueError("is not a probability above 0 and below 0.5")


def _seconds(value: object) -> float:
    number = _number(value)
    if number > 0:
        return number
    raise ValueError("is not a number of seconds above 0")


def _share(value: object) -> float:
    number = _number(value)
    if 0 <= number <= 1:
        return number
    raise ValueError("is not a share from 0 to 1")


def _count(value: object) -> int:
    number = _number(value)
    if number >= 1 and number.is_integer():
        return int(number)
    raise ValueError("is not a whole number of at least 1")


def _margins(value: object) -> dict[str, float]:
    if isinstance(value, Mapping):
        return {str(name): _margin(share) for name, share in value.items()}
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    pairs = [str(part).rpartition("=") for part in parts]
    return {name.strip(): _margin(share) for name, _, share in pairs}


def _margin(value: object) -> float:
    number = _number(value)
    if 0 < number < 1:
        return number
    raise ValueError("is not a margin: give a share of the metric's range, above 0 and below 1, such as 0.05")


def _cache_mode(value: object) -> str:
    modes = get_args(CacheMode)
    if value in modes:
        return str(value)
    raise ValueError(f"is not a cache mode. {closest(str(value), modes)}")


_FILE_KEYS = {"model": "default_model", "margins": "margin"}
"""Settings that are called otherwise in a file: `margins` is a table by metric."""

_READERS: dict[str, Callable[[object], object]] = {
    "baseline": _text,
    "save_baseline": _text,
    "require_baseline": _flag,
    "strict": _flag,
    "rescore": _flag,
    "margin": _margins,
    "alpha": _alpha,
    "gate": _texts,
    "slice": _texts,
    "canary": _count,
    "early_stop": _flag,
    "plan": _flag,
    "model": _text,
    "judge_model": _text,
    "prompt": _texts,
    "repeat": _count,
    "limit": _count,
    "tag": _texts,
    "cache": _cache_mode,
    "concurrency": _count,
    "deadline": _seconds,
    "max_error_share": _share,
    "verbose": _flag,
}
