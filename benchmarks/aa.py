"""Measure how often an unchanged prompt is called regressed: the A/A check, on a real model.

The embedded model answers each case of a golden set several times at temperature 0.7. Then suites are drawn
again and again: for each case of a suite chance decides which of its answers is the baseline's and which the
candidate's, so nothing changed but the dice. A rule that holds its 5 % calls at most 5 % of them regressed.

    python -m benchmarks.aa [--suites 1000] [--cases 50] [--answers 4] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_llmops.golden.case import Case
from pytest_llmops.project import Project
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.compare import Match, Rules, compare
from pytest_llmops.runs.measure import measure
from pytest_llmops.runs.record import CaseResult, Header, Run
from pytest_llmops.scorers.score import Metric
from pytest_llmops.scorers.text import text_scorer
from pytest_llmops.settings import Settings
from pytest_llmops.stats.verdict import Verdict

ROOT = Path(__file__).parent.parent
TEMPERATURE = 0.7
ALPHA = 0.05


def main() -> int:
    """Print the shares of verdicts and return 0 when false alarms keep within their 5 %."""
    options = _options()
    project = Project(ROOT, Settings(), session=f"aa-{options.seed}")
    near = ROOT / "examples" / "qa" / "test_qa.py"
    prompt = project.prompt("qa", near)
    warm = replace(prompt, parameters={**prompt.parameters, "temperature": TEMPERATURE})
    cases = list(project.golden_set("qa.jsonl", near))
    print(f"{len(cases)} cases, {options.answers} answers each at temperature {TEMPERATURE} …", flush=True)
    answers, metric = asyncio.run(_ask(project, warm, cases, options.answers))
    _describe(answers)
    verdicts = _suites(answers, metric, warm, options)
    return _report(verdicts, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--suites", type=int, default=1000)
    parser.add_argument("--cases", type=int, default=50)
    parser.add_argument("--answers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


async def _ask(
    project: Project, prompt: Prompt, cases: Sequence[Case], answers: int
) -> tuple[list[list[CaseResult]], Metric]:
    scorer = text_scorer("icontains")

    async def answered(case: Case, repeat: int) -> CaseResult:
        request = prompt.render(case.inputs, model=project.model_of(prompt, None), repeat=repeat)
        measured = await measure(case, request, [scorer], project.client)
        return CaseResult(
            test_key="aa",
            case_id=case.id,
            row_digest=case.digest,
            inputs=case.inputs,
            requests=(project.client.digest(request),),
            output=measured.response.text if measured.response else None,
            status="measured" if measured.response else "bad_answer",
            scores=measured.scores,
        )

    try:
        rows = [
            await asyncio.gather(*(answered(case, repeat) for repeat in range(1, answers + 1)))
            for case in cases
        ]
    finally:
        await project.client.aclose()
    return [list(row) for row in rows], scorer.metric


def _describe(answers: Sequence[Sequence[CaseResult]]) -> None:
    passes = [
        [result.scores[name].value or 0.0 for result in row for name in result.scores] for row in answers
    ]
    mixed = sum(len(set(row)) > 1 for row in passes)
    rate = math.fsum(map(math.fsum, passes)) / sum(map(len, passes))
    print(f"pass rate {rate:.1%}; {mixed} of {len(answers)} cases pass sometimes and fail sometimes")


def _suites(
    answers: Sequence[Sequence[CaseResult]], metric: Metric, prompt: Prompt, options: argparse.Namespace
) -> list[Verdict]:
    chance = random.Random(options.seed)
    header = Header(
        test_key="aa",
        prompt_name=prompt.name,
        prompt_digest=prompt.digest,
        model=str(prompt.model),
        golden_name="qa.jsonl",
        golden_digest="",
        metrics={metric.name: metric},
    )
    verdicts = []
    for _ in range(options.suites):
        drawn = [chance.sample(row, 2) for row in chance.sample(list(answers), options.cases)]
        match = Match(
            baseline=Run(header=header, results=tuple(pair[0] for pair in drawn)),
            candidate=Run(header=header, results=tuple(pair[1] for pair in drawn)),
            baseline_prompt=prompt,
            candidate_prompt=prompt,
        )
        comparison = compare("aa", [match], Rules(margins={}, alpha=ALPHA))
        verdicts.append(comparison.tests[0].metrics[0].verdict)
    return verdicts


def _report(verdicts: Sequence[Verdict], options: argparse.Namespace) -> int:
    for verdict in Verdict:
        if verdict in verdicts:
            print(f"{verdict:>16}: {verdicts.count(verdict) / len(verdicts):6.1%}")
    share = verdicts.count(Verdict.REGRESSED) / len(verdicts)
    limit = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / len(verdicts))
    kept = share <= limit
    print(
        f"regressed in {share:.1%} of {len(verdicts)} suites of {options.cases} unchanged cases (seed "
        f"{options.seed}); the limit is {limit:.1%}: {'kept' if kept else 'BROKEN'}"
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
