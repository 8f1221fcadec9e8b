"""Hold one version of a prompt and render it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pytest_llmops.calls.exchange import Request, split_model
from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import SHORT, JsonValue, digest

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import ImmutableSandboxedEnvironment

SCHEMA_VERSION = 1

ENGINE: Final = "jinja2"
"""What renders the templates of a prompt."""

_PLAIN = re.compile(r"[^{\r]*").fullmatch
"""Matches a text that no rendering changes: no tag stands in it, and no line end that jinja2 would unify."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Be one version of a prompt: two prompts with the same content are the same version."""

    name: str
    messages: tuple[Mapping[str, JsonValue], ...]
    """Raw messages, each `role` and `content`; templates are not rendered."""
    model: str | None = None
    """`provider:model`; None where the settings decide."""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    """temperature, max_tokens and the like, under the names that the API knows."""
    tools: tuple[Mapping[str, JsonValue], ...] = ()
    response_format: Mapping[str, JsonValue] | None = None
    fallback: tuple[str, ...] = ()
    """`provider:model` to ask in turn where `model` cannot be had."""
    engine: str = ENGINE
    description: str = ""
    source: str = ""
    """Where it was read, for messages: a path, or `name@alias`."""

    @property
    def content(self) -> dict[str, JsonValue]:
        """Return what makes this version: neither name, description nor file layout does."""
        content: dict[str, JsonValue] = {
            "messages": self.messages,
            "model": self.model,
            "parameters": self.parameters,
            "tools": self.tools,
            "response_format": self.response_format,
            "engine": self.engine,
        }
        # Left out where there is none: versions from before it was known keep their digests.
        return {**content, "fallback": self.fallback} if self.fallback else content

    @property
    def digest(self) -> str:
        """Return the digest of the content, 64 hex digits."""
        return digest(self.content)

    @property
    def version(self) -> str:
        """Return the digest as people see it."""
        return self.digest[:SHORT]

    def to_json(self) -> dict[str, JsonValue]:
        """Return the version as JSON values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "description": self.description,
            "content": self.content,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, source: str = "") -> Prompt:
        """Return the version that `to_json` wrote; `source` says where it was read.

        Raises:
            MisuseError: a newer version of this package wrote it.
        """
        if data["schema_version"] > SCHEMA_VERSION:
            raise MisuseError("A newer pytest-llmops wrote this prompt; install that version to read it.")
        content = data["content"]
        return cls(
            name=data["name"],
            description=data["description"],
            source=source,
            messages=tuple(content["messages"]),
            model=content["model"],
            parameters=content["parameters"],
            tools=tuple(content["tools"]),
            response_format=content["response_format"],
            fallback=tuple(content.get("fallback", ())),
            engine=content["engine"],
        )

    def render(
        self,
        inputs: Mapping[str, Any],
        *,
        model: str,
        repeat: int = 1,
        conversation: Sequence[Mapping[str, JsonValue]] = (),
    ) -> Request:
        """Return the request that this prompt makes of `inputs`.

        Args:
            inputs: variables of the templates; their values are never rendered again.
            model: `provider:model`; a bare name means openai.
            repeat: which of the repeated answers is asked for, from 1.
            conversation: messages that were said before; they stand before the prompt's last message where
                that is the user's turn, else at the end.

        Raises:
            MisuseError: a variable is missing, or a template cannot be rendered.
        """
        if self.engine != ENGINE:
            raise MisuseError(f"{self.name}:{self.version} is no prompt but the version of a {self.engine}.")
        provider, name = split_model(model)
        extra: dict[str, JsonValue] = dict(self.parameters)
        if self.tools:
            extra["tools"] = self.tools
        if self.response_format is not None:
            extra["response_format"] = self.response_format
        messages = [self._message(message, inputs) for message in self.messages]
        if conversation:
            turn = len(messages) - (messages[-1].get("role") == "user")
            messages[turn:turn] = map(dict, conversation)
        return Request(
            provider=provider,
            model=name,
            messages=tuple(messages),
            parameters=extra,
            repeat=repeat,
            # Who names another model wants the answers of that one.
            fallback=self.fallback if self.model and split_model(self.model) == (provider, name) else (),
        )

    def _message(self, message: Mapping[str, JsonValue], inputs: Mapping[str, Any]) -> dict[str, JsonValue]:
        content = message.get("content")
        return {**message, "content": self._text(content, inputs) if isinstance(content, str) else content}

    def _text(self, template: str, inputs: Mapping[str, Any]) -> str:
        if _PLAIN(template):
            return template
        from jinja2 import UndefinedError

        try:
            return compiled(template).render(inputs)
        except UndefinedError as error:
            raise MisuseError(
                f"The prompt {self.name!r} ({self.source or self.version}) cannot be rendered: "
                f"{error.message}. The inputs are: {', '.join(sorted(inputs)) or 'none'}."
            ) from None
        except Exception as error:  # a filter on an unfit value raises what it likes
            raise MisuseError(
                f"The prompt {self.name!r} ({self.source or self.version}) cannot be rendered: {error}"
            ) from None


@cache
def compiled(template: str) -> Template:
    """Return the compiled template; compiling costs fifty renderings."""
    made = environment().from_string(template)
    # Each rendering copies them, and a chain of mappings is copied in Python, key by key.
    made.globals = dict(made.globals)
    return made


@cache
def environment() -> ImmutableSandboxedEnvironment:
    """Return the one template environment: sandboxed, strict about missing variables."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        # Prompts are text for a model, not HTML: escaping would change what it reads.
        autoescape=False,
        keep_trailing_newline=True,
    )
