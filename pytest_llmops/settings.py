"""Read the settings: option, else environment `LLMOPS_*`, else file, else default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_llmops import setting_values as value_of
from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.setting_values import CacheMode, Price

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
    require_calibration: bool = False
    """A gated judge must agree with labels of people beyond chance."""
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
    concurrency: int | None = None
    """Most calls under way at once; None to follow what the provider takes."""
    max_calls: int | None = None
    """Calls that the session may make, attempts counted each."""
    max_cost: float | None = None
    """US dollars that the session may spend."""
    max_seconds: float | None = None
    """Seconds from the first call on, after which no call is made."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """The user's own prices, by `provider:model` or by the model's bare name."""
    served_as: Mapping[str, str] = field(default_factory=dict)
    """Names under which a server answers for a model that was asked by another name."""
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


_FILE_KEYS = {"model": "default_model", "margins": "margin"}
"""Settings that are called otherwise in a file: `margins` is a table by metric."""

_READERS: dict[str, Callable[[object], object]] = {
    "baseline": value_of.text,
    "save_baseline": value_of.text,
    "require_baseline": value_of.flag,
    "require_calibration": value_of.flag,
    "strict": value_of.flag,
    "rescore": value_of.flag,
    "margin": value_of.margins,
    "alpha": value_of.alpha,
    "gate": value_of.texts,
    "slice": value_of.texts,
    "canary": value_of.count,
    "early_stop": value_of.flag,
    "plan": value_of.flag,
    "model": value_of.text,
    "judge_model": value_of.text,
    "prompt": value_of.texts,
    "repeat": value_of.count,
    "limit": value_of.count,
    "tag": value_of.texts,
    "cache": value_of.cache_mode,
    "concurrency": value_of.count,
    "max_calls": value_of.count,
    "max_cost": value_of.dollars,
    "max_seconds": value_of.seconds,
    "prices": value_of.prices,
    "served_as": value_of.names,
    "deadline": value_of.seconds,
    "max_error_share": value_of.share,
    "verbose": value_of.flag,
}
