"""Build neutral comparisons for the reports to show."""

from __future__ import annotations

import pytest
from reports_built import NEED_411

from pytest_llmops.calls.tally import Tally
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.runs.comparison import CaseChange, Comparison, MetricComparison, Pairing, TestComparison
from pytest_llmops.runs.record import Header
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.verdict import Verdict

LATENCY = Metric(
    name="latency", version="1", kind="ratio", range=None, higher_is_better=False, volatile=True, unit="s"
)

OLD_PROMPT = Prompt(
    name="triage",
    messages=(
        {"role": "system", "content": "You sort messages of customers.\nAnswer as JSON with the key team."},
        {"role": "user", "content": "{{ message }}"},
    ),
    model="openai:small",
    parameters={"temperature": 0, "max_tokens": 60},
)

NEW_PROMPT = Prompt(
    name="triage",
    messages=(
        {
            "role": "system",
            "content": "You are a helpful assistant who sorts messages of customers into one of the teams "
            "billing, shipping and returns, and who never guesses.\nAnswer as JSON with the key team.",
        },
        {"role": "user", "content": "{{ message }}"},
    ),
    model="openai:small",
    parameters={"temperature": 0.7, "max_tokens": 60},
)


def header(test_key, prompt, *metrics, model="openai:small", prompt_name=None):
    return Header(
        test_key=test_key,
        prompt_name=prompt_name or prompt.name,
        prompt_digest=prompt.digest,
        model=model,
        golden_name="triage.jsonl",
        golden_digest="0" * 64,
        metrics={metric.name: metric for metric in metrics},
    )


def fallen(number, *, baseline='{"team": "shipping"}', candidate='{"team": "billing"}', reason=""):
    return CaseChange(
        case_id=f"ticket-{number:03}",
        inputs={"message": f"My parcel {number} was sent three weeks ago and has not come. Where is it now?"},
        expected={"team": "shipping"},
        baseline_score=1.0,
        candidate_score=0.0,
        baseline_output=baseline,
        candidate_output=candidate,
        reason=reason,
    )


@pytest.fixture
def triage():
    passed = MetricComparison(
        metric=Metric(name="passed", version="a"),
        gated=True,
        verdict=Verdict.REGRESSED,
        cases=120,
        units=120,
        baseline=0.975,
        candidate=0.883,
        change=-0.0917,
        low=-0.1483,
        high=-0.0411,
        p=0.0007,
        p_family=0.0028,
        margin=0.05,
        smallest_seen=0.0701,
        worse=tuple(fallen(number, reason="assert 'billing' == 'shipping'") for number in (41, 58, 77))
        + tuple(fallen(number) for number in range(80, 90)),
    )
    step = MetricComparison(
        metric=Metric(
            name="next_step", version="b", kind="score", range=(1.0, 5.0), threshold=3.0, free=False
        ),
        gated=True,
        verdict=Verdict.NO_REGRESSION,
        cases=120,
        units=120,
        baseline=4.213,
        candidate=4.195,
        change=-0.018,
        low=-0.121,
        high=0.085,
        p=0.39,
        p_family=0.39,
        margin=0.2,
        smallest_seen=0.153,
    )
    latency = MetricComparison(
        metric=LATENCY,
        verdict=Verdict.INCONCLUSIVE,
        cases=120,
        units=120,
        baseline=0.8231,
        candidate=0.9046,
        change=0.099,
        low=0.021,
        high=0.183,
        p=0.02,
        margin=0.1,
        smallest_seen=0.12,
    )
    key = "evals/test_triage.py::test_triage"
    metrics = [compared.metric for compared in (passed, step, latency)]
    return TestComparison(
        test_key=key,
        baseline=header(key, OLD_PROMPT, *metrics),
        candidate=header(key, NEW_PROMPT, *metrics),
        baseline_prompt=OLD_PROMPT,
        candidate_prompt=NEW_PROMPT,
        causes=("prompt", "parameters", "golden rows"),
        pairing=Pairing(
            paired=tuple(f"ticket-{number:03}" for number in range(120)),
            changed=("ticket-121", "ticket-122"),
            new=("ticket-200",),
            missing={"ticket-130": "not in this run", "ticket-131": "429 after 5 attempts"},
        ),
        metrics=(passed, step, latency),
        unmeasured=1,
    )


@pytest.fixture
def summary():
    exact = MetricComparison(
        metric=Metric(name="exact", version="c"),
        gated=True,
        verdict=Verdict.INCONCLUSIVE,
        cases=94,
        units=94,
        baseline=0.85,
        candidate=0.819,
        change=-0.031,
        low=-0.102,
        high=0.038,
        p=0.24,
        p_family=0.48,
        margin=0.05,
        smallest_seen=0.104,
        need=NEED_411,
    )
    schema = MetricComparison(
        metric=Metric(name="schema", version="d"),
        gated=True,
        verdict=Verdict.UNCHANGED,
        cases=94,
        units=94,
        baseline=1.0,
        candidate=1.0,
        change=0.0,
        margin=0.05,
    )
    tone = MetricComparison(
        metric=Metric(name="tone", version="e", free=False),
        gated=True,
        verdict=Verdict.NOT_COMPARABLE,
        margin=0.05,
        reason="it measures differently now; --llmops-rescore scores the stored outputs again",
    )
    key = "evals/test_summary.py::TestSummary::test_short[de]"
    metrics = [compared.metric for compared in (exact, schema, tone)]
    return TestComparison(
        test_key=key,
        baseline=header(key, OLD_PROMPT, *metrics, model="openai:small"),
        candidate=header(key, OLD_PROMPT, *metrics, model="openai:large"),
        baseline_prompt=OLD_PROMPT,
        candidate_prompt=OLD_PROMPT,
        causes=("model", "judge or metric"),
        pairing=Pairing(paired=tuple(f"text-{number}" for number in range(94))),
        metrics=(exact, schema, tone),
    )


@pytest.fixture
def comparison(triage, summary):
    return Comparison(baseline_name="production", alpha=0.05, family=3, tests=(triage, summary))


@pytest.fixture
def tally():
    return Tally(
        calls=26, failed=1, saved=188, input_tokens=12_345, output_tokens=2_104, cost=0.0312, seconds=21.4
    )
