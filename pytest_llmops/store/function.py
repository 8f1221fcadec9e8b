"""Read functions so that two of them can be told apart: comments and layout make no difference."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import CodeType
from typing import Any

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import JsonValue, canonical, digest


def function_tree(function: object) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the definition of a function as it is written; None where its source is not at hand."""
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))  # type: ignore[arg-type]
        tree = ast.parse(source).body[0]
    except (OSError, TypeError, ValueError, SyntaxError, IndexError):
        return None
    return tree if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef) else None


def statements_of(tree: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """Return the statements of a function that do something: no docstring, no `pass`, no `...`."""
    return [node for node in tree.body if not _idle(node)]


def normalised(statements: Sequence[ast.stmt]) -> str:
    """Return the statements in the one layout that equal ones share."""
    return "\n".join(ast.unparse(statement) for statement in statements)


def function_digest(function: Callable[..., Any]) -> str:
    """Return the digest of what a function does: its parameters and statements, and the plain values it uses.

    These are values of JSON, sets and patterns, in the function's module, in the functions around it, and in
    the object where it is one that can be called. Other functions that it calls are not looked at.
    """
    return digest(_content(inspect.unwrap(function)))


def class_digest(kind: type) -> str:
    """Return the digest of a class as it is written; of its name where its source is not at hand."""
    try:
        written = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(kind))))
    except (OSError, TypeError, SyntaxError):
        written = ""
    return digest([kind.__module__, kind.__qualname__, written])


def plain(value: Any) -> str | None:
    """Return a value of JSON, a set of such, or a pattern as text; None for any other value."""
    try:
        if isinstance(value, set | frozenset):
            return canonical(sorted(canonical(each) for each in value))
        return canonical([value.pattern, value.flags] if isinstance(value, re.Pattern) else value)
    except (MisuseError, RecursionError):
        return None


def _content(function: Any) -> JsonValue:
    if isinstance(function, partial):
        given = [plain(each) for each in [*function.args, *sorted(function.keywords.items())]]
        return [_content(inspect.unwrap(function.func)), given]
    code: CodeType | None = getattr(function, "__code__", None)
    if code is None:
        called = getattr(type(function).__call__, "__code__", None)
        owned = _plain_ones(getattr(function, "__dict__", {}))
        return [_content(type(function).__call__), owned] if called else repr(function)
    tree = function_tree(function)
    # A lambda, or made without a source file, is told by its bytecode: another Python makes another version.
    done = [ast.unparse(tree.args), normalised(statements_of(tree))] if tree else _bytecode(code)
    return [done, _used(function)]


def _idle(node: ast.stmt) -> bool:
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant or isinstance(node, ast.Pass)


def _bytecode(code: CodeType) -> JsonValue:
    constants = [_bytecode(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), list(code.co_varnames), constants]


def _used(function: Callable[..., Any]) -> JsonValue:
    try:
        found = inspect.getclosurevars(function)
    except ValueError:
        # A name around the function has no value yet.
        return None
    return _plain_ones({**found.globals, **found.nonlocals})


def _plain_ones(values: Mapping[str, Any]) -> dict[str, JsonValue]:
    texts = {name: plain(value) for name, value in values.items() if not name.startswith("__")}
    return {name: text for name, text in texts.items() if text is not None}
