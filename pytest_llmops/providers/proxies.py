"""Find the proxy that the environment names for a server."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from pytest_llmops.errors import MisuseError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Be one HTTP proxy."""

    url: str
    """Without user info."""
    headers: Mapping[str, str] = field(repr=False)
    """What the proxy itself is sent."""


def environment_proxy(scheme: str, host: str) -> Proxy | None:
    """Return the proxy for a server, None where it is reached without one.

    Raises:
        MisuseError: the proxy does not speak HTTP.
    """
    # A proxy of the environment cannot reach this machine's loopback.
    if host in LOOPBACK:
        return None
    from urllib.request import getproxies, proxy_bypass

    known = getproxies()
    named = known.get(scheme) or known.get("all")
    return None if not named or proxy_bypass(host) else _proxy(named, scheme)


def _proxy(named: str, scheme: str) -> Proxy:
    parts = urlsplit(named if "://" in named else f"http://{named}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise MisuseError(
            f"The environment's proxy for {scheme} (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) is a "
            f"{parts.scheme or 'nameless'} one; only HTTP proxies are supported, such as http://proxy:3128. "
            "NO_PROXY leaves hosts out."
        )
    place = parts.netloc.rpartition("@")[2]
    return Proxy(url=urlunsplit((parts.scheme, place, parts.path, "", "")), headers=_authorization(parts))


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"proxy-authorization": f"Basic {b64encode(pair.encode()).decode()}"}
