"""Reach OpenAI and every server that is configured like it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pytest_llmops.errors import MisuseError
from pytest_llmops.providers.compatible import CompatibleProvider
from pytest_llmops.providers.server import account_headers, custom_headers, server_at

DEFAULT_BASE_URL = "https://api.openai.com/v1"


class OpenAIProvider(CompatibleProvider):
    """Send chat completions and texts to embed to one OpenAI-compatible server.

    All configuration is that of the official client, which is not imported: it would cost each process half a
    second, and each call three times the CPU. The tests hold what is sent against what it sends.

    Args:
        base_url: the server; `OPENAI_BASE_URL`, else OpenAI itself, where not given.
        api_key: `OPENAI_API_KEY` where not given; needed from the first call on, not before.
        timeout: seconds that the server may be silent.
        served_as: the names under which the server answers, by the names asked; `*` stands for any text. For
            gateways that answer under other names than they are asked for.

    Raises:
        MisuseError: the base URL is none, or a header of the environment cannot be sent.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
        served_as: Mapping[str, str] | None = None,
    ) -> None:
        self._key = (api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
        server = server_at(
            base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL,
            source="The base URL (OPENAI_BASE_URL)",
            headers={"authorization": f"Bearer {self._key}", **account_headers(), **custom_headers()},
            key=self._key,
        )
        super().__init__(server, timeout=timeout, served_as=served_as)

    def _check_key(self) -> None:
        check_key(self._key, "OPENAI_API_KEY", "For a server that needs none, any text will do.")


def check_key(key: str, variable: str, hint: str = "") -> None:
    """Check that a header can carry `key`.

    Raises:
        MisuseError: there is none, or it holds other characters.
    """
    if not (key and key.isascii() and key.isprintable()):
        raise MisuseError(
            f"{'No valid' if key else 'No'} API key: set the environment variable {variable}. {hint}".strip()
        )
