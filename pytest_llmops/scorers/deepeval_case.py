"""Say in deepeval's words what a case is: the fields of its test cases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pytest_llmops.calls.exchange import Response
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.fence import as_text
from pytest_llmops.store.canonical import JsonValue

FIELDS: Final[Mapping[str, str]] = {
    "input": "`inputs`",
    "expected_output": "`expected`",
    "expected_outcome": "`expected`",
    "expected_tools": "`expected` (a list of calls, each with `name` and `arguments`)",
    "context": "`context` (a list of passages)",
    "retrieval_context": "`context` (a list of passages)",
    "chatbot_role": "a message of the role `system`",
}
"""What to add to a golden row where a metric lacks a field."""


def single_turn(case: Case, response: Response) -> dict[str, Any]:
    """Return the fields of an LLMTestCase; tools are mappings of their own fields."""
    passages = list(response.context or case.context) or None
    return {
        "input": _conversation(case),
        "actual_output": response.text,
        "expected_output": None if case.expected is None else as_text(case.expected),
        "context": passages,
        "retrieval_context": passages,
        "tools_called": [_tool(call) for call in response.tool_calls],
        "expected_tools": _expected_tools(case.expected),
        "metadata": dict(case.metadata) or None,
        "tags": list(case.tags) or None,
    }


def multi_turn(case: Case, response: Response) -> dict[str, Any]:
    """Return the fields of a ConversationalTestCase; turns and tools are mappings of their own fields.

    The turns are the case's messages, its inputs, and the answer.
    """
    passages = list(response.context or case.context) or None
    turns: list[dict[str, Any]] = [
        {"role": message["role"], "content": as_text(message.get("content"))}
        for message in case.messages
        if message.get("role") in ("user", "assistant")
    ]
    if case.inputs:
        turns.append({"role": "user", "content": _bare(case.inputs)})
    tools = [_tool(call) for call in response.tool_calls]
    answer = {"content": response.text, "retrieval_context": passages, "tools_called": tools}
    roles = [as_text(each.get("content")) for each in case.messages if each.get("role") == "system"]
    return {
        "turns": [*turns, {"role": "assistant", **answer}],
        "expected_outcome": None if case.expected is None else as_text(case.expected),
        "context": passages,
        "chatbot_role": roles[0] if roles else None,
        "metadata": dict(case.metadata) or None,
        "tags": list(case.tags) or None,
    }


def _conversation(case: Case) -> str:
    """Return the input bare, or after the turns before it, each with its role."""
    if not case.messages:
        return _bare(case.inputs)
    turns = [(str(message.get("role")), as_text(message.get("content"))) for message in case.messages]
    if case.inputs:
        turns.append(("user", _bare(case.inputs)))
    return "\n".join(f"{role}: {content}" for role, content in turns)


def _bare(inputs: Mapping[str, JsonValue]) -> str:
    return as_text(next(iter(inputs.values())) if len(inputs) == 1 else dict(inputs))


def _expected_tools(expected: JsonValue) -> list[dict[str, Any]] | None:
    if not isinstance(expected, list | tuple) or not expected:
        return None
    calls = [
        each for each in expected if isinstance(each, Mapping) and ("name" in each or "function" in each)
    ]
    return [_tool(call) for call in calls] if len(calls) == len(expected) else None


def _tool(call: Mapping[str, JsonValue]) -> dict[str, Any]:
    """Return name and arguments of a tool call in the form of a chat completion, or of a bare mapping."""
    function = call.get("function")
    function = function if isinstance(function, Mapping) else call
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            # The model's own slip: kept, so that a metric sees it.
            arguments = {"arguments": arguments}
    given = arguments if isinstance(arguments, Mapping) else {}
    return {"name": str(function.get("name", "")), "input_parameters": dict(given)}
