"""Reach the deployments of Azure OpenAI."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pytest_llmops.calls.exchange import Request
from pytest_llmops.errors import MisuseError
from pytest_llmops.providers.compatible import CompatibleProvider
from pytest_llmops.providers.openai import check_key
from pytest_llmops.providers.served import ANY_MODEL
from pytest_llmops.providers.server import account_headers, custom_headers, server_at
from pytest_llmops.store.canonical import JsonValue


class AzureProvider(CompatibleProvider):
    """Send chat completions and texts to embed to the deployments of one Azure OpenAI resource.

    A model's name is its deployment's: `azure:my-deployment`. The configuration is the official client's.

    Args:
        endpoint: the resource; `AZURE_OPENAI_ENDPOINT` where not given.
        api_key: `AZURE_OPENAI_AD_TOKEN`, else `AZURE_OPENAI_API_KEY`, where not given; needed from the first
            call on, not before.
        api_version: `OPENAI_API_VERSION` where not given.
        timeout: seconds that the server may be silent.

    Raises:
        MisuseError: endpoint or API version are missing, or a header of the environment cannot be sent.
    """

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        api_key: str | None = None,
        api_version: str | None = None,
        timeout: float = 120.0,
    ) -> None:
        self._api_version = _needed(api_version, "OPENAI_API_VERSION")
        token = "" if api_key else os.environ.get("AZURE_OPENAI_AD_TOKEN", "").strip()
        self._key = token or (api_key or os.environ.get("AZURE_OPENAI_API_KEY") or "").strip()
        own = {"authorization": f"Bearer {token}"} if token else {"api-key": self._key}
        server = server_at(
            _needed(endpoint, "AZURE_OPENAI_ENDPOINT"),
            source="The endpoint (AZURE_OPENAI_ENDPOINT)",
            headers={**account_headers(), **custom_headers(), **own},
            key=self._key,
            query={"api-version": self._api_version},
            below="/openai",
            deployments=True,
        )
        # The answer names the model behind a deployment.
        super().__init__(server, timeout=timeout, served_as=ANY_MODEL)

    def identity(self, request: Request) -> Mapping[str, JsonValue]:
        """Return the base URL, without user info and query, and the version of the interface."""
        return {**super().identity(request), "api_version": self._api_version}

    def _check_key(self) -> None:
        check_key(self._key, "AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN")


def _needed(given: str | None, variable: str) -> str:
    value = (given or os.environ.get(variable) or "").strip()
    if not value:
        raise MisuseError(f"Azure OpenAI needs the environment variable {variable}, and it is not set.")
    return value
