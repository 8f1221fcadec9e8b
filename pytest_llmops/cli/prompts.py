"""Offer `llmops prompts …` and `llmops resolve`: versions of prompts, and the names that point at them."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_llmops.cli.here import project_here
from pytest_llmops.errors import MisuseError
from pytest_llmops.store.canonical import SHORT


def add_prompts(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands for prompts."""
    prompts = commands.add_parser(
        "prompts", help="register prompt versions and name them", description="Keep prompt versions."
    )
    _add_prompt_commands(prompts.add_subparsers(title="commands", required=True, metavar="COMMAND"))
    resolve = commands.add_parser("resolve", help="settle a name that two branches moved")
    resolve.add_argument("ref", help="the ref that the message named, such as aliases/triage/production")
    resolve.add_argument("digest", help="the first digits of the digest that is right")
    resolve.add_argument("--why", default="", help="the reason, kept in the log")
    resolve.set_defaults(run=_resolve)


def _add_prompt_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    register = commands.add_parser("register", help="store the working file of a prompt as a version")
    register.add_argument("prompt", help="the prompt's name, or the path of its file")
    register.set_defaults(run=_register)
    alias = commands.add_parser("alias", help="let an alias point at a version")
    alias.add_argument("name", help="the prompt's name")
    alias.add_argument("alias", help="the alias, such as production")
    alias.add_argument("version", help="the first digits of the version's digest, at least 6")
    alias.add_argument("--why", default="", help="the reason, kept in the log of the alias")
    alias.set_defaults(run=_alias)
    show = commands.add_parser("show", help="print a version: name@alias or name:digest")
    show.add_argument("spec", help="name@alias or name:digest")
    show.set_defaults(run=_show)
    listing = commands.add_parser("list", help="list versions and aliases of a prompt")
    listing.add_argument("name", help="the prompt's name")
    listing.set_defaults(run=_list)


def _register(arguments: argparse.Namespace) -> None:
    project = project_here()
    # Any file name does: the look-up begins in the folder that it stands in.
    prompt = project.prompt_file(arguments.prompt, Path.cwd() / "here")
    known = prompt.digest in project.registry.versions(prompt.name)
    project.registry.register(prompt)
    print(f"{prompt.name}:{prompt.version} {'was registered already' if known else 'registered'}")


def _alias(arguments: argparse.Namespace) -> None:
    registry = project_here().registry
    prompt = registry.get(arguments.name, arguments.version)
    registry.alias(arguments.name, arguments.alias, prompt.digest, why=arguments.why)
    print(f"{arguments.name}@{arguments.alias} is {prompt.name}:{prompt.version}")


def _resolve(arguments: argparse.Namespace) -> None:
    refs = project_here().refs
    found = {tip.to for tip in refs.tips(arguments.ref) if tip.to.startswith(arguments.digest)}
    if len(found) != 1:
        raise MisuseError(f"{arguments.digest!r} is not the digest of one of the moves of {arguments.ref}.")
    move = refs.settle(arguments.ref, found.pop(), why=arguments.why)
    print(f"{arguments.ref} settled: {move}")


def _show(arguments: argparse.Namespace) -> None:
    import yaml

    prompt = project_here().registry.resolve(arguments.spec)
    print(f"# {prompt.name}:{prompt.version}")
    print(yaml.safe_dump(prompt.to_json(), allow_unicode=True, sort_keys=False), end="")


def _list(arguments: argparse.Namespace) -> None:
    registry = project_here().registry
    names: dict[str, list[str]] = {}
    for alias, digest in registry.aliases(arguments.name).items():
        names.setdefault(digest, []).append(alias)
    for digest in registry.versions(arguments.name):
        print(f"{arguments.name}:{digest[:SHORT]}", *sorted(names.get(digest, [])))
