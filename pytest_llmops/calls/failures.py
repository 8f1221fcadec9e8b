"""Write down how a call failed, so that whoever else waited for its answer is told the same."""

from __future__ import annotations

from typing import Any, cast

from pytest_llmops.errors import BadAnswerError, CallError, FatalCallError, TransientCallError
from pytest_llmops.store.canonical import canonical, parse_json


def write_failure(error: CallError) -> bytes:
    """Return a call's failure as JSON text."""
    told: dict[str, Any] = {"message": error.args[0], "request_id": error.request_id}
    if isinstance(error, BadAnswerError):
        tokens = {"input_tokens": error.input_tokens, "output_tokens": error.output_tokens}
        told = {**told, "kind": error.kind, **tokens}
    elif isinstance(error, TransientCallError):
        told = {**told, "retry_after": error.retry_after}
    # SQLite takes lone surrogates, which a server may send, in bytes only.
    return canonical(told).encode("utf-8", "surrogatepass")


def read_failure(data: bytes) -> CallError:
    """Return the failure that `write_failure` wrote."""
    told = cast("dict[str, Any]", parse_json(data.decode("utf-8", "surrogatepass")))
    if "kind" in told:
        return BadAnswerError(**told)
    if "retry_after" in told:
        return TransientCallError(**told)
    return FatalCallError(**told)
