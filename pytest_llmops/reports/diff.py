"""Show what differs between two versions of a prompt."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.prompts.target import TARGET
from pytest_llmops.reports.figures import counted
from pytest_llmops.reports.page import Line, Page, Style, wrap
from pytest_llmops.store.canonical import SHORT, JsonValue

_MOST_LINES: Final = 60
"""Lines of one part's diff that are shown."""

_LINE_END: Final = re.compile(r"(?<!\\)(?:\\\\)*\\n")
"""Matches a line end as JSON writes it."""

_STYLES: Final[Mapping[str, Style]] = {"+": "green", "-": "red", "@": "dim"}


class Part(NamedTuple):
    """Be one part of a prompt in both versions; "" where a version has none."""

    title: str
    baseline: str
    candidate: str


def prompt_diff(baseline: Prompt, candidate: Prompt, page: Page) -> Iterator[Line]:
    """Give the differing parts of two prompts, each as a unified diff of its lines."""
    for part in _parts(baseline, candidate):
        if part.baseline != part.candidate:
            yield page.line(f"  {page.short(part.title)}", "dim")
            yield from _part_lines(part, page)


def _parts(baseline: Prompt, candidate: Prompt) -> Iterator[Part]:
    if baseline.engine == candidate.engine == TARGET:
        yield from _artifacts(baseline, candidate)
        yield Part("the function and its version", _stated(baseline), _stated(candidate))
        return
    yield from _messages(baseline, candidate)
    yield Part("model", baseline.model or "", candidate.model or "")
    yield Part("parameters", _fields(baseline.parameters), _fields(candidate.parameters))
    yield Part("tools", _json(baseline.tools), _json(candidate.tools))
    yield Part("response format", _json(baseline.response_format), _json(candidate.response_format))
    yield Part("engine", baseline.engine, candidate.engine)


def _messages(baseline: Prompt, candidate: Prompt) -> Iterator[Part]:
    for index, (old, new) in enumerate(zip_longest(baseline.messages, candidate.messages), start=1):
        roles = dict.fromkeys(_role(message) for message in (old, new) if message)
        yield Part(f"message {index} ({' -> '.join(roles)})", _message(old), _message(new))


def _artifacts(baseline: Prompt, candidate: Prompt) -> Iterator[Part]:
    """Give the artifacts of a target, which have names."""
    old, new = (
        {str(each.get("name")): str(each.get("content")) for each in version.messages}
        for version in (baseline, candidate)
    )
    for name in dict.fromkeys((*old, *new)):
        yield Part(f"artifact {name}", _opened(old.get(name, "")), _opened(new.get(name, "")))


def _opened(content: str) -> str:
    r"""Return JSON with a line for each line of its texts: else a message would be one line of the diff."""
    return _LINE_END.sub(r"\g<0>\n    ", content)


def _stated(target: Prompt) -> str:
    """Return code and version of a target; the code is a digest, told apart by its start."""
    code = str(target.parameters.get("code", ""))[:SHORT]
    return _fields({**target.parameters, "code": code})


def _part_lines(part: Part, page: Page) -> Iterator[Line]:
    diff = difflib.unified_diff(page.clean(part.baseline), page.clean(part.candidate), lineterm="", n=2)
    texts, used = list(diff)[2:], 0
    for index, text in enumerate(texts):
        if used >= _MOST_LINES:
            yield page.line(f"  | and {counted(len(texts) - index, 'more line')}", "dim")
            return
        for line in _marked(text, page):
            used += 1
            yield line


def _marked(text: str, page: Page) -> Iterator[Line]:
    """Give one line of a diff, in several lines where it is long."""
    sign, style = text[:1], _STYLES.get(text[:1], "plain")
    if sign == "@":
        yield page.line(f"  | {text}", style)
        return
    for index, piece in enumerate(wrap(text[1:], page.width - 8, _MOST_LINES)):
        # What continues a line stands further in than what begins one.
        yield page.line(f"  | {sign} {'  ' if index else ''}{piece}", style)


def _role(message: Mapping[str, JsonValue]) -> str:
    return str(message.get("role", "no role"))


def _message(message: Mapping[str, JsonValue] | None) -> str:
    """Return a message's text; where it holds more than role and text, all of it as JSON."""
    if message is None:
        return ""
    content = message.get("content")
    return content if isinstance(content, str) and set(message) <= {"role", "content"} else _json(message)


def _fields(fields: Mapping[str, JsonValue]) -> str:
    return "\n".join(
        f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in sorted(fields.items())
    )


def _json(value: Mapping[str, JsonValue] | Sequence[JsonValue] | None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) if value else ""
