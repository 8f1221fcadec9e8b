r"""Match the patterns of schemas in time that grows with the text alone, and say which patterns cannot be.

A pattern such as `^(a+)+$` takes Python's `re` longer than anyone waits for a text of 40 letters. RE2 is
linear for all that it knows. It knows neither look-around nor back-references, which no linear method can do.

Its `$` is the end of the text, its `\d` and `\w` are ASCII: so are those of JSON Schema (ECMA-262), while
`re` takes a line feed before the end, digits and letters of all scripts.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pytest_llmops.errors import MisuseError

if TYPE_CHECKING:
    from re2 import _Regexp

_TOKEN = re.compile(r"\\(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|c([a-zA-Z])|(/)|.)|\[|\]", re.DOTALL)
"""An escape sequence, or an end of a class; the groups are what ECMA-262 has and RE2 writes otherwise."""

_SPACE: Final = r"\t\n\v\f\r\x{2028}\x{2029}\x{feff}\p{Zs}"
r"""What `\s` is, in a class."""

_LONE = re.compile("[\ud800-\udfff]")
"""A surrogate without its other half, which UTF-8 cannot hold."""

_BACKTRACKS: Final = (
    (re.compile(r"\(\?<?[=!]"), "look-around; say it with another keyword, such as `not` or `allOf`"),
    (re.compile(r"\\(?:[1-9]|k<)"), "a back-reference"),
)
"""What only backtracking can match, with its name."""

_PLAIN = re.compile(
    r"\^?(?:[\w\s\-:/@#,;=~!'\"&%<>]|\\[-.$/+*?()\[\]{}|^\\]|\[(?:[\w\s\-:/@.]|\\[-.])+\])*(?:(?<!\^)[+*])?"
)
"""Patterns that `re` matches quickly, too, and with the same meaning: at most one repetition, at the end."""


def found(pattern: str, text: str) -> bool:
    """Tell whether `pattern` matches somewhere in `text`.

    Raises:
        MisuseError: it is no pattern that can be matched in linear time; the message says why.
    """
    return _compiled(pattern).search(_whole(text)) is not None


def refusal(pattern: str) -> str:
    """Return why `pattern` cannot be matched; "" where it can."""
    try:
        _compiled(pattern)
    except MisuseError as error:
        return str(error)
    return ""


def is_plain(pattern: str) -> bool:
    """Tell whether `re` may match `pattern`, too: it can neither take long nor mean anything else."""
    return _PLAIN.fullmatch(pattern) is not None


@cache
def _compiled(pattern: str) -> _Regexp:
    import re2

    options: Any = re2.Options()
    options.log_errors = False  # on standard error
    try:
        return re2.compile(_in_re2(_whole(pattern)), options)
    except re2.error as error:
        raise MisuseError(f"{pattern!r} {_why(pattern, error)}") from None


def _why(pattern: str, error: Exception) -> str:
    for needs, name in _BACKTRACKS:
        if needs.search(pattern):
            return f"uses {name}: matching it can take for ever"
    told = error.args[0] if error.args else ""
    return f"is no pattern: {told.decode(errors='replace') if isinstance(told, bytes) else told}"


def _in_re2(pattern: str) -> str:
    pieces, end, inside = [], 0, False
    for token in _TOKEN.finditer(pattern):
        pieces.append(pattern[end : token.start()])
        end = token.end()
        if token.group() in "[]":
            inside = token.group() == "["
        pieces.append(_space(token.group(), inside=inside) or _escape(token))
    return "".join([*pieces, pattern[end:]])


def _space(piece: str, *, inside: bool) -> str:
    if piece == r"\s":
        return _SPACE if inside else f"[{_SPACE}]"
    # In a class there is no way to say it; there it is mostly [\s\S], which is everything as it stands.
    return f"[^{_SPACE}]" if piece == r"\S" and not inside else ""


def _escape(escape: re.Match[str]) -> str:
    short, long, control, slash = escape.groups()
    if short or long:
        return f"\\x{{{short or long}}}"
    if control:
        return f"\\x{{{ord(control) % 32:x}}}"
    return "/" if slash else escape.group()


def _whole(text: str) -> str:
    return _LONE.sub("\ufffd", text)
