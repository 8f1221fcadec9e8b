"""Open what belongs to one project root, each part on first use; the plugin and the command both use it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from pytest_llmops.calls.budget import Budget
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.client import Client
from pytest_llmops.calls.exchange import EMBEDDED, Provider, Response, full_name
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.prices import Prices
from pytest_llmops.calls.retry import Retry
from pytest_llmops.calls.tally import Tally
from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.golden.case import GoldenSet
from pytest_llmops.golden.files import read_golden
from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.prompts.registry import Registry
from pytest_llmops.prompts.target import file_artifact, prompt_artifact
from pytest_llmops.runs.archive import Archive
from pytest_llmops.runs.board import Board
from pytest_llmops.runs.calibrations import Calibrations
from pytest_llmops.settings import Settings
from pytest_llmops.store.folder import HOME
from pytest_llmops.store.objects import Objects
from pytest_llmops.store.refs import Refs

PROMPT_ENDINGS = (".prompt.yml", ".prompt.yaml", ".txt", ".md", ".j2")

PROVIDERS = ("azure", EMBEDDED, "openai", "wordllama")
"""Providers that need no hook."""


def no_provider(name: str) -> Provider | None:  # noqa: ARG001 - stands for a look-up
    """Return None: only built-in providers are known."""
    return None


def _names_version(spec: str) -> bool:
    """Tell whether `spec` is a registered version, `name@alias` or `name:digest`, and no file's name."""
    return "@" in spec or ":" in spec


class Project:
    """Be one project root with its registry, golden sets, runs and calls.

    Args:
        root: the project root.
        settings: the settings that hold there.
        session: names this session in the shared cache and ledger.
        find_provider: asked first for a provider by name; None from it means a built-in one.
        scratch: folder for the cache when nothing may be kept (`--llmops-cache=off`).
        alone: the session is this process.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        *,
        session: str = "",
        find_provider: Callable[[str], Provider | None] = no_provider,
        scratch: Path | None = None,
        alone: bool = False,
    ) -> None:
        self.root = root
        self.settings = settings
        self._session = session
        self._find_provider = find_provider
        self._scratch = scratch
        self._alone = alone
        self._providers: dict[str, Provider] = {}
        self.stored_answers: dict[str, Response] = {}
        """Answers of the baseline by request digest: they stand in for calls."""

    @cached_property
    def registry(self) -> Registry:
        """Open the prompt registry."""
        return Registry(self._objects, self.refs)

    @cached_property
    def archive(self) -> Archive:
        """Open the stored runs and baselines."""
        return Archive(self._objects, self.refs)

    @cached_property
    def calibrations(self) -> Calibrations:
        """Open what is known of judges."""
        return Calibrations(self.root / HOME)

    @cached_property
    def client(self) -> Client:
        """Open the calls: cache, ledger and providers; for one event loop."""
        settings = self.settings
        return Client(
            cache=self.cache(),
            ledger=self.ledger,
            provider_of=self.provider,
            stored=self.stored,
            offline=settings.cache == "offline",
            concurrency=settings.concurrency,
            retry=Retry(deadline=settings.deadline),
            prices=self.prices,
        )

    @cached_property
    def prices(self) -> Prices:
        """Open the prices of models."""
        return Prices(self.settings.prices)

    @cached_property
    def ledger(self) -> Ledger:
        """Open the counts of this session, shared by all its processes."""
        settings = self.settings
        budget = Budget(calls=settings.max_calls, cost=settings.max_cost, seconds=settings.max_seconds)
        return Ledger(self.calls_file, session=self._session, budget=budget, alone=self._alone)

    def spent(self) -> Tally:
        """Return what all processes of this session have spent so far."""
        return self._onlooker.tally()

    def close(self) -> None:
        """Let go of the counts."""
        self._onlooker.close()

    def stored(self, digest: str) -> Response | None:
        """Return the answer that the baseline holds, where it may stand in for a call."""
        if self.settings.cache in ("refresh", "off"):
            return None
        return self.stored_answers.get(digest)

    def cache(self) -> Cache:
        """Open the answers, for one thread."""
        return Cache(self.calls_file, session=self._session, fresh_only=self.settings.cache == "refresh")

    def board(self) -> Board:
        """Open what the processes of this session show each other of their results."""
        return Board(self.calls_file, session=self._session)

    def prompt(self, spec: str, near: Path) -> Prompt:
        """Return the prompt that `spec` names: a file's name, `name@alias` or `name:digest`.

        Raises:
            MisuseError: there is none, or two files claim the name.
        """
        if _names_version(spec):
            return self.registry.resolve(spec)
        for stand_in in self.settings.prompt:
            if stand_in.partition("@")[0].partition(":")[0] == spec:
                return self.registry.resolve(stand_in)
        return self.prompt_file(spec, near)

    def prompt_file(self, name: str, near: Path) -> Prompt:
        """Return the prompt of the working file `name`.

        Raises:
            MisuseError: there is no such file, two claim the name, or what it holds is wrong.
        """
        return read_prompt(self._find("prompt", name, near, "prompts", ("", *PROMPT_ENDINGS)))

    def golden_set(self, name: str, near: Path) -> GoldenSet:
        """Return the golden set of the file `name`.

        Raises:
            MisuseError: there is no such file, or a row of it is wrong.
        """
        return read_golden(self._find("golden set", name, near, "golden", ("",)))

    def judge(self, spec: str, near: Path) -> Prompt:
        """Return the judge's prompt that `spec` names: a file's name, `name@alias` or `name:digest`.

        Raises:
            MisuseError: there is none, or two files claim the name.
        """
        if _names_version(spec):
            return self.registry.resolve(spec)
        return read_prompt(self._find("judge", spec, near, "judges", ("", *PROMPT_ENDINGS)))

    def artifact(self, spec: str, near: Path) -> str:
        """Return the content of what a target is made of: a file, or the prompt that `spec` names.

        Raises:
            MisuseError: there is none, or two files claim the name.
        """
        if _names_version(spec):
            return prompt_artifact(self.registry.resolve(spec))
        return file_artifact(self._find("artifact", spec, near, "prompts", ("", *PROMPT_ENDINGS)))

    def schema_file(self, name: str, near: Path) -> Path:
        """Return the path of the JSON Schema `name`.

        Raises:
            MisuseError: there is no such file.
        """
        return self._find("schema", name, near, "schemas", ("",))

    def model_of(self, prompt: Prompt, marked: str | None, *, overridden: bool = True) -> str:
        """Return the `provider:model` that answers: option, marker, prompt, settings, what is there.

        Args:
            prompt: what is asked.
            marked: the model that the test's marker names.
            overridden: obey the option, which is for this run only.

        Raises:
            MisuseError: no model is named, and none can be taken for granted.
        """
        override = self.settings.model
        usual = marked or prompt.model or self.settings.default_model
        named = (override or usual) if overridden else (usual or override)
        if named:
            return full_name(named)
        if os.environ.get("OPENAI_API_KEY"):
            raise MisuseError(
                f"The prompt {prompt.name!r} names no model: add `model: <name>` to it, or run with "
                "--llmops-model=<name>."
            )
        from pytest_llmops.providers.weights import DEFAULT_MODEL, is_pulled

        if is_pulled():
            return f"{EMBEDDED}:{DEFAULT_MODEL}"
        raise MisuseError(
            f"The prompt {prompt.name!r} names no model, OPENAI_API_KEY is not set and the embedded model "
            "is not here: run `llmops pull` for the embedded one."
        )

    def named_model(self, marked: str | None) -> str:
        """Return the `provider:model` that option, marker or settings name; "" where none does."""
        named = self.settings.model or marked or self.settings.default_model
        return full_name(named) if named else ""

    def provider(self, name: str) -> Provider:
        """Return the provider `name`, made once.

        Raises:
            MisuseError: nobody knows it.
        """
        if name not in self._providers:
            self._providers[name] = self._find_provider(name) or self._built_in(name)
        return self._providers[name]

    @property
    def calls_file(self) -> Path:
        """Return the file of cache and ledger."""
        return (self._scratch or self.root / HOME / "local") / "cache.sqlite"

    @cached_property
    def _objects(self) -> Objects:
        return Objects(self.root / HOME)

    @cached_property
    def refs(self) -> Refs:
        """Open the refs: aliases and baselines."""
        return Refs(self.root / HOME)

    @cached_property
    def _onlooker(self) -> Ledger:
        # The file has a connection of its own here: the ledger's belongs to the thread of the calls.
        return self.ledger if self._alone else Ledger(self.calls_file, session=self._session)

    def _built_in(self, name: str) -> Provider:
        if name == "openai":
            from pytest_llmops.providers.openai import OpenAIProvider

            # Half of what a call may take, so that a silent server is asked twice.
            return OpenAIProvider(timeout=self.settings.deadline / 2, served_as=self.settings.served_as)
        if name == "azure":
            from pytest_llmops.providers.azure import AzureProvider

            return AzureProvider(timeout=self.settings.deadline / 2)
        if name == EMBEDDED:
            from pytest_llmops.providers.local import LocalProvider

            return LocalProvider()
        if name == "wordllama":
            from pytest_llmops.providers.wordllama import WordllamaProvider

            return WordllamaProvider()
        raise MisuseError(
            f"Unknown provider {name!r}. {closest(name, PROVIDERS)} "
            "Another one comes from the hook pytest_llmops_provider in a conftest.py."
        )

    def _find(self, what: str, name: str, near: Path, folder: str, endings: Sequence[str]) -> Path:
        levels = list(self._levels(near))
        for level in levels:
            stems = [level / name, level / folder / name]
            hits = [
                path for stem in stems for ending in endings if (path := Path(f"{stem}{ending}")).is_file()
            ]
            if len(hits) > 1:
                raise MisuseError(
                    f"Two files are the {what} {name!r}: {self._shown(hits[0])} and {self._shown(hits[1])}. "
                    "Rename or remove one."
                )
            if hits:
                return hits[0]
        known = [
            path.name.removesuffix(ending)
            for level in levels
            for ending in endings
            if (level / folder).is_dir()
            for path in (level / folder).glob(f"*{ending}")
        ]
        raise MisuseError(
            f"No {what} {name!r} beside {self._shown(near)}, in {folder}/ there, or in a folder above up to "
            f"{self.root}. {closest(name, known)}"
        )

    def _levels(self, near: Path) -> Iterator[Path]:
        for level in near.parents:
            yield level
            if level == self.root:
                return

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)
