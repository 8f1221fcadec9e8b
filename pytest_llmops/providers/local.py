"""Ask the embedded model, which needs no account and no network."""

from __future__ import annotations

import asyncio
import importlib.metadata
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from pytest_llmops.calls.exchange import Request, Response
from pytest_llmops.errors import MisuseError, TransientCallError
from pytest_llmops.providers.local_join import INSTALL, Address, SharedServer
from pytest_llmops.providers.openai import OpenAIProvider
from pytest_llmops.providers.served import ANY_MODEL
from pytest_llmops.providers.weights import Weights, find_weights
from pytest_llmops.store.canonical import JsonValue


class LocalProvider:
    """Send requests to the embedded model; its server is started or joined by the first call.

    One process serves all processes of the user, and ends by itself when the last of them has closed its
    provider or died.
    """

    concurrency: int | None = 4

    def __init__(self) -> None:
        self._weights: dict[str, Weights] = {}
        self._joining = threading.Lock()
        self._server: SharedServer | None = None
        self._address: Address | None = None
        """None as long as no server is known to answer."""
        self._connected: tuple[Address, OpenAIProvider] | None = None

    def identity(self, request: Request) -> Mapping[str, JsonValue]:
        """Return the digest of the weights and the version of the runtime; both decide the answer.

        Raises:
            MisuseError: nobody knows the model, or the runtime is not installed.
        """
        return {"weights": self._weights_of(request.model).sha256, "runtime": _runtime()}

    async def complete(self, request: Request) -> Response:
        """Return the answer.

        Raises:
            CallError: its subclass says whether asking again may help.
            MisuseError: nobody knows the model, or the server cannot start.
        """
        weights = self._weights_of(request.model)
        provider = await self._provider(weights)
        try:
            response = await provider.complete(request)
        except TransientCallError:
            # The server may have died: the next call looks, and starts another one if need be.
            self._address = None
            raise
        return replace(response, model=request.model)

    async def aclose(self) -> None:
        """Close the connections and let go of the server."""
        connected, self._connected, self._address = self._connected, None, None
        if connected is not None:
            await connected[1].aclose()
        if self._server is not None:
            self._server.leave()

    def _weights_of(self, model: str) -> Weights:
        if model not in self._weights:
            self._weights[model] = find_weights(model)
        return self._weights[model]

    async def _provider(self, weights: Weights) -> OpenAIProvider:
        address = self._address
        if address is None:
            address = await asyncio.to_thread(self._joined, weights)
        known = self._connected
        if known is not None and known[0] == address:
            return known[1]
        # The server calls the model by the digest of its weights.
        provider = OpenAIProvider(base_url=address.base_url, api_key=address.token, served_as=ANY_MODEL)
        self._connected = (address, provider)
        if known is not None:
            await known[1].aclose()
        return provider

    def _joined(self, weights: Weights) -> Address:
        # Of several first calls one does the work.
        with self._joining:
            if self._server is None:
                self._server = SharedServer(weights, _runtime())
            if self._address is None:
                self._address = self._server.join()
            return self._address


@cache
def _runtime() -> str:
    try:
        return f"xllamacpp {importlib.metadata.version('xllamacpp')}"
    except importlib.metadata.PackageNotFoundError:
        raise MisuseError(f"The embedded model needs the package xllamacpp: {INSTALL}.") from None
