"""Say where an OpenAI-compatible server is, what goes with each request, and what is never shown of it."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import JsonValue

SECRET_LENGTH = 6
"""Shorter keys are words such as `local`, and hiding them would spoil messages."""

LONGEST_QUOTE = 300
"""Characters of a server's own message that an error repeats."""

DEFAULT_PORTS = {"http": 80, "https": 443}

SEGMENT = "!$&'()*+,;=:@"
"""Characters that stand for themselves in one segment of a path, beside letters, digits and -._~"""

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What a header's name may be."""

COMMON = {"accept": "application/json", "content-type": "application/json", "user-agent": "pytest-llmops"}

REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id")
"""Headers in which a server names the call: OpenAI's, then those of servers that speak its language."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """Be one server and how to speak to it; the configuration is the official client's."""

    base_url: str
    """Without user info and query: it is shown and stored."""
    headers: Mapping[str, str] = field(repr=False)
    """Sent with each request; names in lower case."""
    query: Mapping[str, JsonValue] = field(repr=False)
    """Sent with each request."""
    secrets: tuple[str, ...] = field(repr=False)
    """Texts that no message may hold."""
    deployments: bool = False
    """Whether the model is named in the path, as Azure does it."""

    @cached_property
    def host(self) -> str:
        """Return the name or address of the host."""
        return urlsplit(self.base_url).hostname or ""

    @cached_property
    def encrypted(self) -> bool:
        """Return whether the connections are."""
        return self.base_url.startswith("https:")

    def path(self, operation: str, model: str, query: Mapping[str, JsonValue]) -> str:
        """Return where `operation` is done with `model`, relative to the base URL and with `query`."""
        named = self.deployments and "/deployments" not in self.base_url
        place = f"deployments/{quote(model, safe=SEGMENT)}/{operation}" if named else operation
        asked = query_text({**self.query, **query}) if query else self._query
        return f"{place}?{asked}" if asked else place

    @cached_property
    def _query(self) -> str:
        return query_text(self.query)

    def quote(self, text: str) -> str:
        """Return `text`, a server's own or a library's, on one line, cut, and without secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "[redacted]")
        return " ".join(text.split())[:LONGEST_QUOTE]

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """Return the server's name for the call, None where it gives none."""
        for name in REQUEST_IDS:
            if headers.get(name):
                return self.quote(headers[name])
        return None


def server_at(
    url: str,
    *,
    source: str,
    headers: Mapping[str, str],
    key: str,
    query: Mapping[str, JsonValue] | None = None,
    below: str = "",
    deployments: bool = False,
) -> Server:
    """Return the server at `url`, whose user info and query are sent and never shown.

    Args:
        url: the base URL as the user wrote it.
        source: where it was written.
        headers: what is sent beside the common ones, with names in lower case.
        key: hidden from messages.
        query: what is sent beside the query of `url`.
        below: the path below `url` at which the server begins.
        deployments: whether the model is named in the path.

    Raises:
        MisuseError: `url` is none.
    """
    hidden = _split(url, source)
    given = dict(parse_qsl(hidden.query))
    return Server(
        base_url=f"{public_url(url, source)}{below}",
        # User info wins over the key, as in every HTTP client; two Authorization headers cannot go out.
        headers={**COMMON, **headers, **_basic_auth(hidden)},
        query={**given, **(query or {})},
        secrets=_secrets([key, *_user_info(hidden), *given.values(), *custom_headers().values()]),
        deployments=deployments,
    )


def account_headers() -> dict[str, str]:
    """Return the headers with which the environment names organization and project.

    Raises:
        MisuseError: one of them cannot be sent.
    """
    headers = {}
    for name, variable in (("OpenAI-Organization", "OPENAI_ORG_ID"), ("OpenAI-Project", "OPENAI_PROJECT_ID")):
        if variable in os.environ:
            headers.update(lowered({name: os.environ[variable]}, variable))
    return headers


def custom_headers() -> dict[str, str]:
    """Return the headers that the environment adds, one `Name: value` on a line of OPENAI_CUSTOM_HEADERS.

    Raises:
        MisuseError: one of them cannot be sent.
    """
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    pairs = [line.partition(":") for line in lines if ":" in line]
    return lowered({name.strip(): value.strip() for name, _, value in pairs}, "OPENAI_CUSTOM_HEADERS")


def lowered(headers: Mapping[str, Any], source: str) -> dict[str, str]:
    """Return `headers` with names in lower case.

    Raises:
        MisuseError: one of them cannot be sent.
    """
    for name, value in headers.items():
        if not (TOKEN.fullmatch(name) and isinstance(value, str) and value.isprintable()):
            raise MisuseError(
                f"The header {name!r} (from {source}) cannot be sent: its name must be one word and its "
                "value printable text on one line."
            )
    return {name.lower(): value for name, value in headers.items()}


def query_text(values: Mapping[str, JsonValue]) -> str:
    """Return `values` as the query of a URL, spelled as the official client spells them."""
    return urlencode([pair for name, value in values.items() for pair in _query_pairs(name, value)])


def public_url(url: str, source: str) -> str:
    """Return `url` without user info, query and default port.

    Raises:
        MisuseError: it is no URL.
    """
    parts = _split(url, source)
    host = parts.hostname or ""
    named = f"[{host}]" if ":" in host else host
    place = named if parts.port in (None, DEFAULT_PORTS[parts.scheme]) else f"{named}:{parts.port}"
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))


def _split(url: str, source: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.hostname and parts.scheme in DEFAULT_PORTS and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise MisuseError(f"{source} is not a URL such as https://api.openai.com/v1.")
    return parts


def _user_info(url: SplitResult) -> list[str]:
    raw = [text for text in (url.username, url.password) if text]
    return [*raw, *map(unquote, raw)]


def _basic_auth(url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _secrets(texts: Iterable[str]) -> tuple[str, ...]:
    # The longest first: one may be part of another.
    kept = {text for text in texts if len(text) >= SECRET_LENGTH}
    return tuple(sorted(kept, key=len, reverse=True))


def _query_pairs(name: str, value: JsonValue) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _query_pairs(f"{name}[{key}]", item)]
    if isinstance(value, list | tuple):
        return [pair for item in value for pair in _query_pairs(f"{name}[]", item)]
    if value is None:
        return []
    return [(name, str(value).lower() if isinstance(value, bool) else str(value))]
