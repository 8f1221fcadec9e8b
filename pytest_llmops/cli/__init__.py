"""Offer the command `llmops`: what needs no test session."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pytest_llmops.cli.cache import add_cache
from pytest_llmops.cli.judge import add_judge
from pytest_llmops.cli.prompts import add_prompts
from pytest_llmops.errors import MisuseError

MIB = 1 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a check failed, 2 the user can mend something."""
    arguments = _parser().parse_args(argv)
    try:
        code: int | None = arguments.run(arguments)
    except MisuseError as error:
        print(f"llmops: {error}", file=sys.stderr)
        return 2
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llmops", description="Prompt versions, judges, the cache of answers and the embedded model."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    pull = commands.add_parser(
        "pull", help="fetch the embedded model", description="Fetch the weights of the embedded model."
    )
    pull.set_defaults(run=_pull)
    add_prompts(commands)
    add_judge(commands)
    add_cache(commands)
    return parser


def _pull(_: argparse.Namespace) -> None:
    from pytest_llmops.providers.weights import pull

    shown = sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        if shown:
            filled = 30 * done // max(total, 1)
            bar = "#" * filled + "-" * (30 - filled)
            print(f"\r[{bar}] {done // MIB} of {total // MIB} MiB", end="", file=sys.stderr, flush=True)

    path = pull(progress)
    if shown:
        print(file=sys.stderr)
    print(f"The embedded model is ready: {path}")
