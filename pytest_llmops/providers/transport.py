"""Carry JSON to one server over kept connections: the only file that imports aiohttp."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_llmops.calls.retry import REQUEST_ID
from pytest_llmops.errors import CallError, FatalCallError, TransientCallError
from pytest_llmops.providers.faults import refusal
from pytest_llmops.providers.proxies import environment_proxy
from pytest_llmops.providers.server import Server

if TYPE_CHECKING:
    import ssl

    from aiohttp import ClientResponse, ClientSession, ClientTimeout

LARGEST_REPLY = 64 << 20
"""Bytes of a reply, unpacked: a small packed one can hold gigabytes."""

JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
"""Writes bodies as the official client does."""

KEEP_ALIVE = 4.0
"""Seconds that an idle connection is kept: common servers close theirs after 5, and a call that meets the
closing is lost."""

LONGEST_DRAIN = 1.0
"""Seconds that the end of a stream may take after its last event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """Be one request on its way."""

    path: str
    """Relative to the base URL, with its query."""
    payload: Mapping[str, Any]
    headers: Mapping[str, str]
    """Sent beside the server's own."""
    timeout: float | None = None
    """Seconds that the server may be silent, in place of the usual ones."""


class Reply:
    """Be the answer to a letter while it comes in."""

    def __init__(self, reply: ClientResponse) -> None:
        self._reply = reply
        self.headers: Mapping[str, str] = reply.headers

    @property
    def media_type(self) -> str:
        """Return the kind of the body, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes in.

        Raises:
            ReplyTooLargeError: it is larger than any answer.
        """
        size = 0
        async for chunk in self._reply.content.iter_any():
            size += len(chunk)
            if size > LARGEST_REPLY:
                raise ReplyTooLargeError
            yield chunk

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            ReplyTooLargeError: it is larger than any answer.
        """
        return b"".join([chunk async for chunk in self.chunks()])

    async def drain(self) -> None:
        """Let what follows a whole answer come in, so that the connection can serve again."""
        import aiohttp

        with suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(LONGEST_DRAIN):
                async for _ in self.chunks():
                    pass


class ReplyTooLargeError(Exception):
    """Stop the reading of a reply that is too large."""


class Transport:
    """Post letters to one server; for one event loop.

    Args:
        server: where to.
        timeout: seconds that the server may be silent.
    """

    def __init__(self, server: Server, *, timeout: float) -> None:
        import aiohttp
        from yarl import URL

        self._server = server
        self._root = str(URL(server.base_url)).rstrip("/")
        self._timeout = _silence(timeout)
        proxy = environment_proxy(self._root.partition(":")[0], server.host)
        told = proxy.headers if proxy else {}
        # Of each request and not of the session: aiohttp shows the session's own headers to proxies.
        self._headers = {**server.headers, **({} if server.encrypted else told)}
        # Redirects are not followed: prompts and the key go to the configured server alone.
        self._options: dict[str, Any] = {"allow_redirects": False}
        if proxy is not None:
            # Through an encrypted tunnel the proxy sees only what it is told itself.
            self._options |= {"proxy": proxy.url, "proxy_headers": told if server.encrypted else None}
        self._session: ClientSession = aiohttp.ClientSession(
            # The caller bounds how many calls there are at once.
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=KEEP_ALIVE, ssl=_trusted() if server.encrypted else True
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # The environment's proxy is known by now; aiohttp would read passwords from ~/.netrc besides.
            trust_env=False,
        )

    @asynccontextmanager
    async def post(self, letter: Letter) -> AsyncIterator[Reply]:
        """Send `letter` and hand over the reply, a success, for the length of a with block.

        Raises:
            CallError: the server cannot be reached, refuses, breaks off, or sends too much.
        """
        import aiohttp
        from yarl import URL

        reply: ClientResponse | None = None
        try:
            async with self._session.post(
                URL(f"{self._root}/{letter.path}", encoded=True),
                data=_packed(letter.payload),
                headers={**self._headers, **letter.headers},
                timeout=self._timeout if letter.timeout is None else _silence(letter.timeout),
                **self._options,
            ) as reply:
                incoming = Reply(reply)
                if not 200 <= reply.status < 300:
                    raise refusal(self._server, reply.status, reply.headers, await incoming.read())
                yield incoming
        except ReplyTooLargeError:
            raise FatalCallError(
                f"{self._server.base_url} sent more than {LARGEST_REPLY >> 20} MiB in one reply; no answer "
                "is as large, so the rest was not read.",
                request_id=self._request_id(reply),
            ) from None
        except aiohttp.ClientHttpProxyError as error:
            raise self._stopped(error.status, error.message) from None
        except asyncio.CancelledError as error:
            # Who sets a deadline finds here which request did not keep it.
            setattr(error, REQUEST_ID, self._request_id(reply))
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken(error, self._request_id(reply)) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def _request_id(self, reply: ClientResponse | None) -> str | None:
        return self._server.request_id(reply.headers) if reply is not None else None

    def _stopped(self, status: int, told: str) -> CallError:
        kind = FatalCallError if 400 <= status < 500 else TransientCallError
        return kind(f"The proxy on the way to {self._server.base_url} answered {status} {told}.")

    def _broken(self, error: Exception, request_id: str | None) -> CallError:
        import aiohttp

        # The text of a response error names the URL with its query.
        said = error.message if isinstance(error, aiohttp.ClientResponseError) else error
        told = self._server.quote(f"{type(error).__name__} {said}")
        message = f"{self._server.base_url} gave no answer: {told}"
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return FatalCallError(f"{message}. SSL_CERT_FILE names the certificates to trust.")
        return TransientCallError(message, request_id=request_id)


def _packed(payload: Mapping[str, Any]) -> bytes:
    try:
        return JSON.encode(payload).encode()
    except UnicodeEncodeError:
        raise FatalCallError("The request holds half a character (a lone surrogate).") from None


def _silence(seconds: float) -> ClientTimeout:
    import aiohttp

    # The time of the whole call is the caller's to bound.
    return aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds)


def _trusted() -> ssl.SSLContext:
    import ssl

    # The certificates that the official client trusts, on every platform; OpenSSL's own with older ones.
    try:
        from httpx2 import create_ssl_context
    except ImportError:
        return ssl.create_default_context()
    return create_ssl_context()
