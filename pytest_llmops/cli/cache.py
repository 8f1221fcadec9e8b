"""Offer `llmops cache …`: look after the answers that are kept for this project."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from pytest_llmops.calls.answers_file import find_file
from pytest_llmops.calls.prices import Prices
from pytest_llmops.calls.prune import Rule, prune
from pytest_llmops.calls.survey import survey, verify
from pytest_llmops.calls.transfer import export_answers, import_answers
from pytest_llmops.cli.cache_table import size_text, survey_lines
from pytest_llmops.cli.here import project_here
from pytest_llmops.errors import MisuseError
from pytest_llmops.project import Project
from pytest_llmops.reports.escape import printable
from pytest_llmops.reports.figures import counted

DESCRIPTION = "Look after the answers of models that this project keeps, so that none is paid twice."

HOURS = {"h": 1, "d": 24, "w": 168}

BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def add_cache(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands for the cache."""
    cache = commands.add_parser("cache", help="look after the kept answers", description=DESCRIPTION)
    parts = cache.add_subparsers(title="commands", required=True, metavar="COMMAND")
    stats = _added(parts, "stats", "say what is kept, by model, and what it would cost again")
    stats.set_defaults(run=_stats)
    _add_prune(parts)
    exported = _added(parts, "export", "write all answers to a file, for CI or a colleague")
    exported.add_argument("file", type=Path, metavar="FILE", help="a .jsonl or .jsonl.gz file")
    exported.set_defaults(run=_export)
    imported = _added(parts, "import", "add the answers of such a file, all or, if it is damaged, none")
    imported.add_argument("file", type=Path, metavar="FILE", help="what `llmops cache export` wrote")
    imported.set_defaults(run=_import)
    check = _added(parts, "verify", "check every answer; exit code 1 if one is damaged")
    check.add_argument("--repair", action="store_true", help="remove the damaged answers")
    check.set_defaults(run=_verify)


def _add_prune(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    pruned = _added(
        parts, "prune", "remove answers: name at least one of --older-than, --max-size, --model, --all"
    )
    pruned.add_argument(
        "--older-than", type=_hours, metavar="AGE", help="those older than this: 12h, 30d, 8w"
    )
    pruned.add_argument(
        "--max-size",
        type=_bytes,
        metavar="SIZE",
        help="the oldest, until the file takes at most this: 800KB, 500MB, 2GB",
    )
    pruned.add_argument("--model", metavar="NAME", help="only answers of this model")
    pruned.add_argument("--all", action="store_true", help="every answer")
    pruned.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    pruned.set_defaults(run=_prune)


def _added(
    parts: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str
) -> argparse.ArgumentParser:
    return parts.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")


def _stats(_: argparse.Namespace) -> None:
    project = project_here()
    file = _file(project)
    if file is not None:
        print(*survey_lines(_shown(project, file), survey(file), Prices(project.settings.prices)), sep="\n")


def _prune(arguments: argparse.Namespace) -> None:
    limits = (arguments.older_than, arguments.max_size, arguments.model)
    if arguments.all == any(limit is not None for limit in limits):
        raise MisuseError(
            "Say which answers to remove: --all alone, or some of --older-than, --max-size and --model."
        )
    file = _file(project_here())
    if file is None:
        return
    hours = arguments.older_than
    rule = Rule(
        model=arguments.model,
        before=None if hours is None else time.time() - 3600 * hours,
        max_size=arguments.max_size,
    )
    done = prune(file, rule, dry_run=arguments.dry_run)
    answers = counted(done.removed, "answer")
    if arguments.dry_run:
        print(f"{answers} would be removed.")
    else:
        print(f"{answers} removed, {size_text(done.freed)} freed.")
    if done.kept:
        print(f"{counted(done.kept, 'answer')} kept: a session that uses the cache just now asked for them.")
    if done.in_use and done.removed and not arguments.dry_run:
        print("The file is in use, so it keeps its size; new answers fill the room.")


def _export(arguments: argparse.Namespace) -> None:
    project = project_here()
    file = find_file(project.calls_file)
    if file is None:
        raise MisuseError(f"No answers are kept in {_shown(project, project.calls_file)}: nothing to export.")
    done = export_answers(file, arguments.file)
    print(f"{counted(done.answers, 'answer')} exported to {arguments.file}")
    if done.damaged:
        left_out = f"{counted(done.damaged, 'damaged answer')} left out"
        print(f"llmops: {left_out}: `llmops cache verify` names them.", file=sys.stderr)


def _import(arguments: argparse.Namespace) -> None:
    done = import_answers(project_here().calls_file, arguments.file)
    print(f"{counted(done.new, 'answer')} added, {done.known:,} already there")


def _verify(arguments: argparse.Namespace) -> int:
    project = project_here()
    file = _file(project)
    if file is None:
        return 0
    found = verify(file, repair=arguments.repair)
    for fault in found.faults:
        print(f"SQLite: {printable(fault)}")
    for key in found.damaged:
        print(f"{'removed' if arguments.repair else 'damaged'}: {printable(key)}")
    print(f"{_shown(project, file)}: {counted(found.sound, 'sound answer')}, {len(found.damaged):,} damaged")
    if found.faults:
        print(
            "The file itself is damaged: save what is sound with `llmops cache export`, delete it, and bring "
            "the answers back with `llmops cache import`."
        )
    elif found.damaged and not arguments.repair:
        print("`llmops cache verify --repair` removes what is damaged; a run asks for it again.")
    mended = arguments.repair or not found.damaged
    return int(bool(found.faults) or not mended)


def _file(project: Project) -> Path | None:
    """Return the file of the answers; say that there is none where there is none."""
    file = find_file(project.calls_file)
    if file is None:
        print(f"No answers are kept in {_shown(project, project.calls_file)}: the first run makes the file.")
    return file


def _shown(project: Project, path: Path) -> str:
    return str(path.relative_to(project.root))


def _hours(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([hdw])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age: write 12h, 30d or 8w")
    return float(match[1]) * HOURS[match[2]]


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)B?", text.upper())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: write 800KB, 500MB or 2GB")
    return int(float(match[1]) * BYTES[match[2]])
