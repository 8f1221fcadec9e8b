"""What lies between the provider and its server: proxies, headers of the environment, certificates."""

from __future__ import annotations

import asyncio
import gc
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from fake_endpoint import Endpoint, error

from pytest_llmops.calls.exchange import Request
from pytest_llmops.errors import CallError, FatalCallError, MisuseError, TransientCallError
from pytest_llmops.providers.openai import OpenAIProvider
from pytest_llmops.providers.proxies import environment_proxy

KEY = "sk-not-a-real-key-1234"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def fault(base_url: str) -> CallError:
    async def main() -> None:
        provider = OpenAIProvider(base_url=base_url, api_key=KEY, timeout=30.0)
        try:
            await provider.complete(Request(provider="openai", model="m", messages=()))
        finally:
            await provider.aclose()

    with pytest.raises(CallError) as caught:
        asyncio.run(main())
    return caught.value


@pytest.mark.parametrize(
    ("scheme", "host", "environment", "url"),
    [
        ("https", "api.example", {}, None),
        ("https", "api.example", {"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ("https", "api.example", {"HTTPS_PROXY": "p:3128/"}, "http://p:3128/"),
        ("https", "api.example", {"HTTPS_PROXY": "https://me:pass@p"}, "https://p"),
        ("https", "api.example", {"HTTP_PROXY": "http://p"}, None),
        ("http", "api.example", {"http_proxy": "http://p"}, "http://p"),
        ("https", "api.example", {"ALL_PROXY": "http://p"}, "http://p"),
        ("https", "api.example", {"ALL_PROXY": "http://p", "HTTPS_PROXY": "http://q"}, "http://q"),
        ("https", "api.example", {"ALL_PROXY": "http://p", "NO_PROXY": "*"}, None),
        ("https", "api.example", {"ALL_PROXY": "http://p", "NO_PROXY": "other, .example"}, None),
        ("https", "api.example", {"ALL_PROXY": "http://p", "NO_PROXY": "api.other"}, "http://p"),
        ("http", "127.0.0.1", {"ALL_PROXY": "http://p"}, None),
        ("http", "localhost", {"HTTP_PROXY": "http://p"}, None),
        ("http", "::1", {"HTTP_PROXY": "http://p"}, None),
    ],
)
def test_the_proxy_is_the_environments(
    monkeypatch: pytest.MonkeyPatch, scheme: str, host: str, environment: dict[str, str], url: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    proxy = environment_proxy(scheme, host)

    assert (proxy.url if proxy else None) == url


def test_a_proxy_that_speaks_no_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:pass-word@p:1080")

    with pytest.raises(MisuseError, match="only HTTP proxies") as caught:
        environment_proxy("https", "api.example")
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize("user", ["", "me:pass-word@"])
def test_a_proxy_that_refuses_is_told_from_the_server(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://{user}{endpoint.host}")

    caught = fault("https://me:pass-word@model.example/v1?key=tok-12345")

    assert type(caught) is TransientCallError
    assert "The proxy on the way to https://model.example/v1 answered 503" in str(caught)
    assert "pass-word" not in str(caught)
    assert "tok-12345" not in str(caught)
    # The tunnel is asked for by name: what is meant for the server goes through it alone.
    [seen] = endpoint.seen
    assert "authorization" not in seen.headers
    assert KEY not in str(seen)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENAI_ORG_ID", "org\r\nx-injected: yes"),
        ("OPENAI_PROJECT_ID", "a\x01b"),
        ("OPENAI_CUSTOM_HEADERS", "two words: x"),
        ("OPENAI_CUSTOM_HEADERS", ": x"),
        ("OPENAI_CUSTOM_HEADERS", "x: a\x07b"),
    ],
)
def test_a_header_that_cannot_be_sent_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(MisuseError, match=variable):
        OpenAIProvider()


def test_headers_of_the_environment_are_hidden_from_messages(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-gateway-key: gateway-1234")
    endpoint.script(error(403, message="unknown gateway-1234"))

    assert "unknown [redacted]" in str(fault(endpoint.base_url))


class _Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"choices": [{"message": {"content": "Hi."}}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve over TLS, and give the base URL and the certificate, which nobody trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=127.0.0.1"]
    named = ["-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made, *named]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), _Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}/v1", certificate
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_is_not_trusted_is_not_asked_again(encrypted: tuple[str, Path]) -> None:
    caught = fault(encrypted[0])

    assert type(caught) is FatalCallError
    assert "SSL_CERT_FILE" in str(caught)


def test_certificates_of_the_environment_are_trusted(
    encrypted: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base_url, certificate = encrypted
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def main() -> str:
        provider = OpenAIProvider(base_url=base_url, api_key=KEY)
        try:
            return (await provider.complete(Request(provider="openai", model="m", messages=()))).text
        finally:
            await provider.aclose()

    assert asyncio.run(main()) == "Hi."
    # Warnings about what is left open come when it is collected, and are errors here.
    gc.collect()
