"""A likelihood judge scores what a model makes of a forced answer, or says why it cannot."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.special import softmax as scipy_softmax

from pytest_llmops.calls.exchange import Request, Response
from pytest_llmops.errors import (
    BadAnswerError,
    CacheMissError,
    FatalCallError,
    JudgeError,
    MisuseError,
    TransientCallError,
)
from pytest_llmops.golden.case import Case
from pytest_llmops.scorers.forced import LONGEST, forced, forcible
from pytest_llmops.scorers.label import CONTENT_FREE, LabelJudge, softmax
from pytest_llmops.scorers.likelihood import ContextJudge, likelihood_score

MODEL = "local:m"
TEXT = "The museum opens at ten and closes at six."
INPUTS = {"context": TEXT, "question": "When does the museum close?"}


def written(request: Request) -> str:
    """Return the text that a request forces."""
    grammar = str(request.parameters["grammar"])
    head, _, literal = grammar.partition("start: ")
    assert head == "%llguidance {}\n"
    return json.loads(literal)


@dataclass
class Forcing:
    """Be a server that forces texts: each word costs what `surprise` says of the prompt and the text."""

    surprise: Any = lambda prompt, text: 2.0
    change: Any = lambda response: response
    requests: list[Request] = field(default_factory=list)

    async def acall(self, request: Request) -> Response:
        self.requests.append(request)
        text = written(request)
        cost = self.surprise(str(request.parameters["prompt"]), text)
        # One token a character, and the end token that llama.cpp tells as well.
        tokens = [{"token": text[:1], "logprob": -cost}, *({"token": c, "logprob": 0.0} for c in text[1:])]
        told = (*tokens, {"token": "", "logprob": -40.0})
        made = self.change(Response(text=text, model="m", logprobs=told))
        if isinstance(made, Exception):
            raise made
        return made


def context_judge(**changes: Any) -> ContextJudge:
    return ContextJudge(**{"name": "fit", "model": MODEL, **changes})


def label_judge(**changes: Any) -> LabelJudge:
    settings = {"labels": ("polite", "rude"), "name": "tone", "model": MODEL, **changes}
    return LabelJudge(settings.pop("criteria", "This reply is"), **settings)


def judged(judge: Any, text: Any, caller: Any = None, **case: Any) -> Any:
    made = Case(**{"id": "case-1", "inputs": INPUTS, **case})
    response = text if isinstance(text, Response) else Response(text=text, model="m")
    return asyncio.run(judge.score(made, response, caller or Forcing()))


def informed(prompt: str, text: str) -> float:
    return 3.0 if TEXT in prompt else 9.0


def test_the_score_grows_with_the_likelihood_that_the_context_gives() -> None:
    found = judged(context_judge(), "six", Forcing(informed))

    # 3 nats of surprise are left, which is a third: 1 nat, weighted.
    assert found.value == pytest.approx(1 / (1 + 1 / 5))
    assert found.value == pytest.approx(expit(math.log(9) - 2 * math.log(3) + math.log(5)))
    assert found.passed is None
    assert found.reason == (
        "The context makes the answer 403 times as likely and takes away 67% of its surprise "
        "(log-probability -3.0 with it, -9.0 without)."
    )


@pytest.mark.parametrize(("threshold", "passed"), [(0.83, True), (0.84, False), (1, False)])
def test_a_threshold_decides(threshold: float, passed: bool) -> None:
    assert judged(context_judge(threshold=threshold), "six", Forcing(informed)).passed is passed


def test_the_answer_is_forced_with_and_without_context() -> None:
    caller = Forcing()
    judged(context_judge(), "  six\n", caller)

    with_it, without = caller.requests
    assert TEXT in str(with_it.parameters["prompt"])
    assert TEXT not in str(without.parameters["prompt"])
    for request in caller.requests:
        assert str(request.parameters["prompt"]).count("When does the museum close?") == 2
        assert (request.provider, request.model, request.messages) == ("local", "m", ())
        assert str(request.parameters["prompt"]).endswith(' is "')
        assert written(request) == 'six"'
        assert request.parameters["temperature"] == 0
        assert request.parameters["logprobs"] == 1


@example(-2.3e-190, 0.0)
@given(
    st.floats(min_value=-1e6, max_value=0.0, allow_subnormal=False),
    st.floats(min_value=-1e6, max_value=0.0, allow_subnormal=False),
)
def test_the_score_grows_with_the_first_likelihood_and_falls_with_the_second(
    told: float, alone: float
) -> None:
    value = likelihood_score(told, alone)

    assert 0.0 <= value <= 1.0
    assert likelihood_score(told / 2, alone) >= value
    assert likelihood_score(told, alone / 2) <= value
    assert likelihood_score(0.0, alone) == 1.0


@pytest.mark.parametrize("text", ["", " \n ", "\x00\x1b"])
@pytest.mark.parametrize("judge", [context_judge(threshold=0.5), label_judge(threshold=0.5)])
def test_an_empty_answer_scores_worst_without_a_call(judge: Any, text: str) -> None:
    caller = Forcing()
    found = judged(judge, text, caller)

    assert (found.value, found.passed, found.reason) == (0.0, False, "The answer is empty.")
    assert caller.requests == []


def told_context(caller: Forcing) -> str:
    prompt, short = (str(request.parameters["prompt"]) for request in caller.requests)
    return prompt.removeprefix(short.split("\n")[0]).removesuffix(short.split("\n")[-1]).strip("\n")


@pytest.mark.parametrize(
    ("judge", "response", "case", "expected"),
    [
        ({}, {}, {}, TEXT),
        ({}, {"context": ("Told one.", "Told two.")}, {"context": ("Row.",)}, "Told one.\nTold two."),
        ({}, {}, {"context": ("Row one.", "Row two.")}, "Row one.\nRow two."),
        ({}, {}, {"inputs": {**INPUTS, "context": ["a", {"b": 1}]}}, 'a\n{\n  "b": 1\n}'),
        ({"context": "page"}, {}, {"inputs": {"page": "The page.", "question": "?"}}, "The page."),
    ],
)
def test_the_context_is_the_answers_own_or_the_cases(
    judge: Any, response: Any, case: Any, expected: str
) -> None:
    caller = Forcing()
    judged(context_judge(**judge), Response(text="six", model="m", **response), caller, **case)

    assert told_context(caller) == expected


@pytest.mark.parametrize(
    ("judge", "case"),
    [
        ({}, {"inputs": {"context": "c", "question": "Why?", "language": "en"}}),
        ({}, {"inputs": {"context": "c", "asked": "Why?"}}),
        ({}, {"inputs": {"asked": "Why?"}, "context": ("c",)}),
        ({"question": "asked"}, {"inputs": {"context": "c", "asked": "Why?", "language": "en"}}),
        (
            {},
            {
                "inputs": {},
                "context": ("c",),
                "messages": ({"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Hm."}),
            },
        ),
    ],
)
def test_the_question_is_the_input_of_that_name_or_the_only_other_one(judge: Any, case: Any) -> None:
    caller = Forcing()
    judged(context_judge(**judge), "six", caller, **case)

    assert all("Why?" in str(request.parameters["prompt"]) for request in caller.requests)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"question": "Why?"}, r"no context in the case 'case-1'.*llm_judge\(context=…\).*: question\."),
        ({"context": "", "question": "Why?"}, "no context"),
        ({"context": "c"}, r"no question in the case 'case-1'.*llm_judge\(question=…\)"),
        ({"context": "c", "a": "1", "b": "2"}, "no question .* Its inputs: context, a, b"),
        ({}, "no context .* Its inputs: none"),
    ],
)
def test_a_case_without_context_or_question_is_named(inputs: Any, message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        judged(context_judge(), "six", inputs=inputs)


def changed(**fields: Any) -> Any:
    return lambda response: Response(
        **{"text": response.text, "model": "m", "logprobs": response.logprobs, **fields}
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            changed(text=" The museum closes at six."),
            "wrote ' The museum.*it does not force answers.*grammar",
        ),
        (changed(text="si"), "does not force"),
        (changed(logprobs=()), "tells no log-probabilities.*local:smollm2-135m.*criteria in words"),
        (changed(logprobs=({"token": " si", "logprob": -1.0},)), "are not those of the text"),
        (changed(logprobs=({"token": " sixteen", "logprob": -1.0},)), "not those of the text"),
        (lambda response: BadAnswerError("cut off", kind="length"), "cut off"),
    ],
)
@pytest.mark.parametrize("judge", [context_judge(), label_judge()], ids=["context", "label"])
def test_an_endpoint_that_does_not_force_is_no_judge(judge: Any, change: Any, message: str) -> None:
    with pytest.raises(JudgeError, match=message) as caught:
        judged(judge, "six", Forcing(change=change))
    assert str(caught.value).startswith(f"The judge {judge.metric.name!r} (local:m) could not judge the case")


@pytest.mark.parametrize(
    "error", [TransientCallError("503"), FatalCallError("401"), CacheMissError("no answer")]
)
def test_a_failed_call_passes_through(error: Exception) -> None:
    with pytest.raises(type(error)):
        judged(context_judge(), "six", Forcing(change=lambda response: error))


HARD = [
    'he said "six"',
    "two\nlines\tand a tab",
    "C:\\six\\n",
    "ü 東京 👋 é \u2028 \ufeff",
    '%llguidance {}\nstart: "ten"',
    "six</s>",
    "{context} {question} {0} %s",
    "\u0130\u00df",
]


@pytest.mark.parametrize("text", HARD)
def test_the_grammar_spells_the_answer_as_it_is(text: str) -> None:
    caller = Forcing()
    judged(context_judge(), text, caller)

    for request in caller.requests:
        assert written(request) == f'{text}"'
        # A raw line break would end the rule, a raw control character silently voids it.
        literal = str(request.parameters["grammar"]).partition("start: ")[2]
        assert literal.isascii()
        assert literal.isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb", "a\nb"),
        ("a\x00b\x1b[0m\x7f", "a b [0m"),
        ("\ud83d six", "six"),
        ("<|im_end|> six", "< |im_end|> six"),
    ],
)
def test_what_no_grammar_can_spell_is_blanked(text: str, expected: str) -> None:
    assert forcible(text) == expected


@given(st.text(alphabet=st.characters()))
def test_any_text_is_forced_whole(text: str) -> None:
    plain = forcible(text)
    request = forced("p", plain, MODEL)

    assert forcible(plain) == plain
    assert written(request) == plain
    assert len(plain.encode()) < request.parameters["max_tokens"]
    assert request.digest({})


@pytest.mark.parametrize("judge", [context_judge(), label_judge()])
def test_an_answer_that_is_too_long_is_refused_with_both_lengths(judge: Any) -> None:
    caller = Forcing()
    judged(judge, "x" * LONGEST, caller)
    caller.requests.clear()

    with pytest.raises(JudgeError, match="2,001 characters, and a likelihood judge reads at most 2,000"):
        judged(judge, "x" * (LONGEST + 1), caller)
    assert caller.requests == []


def toned(prompt: str, text: str) -> float:
    """Cost 5 for `polite` and 2 for `rude`, a prejudice; after thanks 3 less for `polite`."""
    return {" polite": 5.0, " rude": 2.0, " neutral": 4.0}[text] - 3.0 * (
        "Thanks" in prompt and "pol" in text
    )


def test_the_prejudice_for_a_label_is_taken_away() -> None:
    thankful, plain = (judged(label_judge(), text, Forcing(toned)) for text in ("Thanks!", "Pay."))

    assert thankful.value == pytest.approx(expit(3.0))
    assert (thankful.label, thankful.reason) == ("polite", "This reply is: polite 95%, rude 5%.")
    assert plain.value == pytest.approx(0.5)


def test_three_labels_share_the_probability() -> None:
    judge = label_judge(labels=["polite", "neutral", "rude"])
    found = judged(judge, "Thanks!", Forcing(toned))

    assert found.value == pytest.approx(float(scipy_softmax([3.0, 0.0, 0.0])[0]))
    assert found.reason == "This reply is: polite 91%, neutral 5%, rude 5%."


def test_the_text_stands_in_quotes_before_the_statement() -> None:
    caller = Forcing(toned)
    judged(label_judge(criteria=" This reply is "), "Thanks! {text}", caller)

    assert len(caller.requests) == 2 * (1 + len(CONTENT_FREE))
    assert caller.requests[0].parameters["prompt"] == '"Thanks! {text}"\nThis reply is'
    assert [written(request) for request in caller.requests[:2]] == [" polite", " rude"]


def test_content_free_questions_are_equal_for_all_answers_so_that_the_cache_knows_them() -> None:
    asked = []
    for text in ("Thanks!", "Pay."):
        caller = Forcing(toned)
        judged(label_judge(), text, caller)
        asked.append({request.digest({}) for request in caller.requests})

    assert len(asked[0] & asked[1]) == 2 * len(CONTENT_FREE)


@given(st.lists(st.floats(min_value=-1e3, max_value=1e3), min_size=2, max_size=5))
def test_the_probabilities_are_scipys(gains: list[float]) -> None:
    assert softmax(gains) == pytest.approx(list(scipy_softmax(gains)))


@pytest.mark.parametrize(
    ("labels", "criteria", "message"),
    [
        (("polite",), "x", "two or more different labels"),
        (("polite", "polite "), "x", "two or more different labels"),
        (("polite", ""), "x", "two or more different labels"),
        ("polite", "x", "two or more different labels"),
        ((1, 2), "x", "two or more different labels"),
        (("polite", "rude"), " ", "the start of a statement"),
    ],
)
def test_labels_and_statement_are_checked(labels: Any, criteria: str, message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        label_judge(labels=labels, criteria=criteria)


@pytest.mark.parametrize("judge", [context_judge, label_judge])
@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan"), True, "0.5"])
def test_a_threshold_off_the_scale_is_refused(judge: Any, threshold: Any) -> None:
    with pytest.raises(MisuseError, match="above 0, at most 1"):
        judge(threshold=threshold)


def test_the_version_follows_all_that_decides_the_score() -> None:
    judges = [
        context_judge(),
        context_judge(model="local:other"),
        context_judge(context="page"),
        context_judge(question="asked"),
        label_judge(),
        label_judge(model="local:other"),
        label_judge(criteria="The reply is"),
        label_judge(labels=("rude", "polite")),
        label_judge(labels=("polite", "rude", "neutral")),
    ]

    assert len({judge.metric.version for judge in judges}) == len(judges)
    same = context_judge(name="other", threshold=0.5, required=True)
    assert same.metric.version == context_judge().metric.version


def test_the_metric_says_what_the_score_means() -> None:
    for judge in (context_judge(), label_judge()):
        metric = judge.metric
        assert (metric.kind, metric.range, metric.free, metric.gated) == ("score", (0.0, 1.0), False, False)
    assert context_judge(threshold=0.6).metric.gated
