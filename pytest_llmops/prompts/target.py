"""Give a target, code that stands in the place of a prompt, versions as a prompt has them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pytest_llmops.errors import MisuseError
from pytest_llmops.prompts.files import TEXT_SUFFIXES, YAML_SUFFIXES, read_prompt
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.store.canonical import JsonValue, digest_bytes

TARGET: Final = "target"
"""Stands for the template engine of a version that is no prompt."""

ARTIFACT: Final = "artifact"
"""Stands for the role of a message that is a declared artifact."""

LARGEST: Final = 65_536
"""Bytes of an artifact that a version holds as text; of a larger one it holds the digest."""


def target_version(
    name: str, *, code: str, version: str | None, artifacts: Mapping[str, JsonValue]
) -> Prompt:
    """Return the version of a target: whatever of it changes makes another one.

    Args:
        name: the target's own name.
        code: the digest of its source.
        version: the version that the user gives it; None where there is none.
        artifacts: contents by name.
    """
    stated: dict[str, JsonValue] = {"code": code} if version is None else {"code": code, "version": version}
    return Prompt(
        name=re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:64] or TARGET,
        messages=tuple(
            {"role": ARTIFACT, "name": path, "content": content} for path, content in artifacts.items()
        ),
        parameters=stated,
        engine=TARGET,
    )


def target_changes(before: Prompt, after: Prompt) -> tuple[str, ...]:
    """Return what differs between two versions of a target: names of artifacts, `code`, `version`."""
    old, new = (
        {**{str(each.get("name")): each.get("content") for each in target.messages}, **target.parameters}
        for target in (before, after)
    )
    return tuple(name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name))


def prompt_artifact(prompt: Prompt) -> str:
    """Return the content of a prompt as people compare it; layout and comments of its file do not count."""
    return json.dumps(prompt.content, ensure_ascii=False, indent=2, sort_keys=True)


def file_artifact(path: Path) -> str:
    """Return the content of an artifact's file; the digest of it where it is large or no text.

    Raises:
        MisuseError: the file cannot be read, or is a prompt and wrong.
    """
    if path.name.endswith((*YAML_SUFFIXES, *TEXT_SUFFIXES[2:])):
        return prompt_artifact(read_prompt(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MisuseError(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        # A checkout on another system has other line ends.
        text = data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        text = ""
    return text if text and len(data) <= LARGEST else f"sha256:{digest_bytes(data)}"
