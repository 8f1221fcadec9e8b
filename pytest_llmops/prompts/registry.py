"""Register versions of prompts, and find them by digest or alias."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, cast

from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.store.canonical import SHORT, canonical, parse_json
from pytest_llmops.store.move import Move
from pytest_llmops.store.names import check_name, is_name
from pytest_llmops.store.objects import Objects
from pytest_llmops.store.refs import Refs, alias_ref

SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Registry:
    """Keep the versions of all prompts as objects and their aliases as refs."""

    objects: Objects
    refs: Refs

    def register(self, prompt: Prompt) -> str:
        """Store `prompt` and return its digest; the same content is the same version, stored once.

        Raises:
            MisuseError: its name is not one, or the version cannot be written.
            DamagedError: the version is stored, and its file is damaged.
        """
        folder = _folder(check_name(prompt.name, "a prompt"))
        digest = prompt.digest
        # People review these files, so they are laid out; the digest is of the content, not of the text.
        layout = json.dumps(json.loads(canonical(prompt.to_json())), ensure_ascii=False, indent=2)
        self.objects.put(folder, digest, layout + "\n", suffix=SUFFIX)
        self.get(prompt.name, digest)
        return digest

    def get(self, name: str, digest_prefix: str) -> Prompt:
        """Return the version of the prompt `name` whose digest begins so, with at least 6 hex digits.

        Raises:
            MisuseError: the prompt or the version is unknown, or several versions begin so.
            DamagedError: the file of the version is damaged.
        """
        self._check_known(name)

        def read(text: str) -> tuple[Prompt, str]:
            prompt = Prompt.from_json(cast("Any", parse_json(text)), source=f"{name}:{digest[:SHORT]}")
            if prompt.name != name:
                raise ValueError(f"it is a version of {prompt.name!r}")
            return prompt, prompt.digest

        digest = self.objects.find(_folder(name), digest_prefix, suffix=SUFFIX)
        return self.objects.get(_folder(name), digest, suffix=SUFFIX, read=read)

    def find(self, name: str, digest: str) -> Prompt | None:
        """Return the version under a whole digest; None where the registry does not hold it.

        Raises:
            DamagedError: the file of the version is damaged.
        """
        held = is_name(name) and digest in self.versions(name)
        return self.get(name, digest) if held else None

    def alias(self, name: str, alias: str, digest: str, *, who: str | None = None, why: str = "") -> Move:
        """Point `name@alias` at a stored version.

        Raises:
            MisuseError: the prompt or version is unknown, or two branches moved the alias.
        """
        version = self.get(name, digest)
        return self.refs.move(alias_ref(name, alias), version.digest, who=who, why=why)

    def resolve(self, spec: str) -> Prompt:
        """Return the version that `name@alias` or `name:digest` means.

        Raises:
            MisuseError: the prompt, alias or version is unknown, or two branches moved the alias.
            DamagedError: a file on the way is damaged.
        """
        name, sign, rest = spec.partition("@")
        if sign:
            return replace(self.get(name, self._pointed(name, rest)), source=spec)
        name, sign, rest = spec.partition(":")
        if sign:
            return self.get(name, rest)
        raise MisuseError(f"{spec[:80]!r} names no version: write `name@alias` or `name:digest`.")

    def names(self) -> list[str]:
        """Return the names of all prompts that have versions."""
        return [name for name in self.objects.folders("prompts") if self.versions(name)]

    def versions(self, name: str) -> list[str]:
        """Return the digests of all versions of a prompt, sorted; they have no order in time."""
        return self.objects.digests(_folder(check_name(name, "a prompt")), suffix=SUFFIX)

    def aliases(self, name: str) -> dict[str, str]:
        """Return the digest that each alias of a prompt points at.

        Raises:
            MisuseError: two branches moved one of them.
        """
        found = {
            alias: self.refs.current(alias_ref(name, alias)) for alias in self.refs.keys("aliases", name)
        }
        return {alias: digest for alias, digest in found.items() if digest is not None}

    def _pointed(self, name: str, alias: str) -> str:
        self._check_known(name)
        digest = self.refs.current(alias_ref(name, alias))
        if digest is None:
            hint = closest(alias, self.refs.keys("aliases", name))
            raise MisuseError(f"The prompt {name!r} has no alias {alias!r}. {hint}")
        return digest

    def _check_known(self, name: str) -> None:
        if not self.versions(name):
            raise MisuseError(f"No version of a prompt {name!r} is registered. {closest(name, self.names())}")


def _folder(name: str) -> str:
    return f"prompts/{name}"
