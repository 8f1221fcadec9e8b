"""Reach OpenAI and every server that speaks its chat completions: the only file that imports openai."""

from __future__ import annotations

import inspect
import os
import time
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from pytest_llmops.calls.exchange import Request, Response
from pytest_llmops.calls.retry import asked_wait
from pytest_llmops.errors import CallError, FatalCallError, MisuseError, TransientCallError
from pytest_llmops.providers.completion import first_choice, to_response
from pytest_llmops.store.canonical import JsonValue, parse_json

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

DEFAULT_BASE_URL = "https://api.openai.com/v1"

PASSING = frozenset({200, 408, 409, 425, 429})
"""Statuses below 500 whose faults may pass, as all from 500 up may; 200 with a page that is no answer."""

SECRET_LENGTH = 6
"""Shorter keys are words such as `local`, and hiding them would spoil messages."""

LONGEST_QUOTE = 300
"""Characters of a server's own message that an error repeats."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

DEFAULT_PORTS = {"http": 80, "https": 443}


class OpenAIProvider:
    """Send chat completions to one OpenAI-compatible server.

    Args:
        base_url: the server; `OPENAI_BASE_URL`, else OpenAI itself, where not given.
        api_key: `OPENAI_API_KEY` where not given; needed from the first call on, not before.
        timeout: seconds that the server may be silent.

    Raises:
        MisuseError: the base URL is none.
    """

    concurrency: int | None = None

    def __init__(
        self, *, base_url: str | None = None, api_key: str | None = None, timeout: float = 120.0
    ) -> None:
        url = base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
        self._base_url = _public_url(url)
        self._hidden = urlsplit(url)
        self._query = dict(parse_qsl(self._hidden.query))
        self._api_key = (api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
        self._timeout = timeout
        self._client: AsyncOpenAI | None = None

    def identity(self, request: Request) -> Mapping[str, JsonValue]:  # noqa: ARG002 - the protocol's
        """Return the base URL, without user info and query."""
        return {"base_url": self._base_url}

    async def complete(self, request: Request) -> Response:
        """Return the answer.

        Raises:
            CallError: its subclass says whether asking again may help.
            MisuseError: the key is missing, or the request asks for a stream.
        """
        if request.parameters.get("stream"):
            raise MisuseError(
                f"The request to {request.model} sets `stream`; leave it out of the parameters."
            )
        client = self._opened()
        start = time.monotonic()
        content, headers = await self._sent(client, self._arguments(request.payload))
        seconds = time.monotonic() - start
        reply, choice = self._read(content, headers)
        request_id = headers.get("x-request-id")
        return to_response(reply, choice, request=request, seconds=seconds, request_id=request_id)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _opened(self) -> AsyncOpenAI:
        if self._client is None:
            if not (self._api_key and self._api_key.isascii() and self._api_key.isprintable()):
                raise MisuseError(
                    f"{'No valid' if self._api_key else 'No'} API key: set the environment variable "
                    "OPENAI_API_KEY. For a server that needs none, any text will do."
                )
            import openai

            self._client = openai.AsyncOpenAI(
                base_url=self._base_url,
                api_key=self._api_key,
                default_query=self._query,
                default_headers=_basic_auth(self._hidden),
                timeout=self._timeout,
                max_retries=0,
                http_client=openai.DefaultAioHttpClient(
                    # Redirects are not followed: prompts and the key go to the configured server alone.
                    follow_redirects=False,
                    # A proxy of the environment cannot reach this machine's loopback.
                    trust_env=self._hidden.hostname not in LOOPBACK,
                ),
            )
        return self._client

    async def _sent(self, client: AsyncOpenAI, arguments: dict[str, Any]) -> tuple[bytes, Mapping[str, str]]:
        import aiohttp
        import openai

        try:
            # The raw body, since the SDK lets error pages and bodies without choices pass as answers.
            reply = await client.chat.completions.with_raw_response.create(**arguments)
        except openai.APIStatusError as error:
            raise self._refused(error) from None
        except UnicodeEncodeError:
            raise FatalCallError("The request holds half a character (a lone surrogate).") from None
        except (openai.APIConnectionError, aiohttp.ClientError) as error:
            cause = error.__cause__ or error
            told = self._quote(f"{type(cause).__name__} {cause}")
            raise TransientCallError(f"{self._base_url} gave no answer: {told}") from None
        return reply.content, reply.headers

    def _arguments(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        known = {name: value for name, value in payload.items() if name in _parameters()}
        unknown = {name: value for name, value in payload.items() if name not in known}
        return {**known, "extra_body": {**unknown, **(known.get("extra_body") or {})}} if unknown else known

    def _refused(self, error: APIStatusError) -> CallError:
        body = error.body
        told = (body.get("message") if isinstance(body, Mapping) else body) or error.message
        named = f"{error.status_code} {error.code}" if error.code else str(error.status_code)
        message = f"{self._base_url} answered {self._quote(f'{named}: {told}')}"
        return _fault(message, status=error.status_code, error=body, headers=error.response.headers)

    def _read(
        self, content: bytes, headers: Mapping[str, str]
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        try:
            reply = parse_json(content.decode())
        except ValueError:
            reply = None
        error = reply.get("error") if isinstance(reply, Mapping) else None
        choice = first_choice(reply)
        if isinstance(reply, Mapping) and choice is not None and not error:
            return reply, choice
        said = self._quote(content.decode(errors="replace")) or "nothing at all"
        message = f"{self._base_url} sent status 200 without an answer: {said}"
        raise _fault(message, status=200, error=error, headers=headers)

    def _quote(self, text: str) -> str:
        for secret in (self._api_key, self._hidden.password or "", *self._query.values()):
            if len(secret) >= SECRET_LENGTH:
                text = text.replace(secret, "[redacted]")
        return " ".join(text.split())[:LONGEST_QUOTE]


def _public_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in DEFAULT_PORTS:
        raise MisuseError("The base URL (OPENAI_BASE_URL) is not a URL such as https://api.openai.com/v1.")
    named = f"[{host}]" if ":" in host else host
    place = named if port in (None, DEFAULT_PORTS[parts.scheme]) else f"{named}:{port}"
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))


def _basic_auth(url: SplitResult) -> dict[str, str]:
    # User info wins over the key, as in every HTTP client; two Authorization headers cannot go out.
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


@cache
def _parameters() -> frozenset[str]:
    from openai.resources.chat.completions import AsyncCompletions

    return frozenset(inspect.signature(AsyncCompletions.create).parameters) - {"self"}


def _fault(message: str, *, status: int, error: object, headers: Mapping[str, str]) -> CallError:
    request_id = headers.get("x-request-id")
    named = [error.get("code"), error.get("type")] if isinstance(error, Mapping) else []
    passing = status in PASSING or status >= 500
    if passing and "insufficient_quota" not in named:
        return TransientCallError(message, request_id=request_id, retry_after=asked_wait(headers))
    return FatalCallError(message, request_id=request_id)
