"""Offer `llmops judge …`: hold judges against the labels of people."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_llmops.calls.exchange import full_name
from pytest_llmops.cli.here import project_here
from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.golden.labels import Labels, read_labels
from pytest_llmops.project import Project
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.reports.calibration import calibration_lines
from pytest_llmops.reports.headline import tally_lines
from pytest_llmops.reports.page import Page
from pytest_llmops.runs.calibrate import Asked, calibrate
from pytest_llmops.runs.calibration import Calibration
from pytest_llmops.scorers.judges import Described
from pytest_llmops.settings import known_secrets

DESCRIPTION = "Find out whether a judge agrees with people, and keep the answer under the judge's version."

WIDTH = 80


def add_judge(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands for judges."""
    judge = commands.add_parser("judge", help="hold judges against labels of people", description=DESCRIPTION)
    parts = judge.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_calibrate(parts)
    listing = parts.add_parser("list", help="list the judges that are calibrated")
    listing.set_defaults(run=_list)
    show = parts.add_parser("show", help="print what is known of a judge")
    show.add_argument("version", help="the judge's version, or its first digits")
    show.set_defaults(run=_show)


def _add_calibrate(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    added = parts.add_parser(
        "calibrate",
        help="ask a judge about labelled answers, twice; exit code 1 if it is near chance",
        description="Name the judge as the marker llm_judge does: the same arguments make the same version.",
    )
    added.add_argument("file", nargs="?", metavar="FILE", help="the judge's prompt: judge= of the marker")
    added.add_argument(
        "--labels",
        required=True,
        type=Path,
        metavar="FILE",
        help='a .jsonl file: {"inputs": …, "output": …, "label": "pass"} a line',
    )
    added.add_argument("--criteria", default="", metavar="TEXT", help="the rubric")
    added.add_argument(
        "--scale", type=_scale, default="pass_fail", help="pass_fail (the default), 1-5, 0-1 or 0.0-10.0"
    )
    added.add_argument(
        "--model", action="append", metavar="PROVIDER:MODEL", help="who judges; several are a jury"
    )
    added.add_argument("--repeats", type=int, default=1, metavar="N", help="how often each model is asked")
    added.add_argument("--vote", help="majority or mean")
    added.add_argument(
        "--logprobs", action=argparse.BooleanOptionalAction, help="score by probability, or do not"
    )
    added.add_argument("--pairwise", action="store_true", help="the judge prefers one of two answers")
    added.add_argument(
        "--likelihood", action="store_true", help="score by how likely the context makes the answer"
    )
    added.add_argument(
        "--labels-of",
        type=lambda text: text.split(","),
        metavar="A,B",
        help="score by the likeliest of these words, which end the statement of --criteria",
    )
    added.add_argument("--context", default="context", metavar="INPUT", help="the input with the context")
    added.add_argument("--question", default="question", metavar="INPUT", help="the input with the question")
    added.set_defaults(run=_calibrate)


def _calibrate(arguments: argparse.Namespace) -> int:
    project = project_here(session=os.urandom(8).hex())
    labels = read_labels(arguments.labels)
    described = _described(arguments, project)
    page = Page(width=WIDTH, secrets=known_secrets(os.environ).values())
    try:
        asked = asyncio.run(_ask(described, labels, project))
        stored = project.calibrations.save(asked.calibration)
        for line in calibration_lines(asked.calibration, asked.reasons, page):
            print(line.text)
        for line in tally_lines(project.spent(), page):
            print(line.text)
    finally:
        project.close()
    print(f"stored: {stored.relative_to(project.root)}")
    return _code(asked.calibration)


def _described(arguments: argparse.Namespace, project: Project) -> Described:
    """Return the judge that the command line describes."""
    if not (arguments.file or arguments.criteria or arguments.likelihood):
        raise MisuseError("Say which judge: the FILE of its prompt, its --criteria, or --likelihood.")
    prompt = project.judge(arguments.file, Path.cwd() / "here") if arguments.file else None
    models = arguments.model or [_usual_model(project, prompt)]
    return Described(
        criteria=arguments.criteria,
        prompt=prompt,
        file=arguments.file or "",
        models=[full_name(model) for model in models],
        scale=arguments.scale,
        repeats=arguments.repeats,
        vote=arguments.vote,
        logprobs=arguments.logprobs,
        pairwise=arguments.pairwise,
        likelihood=arguments.likelihood,
        labels=arguments.labels_of,
        context=arguments.context,
        question=arguments.question,
    )


def _usual_model(project: Project, prompt: Prompt | None) -> str:
    settings = project.settings
    found = (prompt.model if prompt else None) or settings.judge_model or settings.default_model
    if found:
        return found
    raise MisuseError(
        "Nobody is named who judges: add --model=PROVIDER:MODEL, a model in the judge's file, or judge_model "
        "in the settings."
    )


async def _ask(described: Described, labels: Labels, project: Project) -> Asked:
    judge = described.judge("judge")
    try:
        return await calibrate(
            judge,
            labels,
            project.client,
            judged_by=described.judged_by,
            model=", ".join(described.models),
            max_error_share=project.settings.max_error_share,
        )
    finally:
        await project.client.aclose()


def _list(_: argparse.Namespace) -> None:
    project = project_here()
    found = list(_all(project))
    for known in found:
        print(
            f"{known.version}  {known.finding}, {known.answers:,} labels: {known.model}, {known.judge}"[
                :WIDTH
            ]
        )
    if not found:
        print("No judge is calibrated: `llmops judge calibrate` does it.")


def _show(arguments: argparse.Namespace) -> int:
    known = {each.version: each for each in _all(project_here())}
    found = [version for version in known if version.startswith(arguments.version)]
    if len(found) != 1:
        what = "Several calibrated judges begin" if found else "No calibrated judge begins"
        raise MisuseError(f"{what} with {arguments.version!r}. {closest(arguments.version, known)}")
    page = Page(width=WIDTH, secrets=known_secrets(os.environ).values())
    for line in calibration_lines(known[found[0]], {}, page):
        print(line.text)
    return _code(known[found[0]])


def _all(project: Project) -> Iterator[Calibration]:
    for version in project.calibrations.versions():
        found = project.calibrations.find(version)
        if found is not None:
            yield found


def _code(calibration: Calibration) -> int:
    return int(calibration.finding != "agrees")


def _scale(text: str) -> str | Sequence[float]:
    ends = re.fullmatch(r"(-?[0-9.]+)-(-?[0-9.]+)", text)
    # With a point they are numbers, and every fraction between them is a mark.
    return [float(end) for end in ends.groups()] if ends and "." in text else text
