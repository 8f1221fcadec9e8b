"""Check the tools that an answer calls: names and arguments, as the prompt's tool schemas have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pytest_llmops.calls.exchange import Caller, Response
from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.golden.case import Case
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.expected import shown
from pytest_llmops.scorers.json_schema import VERSION as SCHEMA_VERSION
from pytest_llmops.scorers.json_schema import JsonSchema
from pytest_llmops.scorers.json_text import read_json, shallow
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.store.canonical import SHORT, JsonValue, canonical, digest

KIND: Final = "tool_calls"

VERSION: Final = 1
"""Part of the metric version: raised when the same answer could get another score."""


class ToolCallsScorer:
    """Check that every tool call of an answer is one that the prompt's tools allow, and the expected one.

    Expected calls are compared one by one, in their order. A call is as expected where the name is the same
    and the arguments are equal as JSON; an expected call without `arguments` asks for the name alone.
    """

    def __init__(
        self,
        prompt: Prompt,
        *,
        cases: Iterable[Case] = (),
        name: str | None = None,
        value: JsonValue = None,
        required: bool = False,
    ) -> None:
        """Compile the schema of each tool's parameters.

        Args:
            prompt: the prompt whose tools are known.
            cases: the cases to come; what they expect is checked now.
            name: the metric's name; `tool_calls` where None.
            value: the calls that every answer must make: one mapping with `name` and `arguments`, or a list
                of them, empty for no call; None takes `tool_calls` of what each case expects, if it has it.
            required: a miss fails its case always, baseline or not.

        Raises:
            MisuseError: the prompt has no tools, one of them is no function with a name and a sound schema,
                or a call is expected that the tools do not allow.
        """
        metric_name = name or KIND
        if not prompt.tools:
            raise MisuseError(
                f"The metric {metric_name!r} needs a prompt with tools; {prompt.name!r} has none. "
                "Add `tools:` to the prompt file."
            )
        self._tools: dict[str, JsonSchema] = {}
        for tool in prompt.tools:
            self._add(tool, prompt)
        self._value = None if value is None else self._expected(value, f"The value of {metric_name!r}")
        for case in cases:
            self._expected_of(case)
        content: dict[str, JsonValue] = {"tools": prompt.tools, "value": value, "schemas": SCHEMA_VERSION}
        version = digest({**content, "version": VERSION})[:SHORT]
        self.metric = Metric(name=metric_name, version=version, required=required)

    async def score(self, case: Case, response: Response, caller: Caller) -> Score:  # noqa: ARG002
        """Return 1 where all calls are allowed and the expected ones, else 0 with the reasons.

        An answer without a call is right where none is expected, or nothing is said of it.

        Raises:
            MisuseError: what the case expects is no call that the tools allow.
        """
        reasons: list[str] = []
        calls = [self._read(call, index, reasons) for index, call in enumerate(response.tool_calls)]
        expected = self._expected_of(case)
        if expected is not None:
            reasons.extend(_differences(calls, expected))
        return self.metric.score(not reasons, reason="; ".join(dict.fromkeys(reasons)))

    def _add(self, tool: Mapping[str, JsonValue], prompt: Prompt) -> None:
        place = f"the prompt {prompt.name!r}"
        function = tool.get("function")
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(name, str) or not name:
            raise MisuseError(f"A tool of {place} is no function with a name: {shown(tool)}.")
        if name in self._tools:
            raise MisuseError(f"Two tools of {place} have the name {name!r}.")
        # A function without parameters takes none, and is called with an empty object.
        schema = function.get("parameters", {"type": "object"})
        if not isinstance(schema, Mapping):
            raise MisuseError(f"The parameters of the tool {name!r} of {place} are no JSON Schema.")
        self._tools[name] = JsonSchema(schema, f"the tool {name!r} of {place}")

    def _read(self, call: Mapping[str, JsonValue], index: int, reasons: list[str]) -> tuple[str, JsonValue]:
        """Return name and arguments of a call, and add what is wrong with it to `reasons`."""
        function = call.get("function")
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            reasons.append(f"call {index + 1} is no call of a function: {shown(call)}")
            return "", None
        name, arguments = str(function["name"]), function.get("arguments")
        if name not in self._tools:
            reasons.append(f"call {index + 1} names the tool {name!r}, which the prompt does not have")
        try:
            value = read_json(arguments) if isinstance(arguments, str) else shallow(arguments)
        except ValueError as error:
            reasons.append(f"the arguments of {name!r} (call {index + 1}) are {error}")
            return name, None
        reasons.extend(
            f"{name!r} (call {index + 1}) {violation}" for violation in self._violations(name, value)
        )
        return name, value

    def _violations(self, name: str, arguments: JsonValue) -> list[str]:
        if name not in self._tools:
            return []
        if not isinstance(arguments, Mapping):
            return [f"$: {shown(arguments)} is no object of arguments"]
        return self._tools[name].violations(arguments)

    def _expected_of(self, case: Case) -> Sequence[Mapping[str, Any]] | None:
        if self._value is not None:
            return self._value
        expected = case.expected
        if not isinstance(expected, Mapping) or expected.get(KIND) is None:
            return None
        return self._expected(expected[KIND], f"`expected.{KIND}` of the case {case.id!r}")

    def _expected(self, value: JsonValue, subject: str) -> Sequence[Mapping[str, Any]]:
        calls = [value] if isinstance(value, Mapping) else value
        if not isinstance(calls, list | tuple):
            raise MisuseError(f"{subject} is {shown(value)}: write a call, or a list of calls.")
        return [self._allowed(call, subject) for call in calls]

    def _allowed(self, call: JsonValue, subject: str) -> Mapping[str, Any]:
        """Return an expected call that an answer could make; another would be missed for ever."""
        name = call.get("name") if isinstance(call, Mapping) else None
        if not isinstance(call, Mapping) or not isinstance(name, str) or set(call) - {"name", "arguments"}:
            raise MisuseError(
                f"{subject} holds {shown(call)}, which is no mapping of `name` and, if wanted, `arguments`."
            )
        if name not in self._tools:
            raise MisuseError(
                f"{subject} names the tool {name!r}, which the prompt does not have. "
                f"{closest(name, self._tools)}"
            )
        if "arguments" in call and (found := self._violations(name, call["arguments"])):
            raise MisuseError(f"{subject}: the tool {name!r} does not allow these arguments: {found[0]}.")
        return call


def _differences(calls: Sequence[tuple[str, JsonValue]], expected: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(calls) != len(expected):
        wanted = ", ".join(repr(call["name"]) for call in expected) or "none"
        made = ", ".join(repr(name) for name, _ in calls) or "none"
        return [f"the calls are {made}, not {wanted}"]
    reasons = []
    for index, ((name, arguments), wish) in enumerate(zip(calls, expected, strict=True)):
        if name != wish["name"]:
            reasons.append(f"call {index + 1} is {name!r}, not {wish['name']!r}")
        elif "arguments" in wish and canonical(arguments) != canonical(wish["arguments"]):
            reasons.append(
                f"call {index + 1} has the arguments {shown(arguments)}, not {shown(wish['arguments'])}"
            )
    return reasons
