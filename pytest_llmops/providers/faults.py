"""Class what a server answers in place of an answer, once for all servers that speak OpenAI's language."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from pytest_llmops.calls.retry import asked_wait
from pytest_llmops.errors import CallError, FatalCallError, TransientCallError
from pytest_llmops.providers.server import Server
from pytest_llmops.store.canonical import parse_json

PASSING = frozenset({408, 409, 425, 429})
"""Statuses below 500 whose faults may pass."""

OVERLOADED = frozenset({429, 503, 529})
"""Statuses of calls that were turned away for want of room."""

LASTING_ERRORS = frozenset(
    {
        "authentication_error",
        "context_length_exceeded",
        "invalid_api_key",
        "invalid_request_error",
        "model_not_found",
        "not_found_error",
        "permission_error",
    }
)
"""Codes and types of errors that asking again cannot help, where no status says so."""

SPENT = "insufficient_quota"


def refusal(server: Server, status: int, headers: Mapping[str, str], content: bytes) -> CallError:
    """Return the fault of an answer whose status is no success."""
    error, told = _told(content)
    if 300 <= status < 400:
        told = _redirected(server, headers.get("location", ""))
    code = error.get("code")
    named = f"{status} {code}" if code and str(code) != str(status) else str(status)
    message = f"{server.base_url} answered {server.quote(f'{named}: {told}')}"
    if SPENT in _names(error):
        lasting = True
    elif (said := headers.get("x-should-retry")) in ("true", "false") and status >= 400:
        # The official client obeys it too.
        lasting = said == "false"
    else:
        lasting = _lasts(status)
    return _fault(server, message, headers, status=status, lasting=lasting)


def told_error(server: Server, error: object, headers: Mapping[str, str]) -> CallError:
    """Return the fault of an error that came with status 200, alone or in the middle of a stream."""
    fields = error if isinstance(error, Mapping) else {}
    code = str(fields.get("code"))
    # Gateways pass on the status that they got.
    status = int(code) if code.isdecimal() and len(code) == 3 else 200
    lasting = _lasts(status) if status >= 300 else bool(_names(fields) & LASTING_ERRORS)
    told = server.quote(_sentence(error))
    message = f"{server.base_url} sent status 200 without an answer: {told}"
    lasting = lasting or SPENT in _names(fields)
    return _fault(server, message, headers, status=status, lasting=lasting)


def no_answer(server: Server, content: bytes, headers: Mapping[str, str]) -> CallError:
    """Return the fault of a success that holds no answer, as a log-in page or a cut text does."""
    said = server.quote(content.decode(errors="replace")) or "nothing at all"
    message = f"{server.base_url} sent status 200 without an answer: {said}"
    return _fault(server, message, headers, status=200, lasting=False)


def _fault(
    server: Server, message: str, headers: Mapping[str, str], *, status: int, lasting: bool
) -> CallError:
    request_id = server.request_id(headers)
    if lasting:
        return FatalCallError(message, request_id=request_id)
    return TransientCallError(
        message,
        request_id=request_id,
        retry_after=asked_wait(headers),
        overloaded=status in OVERLOADED,
    )


def _lasts(status: int) -> bool:
    return status == 501 or (status < 500 and status not in PASSING)


def _told(content: bytes) -> tuple[Mapping[str, object], str]:
    text = content.decode(errors="replace")
    try:
        body = parse_json(text)
    except ValueError:
        return {}, text
    error = body.get("error", body) if isinstance(body, Mapping) else body
    return (error if isinstance(error, Mapping) else {}), _sentence(error) or text


def _sentence(error: object) -> str:
    if not isinstance(error, Mapping):
        return "" if error is None else str(error)
    message = error.get("message")
    return str(message or error.get("code") or error.get("type") or dict(error))


def _names(error: Mapping[str, object]) -> set[str]:
    return {name for name in (error.get("code"), error.get("type")) if isinstance(name, str)}


def _redirected(server: Server, location: str) -> str:
    # Neither user info nor query of the other place is shown.
    try:
        place = urlsplit(urljoin(f"{server.base_url}/", location))
        shown = f"{place.scheme}://{place.netloc.rpartition('@')[2]}{place.path}"
    except ValueError:
        shown = "a place that is no URL"
    return (
        f"a redirect to {shown if location else 'nowhere'}. It is not followed, so that prompts and the key "
        "go to the configured server alone; if it is right, make it the base URL."
    )
