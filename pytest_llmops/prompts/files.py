"""Read a prompt from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.prompts.fields import check_template, fallback, messages, parameters, text_field, tools
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.prompts.response_format import response_format
from pytest_llmops.store.names import is_name
from pytest_llmops.store.source import at, described, source_text
from pytest_llmops.store.yaml_file import read_yaml

YAML_SUFFIXES = (".prompt.yml", ".prompt.yaml")
TEXT_SUFFIXES = (".txt", ".md", ".j2")

LEFT_ALONE = frozenset({"testData", "evaluators"})
"""Keys of the public format that say nothing of the prompt itself."""
KEYS = LEFT_ALONE | {
    "name",
    "description",
    "model",
    "fallback",
    "modelParameters",
    "messages",
    "responseFormat",
    "jsonSchema",
    "tools",
}


def read_prompt(path: Path) -> Prompt:
    """Read the prompt in `path`: `.prompt.yml`/`.prompt.yaml`, or one user message in `.txt`, `.md`, `.j2`.

    Its name is the key `name` where that is a name, else the file's, up to the ending.

    Raises:
        MisuseError: the file cannot be read, or is wrong; it names the line and what was expected.
    """
    for suffix in YAML_SUFFIXES:
        if path.name.endswith(suffix):
            return _from_yaml(path, path.name.removesuffix(suffix))
    if path.suffix in TEXT_SUFFIXES:
        return _from_text(path)
    endings = ", ".join((*YAML_SUFFIXES, *TEXT_SUFFIXES))
    raise MisuseError(f"{path} is not a prompt: its name must end with one of {endings}.")


def _from_text(path: Path) -> Prompt:
    # The end of the last line is layout, like the others, and not part of the message.
    text = source_text(path).removesuffix("\n")
    check_template(text, lambda line: at(path, line))
    return Prompt(name=path.stem, messages=({"role": "user", "content": text},), source=str(path))


def _from_yaml(path: Path, stem: str) -> Prompt:
    file = read_yaml(path)
    fields = file.value
    if not isinstance(fields, Mapping):
        raise MisuseError(f"{file.at()}: a prompt is a mapping with `messages:`, not {described(fields)}.")
    for key in fields:
        if key not in KEYS:
            raise MisuseError(f"{file.at(key)}: a prompt has no key {key[:80]!r}. {closest(key, KEYS)}")
    given = text_field(file, fields, "name")
    # Elsewhere this key is a title, such as "Text Summarizer".
    name = given if given is not None and is_name(given) else stem
    return Prompt(
        name=name,
        description=text_field(file, fields, "description") or "",
        model=text_field(file, fields, "model"),
        fallback=fallback(file, fields),
        messages=messages(file, fields),
        parameters=parameters(file, fields),
        tools=tools(file, fields),
        response_format=response_format(file, fields, name),
        source=str(path),
    )
