"""Hold what goes to a model and what comes back, and the protocols of those who carry it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from pytest_llmops.store.canonical import JsonValue, digest

TRANSPORT_FIELDS = frozenset({"timeout", "extra_headers", "extra_query"})
"""Parameters that say how a request travels, not what is asked: left out of its identity."""

KEY_VERSION = 1
"""Part of every request digest: raised when the meaning of a digest changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Be one question to one model, with everything that reaches the provider."""

    provider: str
    """`local`, `openai` or the name of a provider that a hook knows."""
    model: str
    """The model's name at that provider."""
    messages: tuple[Mapping[str, JsonValue], ...]
    """The conversation; empty where `parameters` hold a `prompt`, a bare text to be continued."""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    """All other fields of the call: temperature, tools, response_format, unknown ones too."""
    repeat: int = 1
    """Which of the repeated answers to this question is asked for, from 1."""
    fallback: tuple[str, ...] = ()
    """`provider:model` to ask in turn where this model cannot be had; no part of the request's identity."""

    @property
    def payload(self) -> dict[str, Any]:
        """Return the fields that reach the provider."""
        conversation = {} if self.bare else {"messages": list(self.messages)}
        return {"model": self.model, **conversation, **self.parameters}

    @property
    def bare(self) -> bool:
        """Tell whether this is a bare text to be continued, not a conversation."""
        return not self.messages and "prompt" in self.parameters

    @property
    def named(self) -> str:
        """Return `provider:model`."""
        return f"{self.provider}:{self.model}"

    def streamed(self) -> Request:
        """Return the same question, to be answered piece by piece."""
        return replace(self, parameters={**self.parameters, "stream": True})

    def answered_by(self, response: Response) -> Request:
        """Return the request that gave `response`: this one, or the same question to a fallback model."""
        if response.fallback is None:
            return self
        provider, model = split_model(response.fallback)
        return replace(self, provider=provider, model=model, fallback=())

    def stand_ins(self) -> Iterator[Request]:
        """Yield the same question to each of the fallback models."""
        for named in self.fallback:
            provider, model = split_model(named)
            yield replace(self, provider=provider, model=model, fallback=())

    def digest(self, identity: Mapping[str, JsonValue]) -> str:
        """Return the request digest, the key under which the answer is cached.

        Args:
            identity: what the provider adds: its base URL, or the digest of its weights.
        """
        return _digest(self, identity, {"repeat": self.repeat})


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Count tokens; None where the provider did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Hold how long the answer took, in seconds."""

    seconds: float
    ttft: float | None = None
    """Time to the first token; None when the answer was not streamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Be one answer of a model."""

    text: str
    model: str
    """The model's name as the provider gave it back."""
    finish_reason: str | None = None
    tool_calls: tuple[Mapping[str, JsonValue], ...] = ()
    usage: Usage = field(default_factory=Usage)
    timing: Timing = field(default_factory=lambda: Timing(seconds=0.0))
    request_id: str | None = None
    cost: float | None = None
    """US dollars when it was made; None where the price was not known."""
    fallback: str | None = None
    """`provider:model` that stood in for the model asked; None where it answered itself."""
    logprobs: tuple[Mapping[str, JsonValue], ...] = ()
    """The tokens of the text in order, each `token`, `logprob` and, where asked for, `top_logprobs` with the
    likeliest tokens at its place; empty where they were not asked for or the endpoint does not tell."""
    context: tuple[str, ...] = ()
    """Passages that the answer was made from, where a target tells them."""

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        # By hand, for it is done for each call: `asdict` copies deeply.
        usage, timing = self.usage, self.timing
        rare = {"logprobs": self.logprobs, "context": self.context}
        return {
            **{name: value for name, value in rare.items() if value},
            "text": self.text,
            "model": self.model,
            "finish_reason": self.finish_reason,
            "tool_calls": self.tool_calls,
            "usage": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
            "timing": {"seconds": timing.seconds, "ttft": timing.ttft},
            "request_id": self.request_id,
            "cost": self.cost,
            "fallback": self.fallback,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Response:
        """Return the answer that `to_json` wrote."""
        values = dict(data)
        for name in ("tool_calls", "logprobs", "context"):
            values[name] = tuple(values.get(name, ()))
        values["usage"] = Usage(**values["usage"])
        values["timing"] = Timing(**values["timing"])
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """Be some texts of which one model is asked for vectors."""

    provider: str
    model: str
    texts: tuple[str, ...]
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    """All other fields of the call: dimensions, unknown ones too."""

    @property
    def named(self) -> str:
        """Return `provider:model`."""
        return f"{self.provider}:{self.model}"

    @property
    def payload(self) -> dict[str, Any]:
        """Return the fields that reach the provider."""
        return {"model": self.model, "input": list(self.texts), **self.parameters}

    def each(self) -> Iterator[EmbeddingRequest]:
        """Yield a request for each text alone."""
        for text in self.texts:
            yield replace(self, texts=(text,))

    def digest(self, identity: Mapping[str, JsonValue]) -> str:
        """Return the request digest, as that of a `Request`."""
        return _digest(self, identity, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Be the vectors of some texts, in their order."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    """The model's name as the provider gave it back."""
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    request_id: str | None = None


def split_model(model: str) -> tuple[str, str]:
    """Return provider and model name of `provider:model`; a bare name means openai."""
    provider, colon, name = model.partition(":")
    return (provider, name) if colon else ("openai", model)


def full_name(model: str) -> str:
    """Return `provider:model` of a model's name, bare or not."""
    return ":".join(split_model(model))


EMBEDDED = "local"
"""The provider of the embedded model: it forces answers, tells log-probabilities, and is small."""


def _digest(
    request: Request | EmbeddingRequest, identity: Mapping[str, JsonValue], more: Mapping[str, JsonValue]
) -> str:
    asked = {name: value for name, value in request.payload.items() if name not in TRANSPORT_FIELDS}
    return digest(
        {
            "key_version": KEY_VERSION,
            "provider": request.provider,
            "identity": identity,
            "asked": asked,
            **more,
        }
    )


class Provider(Protocol):
    """Send requests to models of one kind."""

    concurrency: int | None
    """Most calls that this provider serves well at once; None for no limit of its own."""

    def identity(self, request: Request) -> Mapping[str, JsonValue]:
        """Return what, beside the request, decides the answer; must not call the model."""
        ...

    async def complete(self, request: Request) -> Response:
        """Return the answer.

        Raises:
            CallError: its subclass says whether asking again may help.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections and children."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Be what a provider has beside `complete` when its models give vectors."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Return the vectors of the request's texts.

        Raises:
            CallError: its subclass says whether asking again may help.
        """
        ...


class Caller(Protocol):
    """Answer requests, from the cache where possible: what scorers are handed."""

    async def acall(self, request: Request) -> Response:
        """Return the answer to `request`.

        Raises:
            CallError: no usable answer could be had.
        """
        ...

    async def aembed(self, request: EmbeddingRequest) -> tuple[tuple[float, ...], ...]:
        """Return the vectors of the request's texts.

        Raises:
            CallError: they could not be had.
        """
        ...
