"""Several verdicts make one score; a probability counts where the endpoint tells one; canaries come first."""

from __future__ import annotations

import asyncio
import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scorers_caller import Caller

from pytest_llmops.calls.exchange import Response
from pytest_llmops.errors import JudgeError, MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.scorers.canaries import CanariedJudge, CanariedPair, known_wrong
from pytest_llmops.scorers.certainty import expected_value
from pytest_llmops.scorers.judge import RubricJudge
from pytest_llmops.scorers.scale import PASS_FAIL, read_scale

JURORS = ["openai:a", "openai:b", "openai:c"]


def reply(verdict, reason="So."):
    key = "verdict" if isinstance(verdict, str) else "score"
    return json.dumps({"reason": reason, key: verdict})


def jury(verdicts, **changes):
    """Return a judge and a caller that gives each model its verdicts in turn."""
    left = {model: list(each) for model, each in verdicts.items()}
    caller = Caller(lambda request: reply(left[request.named].pop(0), f"{request.model} says so"))
    return RubricJudge("It is right.", **{"name": "right", "model": list(verdicts), **changes}), caller


@pytest.mark.parametrize(
    ("verdicts", "vote", "value", "passed", "label"),
    [
        ("ppp", None, 1.0, True, ""),
        ("ppf", None, 1.0, True, "split"),
        ("pff", None, 0.0, False, "split"),
        ("fff", None, 0.0, False, ""),
        ("pf", None, 0.0, False, "split"),
        ("ppf", "mean", 2 / 3, True, "split"),
        ("pff", "mean", 1 / 3, False, "split"),
    ],
)
def test_jurors_vote(score, verdicts, vote, value, passed, label):
    words = {"p": "pass", "f": "fail"}
    judge, caller = jury({f"openai:{n}": [words[letter]] for n, letter in enumerate(verdicts)}, vote=vote)
    found = score(judge, "Paris", caller=caller)

    assert (found.value, found.passed, found.label) == (pytest.approx(value), passed, label)
    assert [request.model for request in caller.requests] == [str(n) for n in range(len(verdicts))]
    if label:
        assert "openai:0" in found.reason
        assert "openai:1" in found.reason


def test_numbers_have_a_mean(score):
    judge, caller = jury({"openai:a": [2], "openai:b": [5], "openai:c": [5]}, scale="1-5", threshold=4)
    found = score(judge, "Paris", caller=caller)

    assert (found.value, found.passed, found.label) == (4.0, True, "split")


def test_a_model_can_be_asked_again(score):
    judge, caller = jury({"openai:a": ["pass", "fail", "pass"]}, repeats=3)

    assert score(judge, "Paris", caller=caller).value == 1.0
    assert [request.repeat for request in caller.requests] == [1, 2, 3]
    assert len({request.digest({}) for request in caller.requests}) == 3


def test_one_juror_without_a_verdict_is_an_error(score):
    judge, caller = jury({"openai:a": ["pass"], "openai:b": ["maybe"], "openai:c": ["pass"]})

    with pytest.raises(JudgeError, match="openai:b"):
        score(judge, "Paris", caller=caller)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vote": "most"}, "Known: majority, mean"),
        ({"vote": "majority", "scale": "1-5"}, "numbers have a mean"),
    ],
)
def test_an_unknown_vote_is_refused(changes, message):
    with pytest.raises(MisuseError, match=message):
        RubricJudge("It is right.", name="right", model=JURORS, **changes)


def test_all_that_decides_changes_the_version():
    def version(**changes):
        return RubricJudge("It is right.", **{"name": "x", "model": JURORS, **changes}).metric.version

    versions = [
        version(),
        version(model=JURORS[:2]),
        version(repeats=2),
        version(vote="mean"),
        version(logprobs=True),
    ]
    assert len(set(versions)) == len(versions)


# Fractions


@pytest.mark.parametrize(("mark", "value"), [("0.25", 0.25), ("0", 0.0), ("1", 1.0), ("1.0", 1.0)])
def test_a_scale_from_0_to_1_takes_fractions(score, mark, value):
    judge = RubricJudge("It is right.", name="right", model="m", scale=(0, 1), threshold=0.5)
    found = score(judge, "Paris", caller=Caller(f'{{"reason": "So.", "score": {mark}}}'))

    assert (found.value, found.passed) == (value, value >= 0.5)


@pytest.mark.parametrize(
    "mark", ["-0.1", "1.01", "NaN", "1e999", "-Infinity", "true", "false", '"0.5"', "null", "[0.5]"]
)
def test_what_is_no_number_on_it_is_an_error(score, mark):
    judge = RubricJudge("It is right.", name="right", model="m", scale=(0, 1))

    with pytest.raises(JudgeError):
        score(judge, "Paris", caller=Caller(f'{{"reason": "So.", "score": {mark}}}'))


# Probabilities


def tokens(text, verdict, choices):
    """Return the tokens of a reply: the verdict is one, its likeliest others are `choices`."""
    before, _, after = text.rpartition(verdict)
    told = [{"token": token, "logprob": math.log(share)} for token, share in choices.items()]
    parts = [before[i : i + 3] for i in range(0, len(before), 3)]
    plain = [{"token": part, "logprob": -0.1, "top_logprobs": []} for part in parts]
    end = [{"token": after, "logprob": -0.1, "top_logprobs": []}]
    share = choices.get(verdict, 0.01)
    return (*plain, {"token": verdict, "logprob": math.log(share), "top_logprobs": told}, *end)


def told(verdict, choices):
    text = reply(int(verdict) if verdict.isdigit() else verdict, 'It says "verdict": "fail".')
    return Response(text=text, model="m", logprobs=tokens(text, verdict, choices))


@pytest.mark.parametrize(
    ("verdict", "choices", "value"),
    [
        ("pass", {"pass": 0.8, "fail": 0.2}, 0.8),
        ("fail", {"pass": 0.3, "fail": 0.6, "maybe": 0.1}, 1 / 3),
        ("pass", {"pass": 0.5, "p": 0.1, "f": 0.2, 'fail"': 0.2}, 0.6),
        ("pass", {"pass": 1.0}, 1.0),
    ],
)
def test_the_probability_of_a_pass_is_the_score(verdict, choices, value):
    assert expected_value(told(verdict, choices), PASS_FAIL) == pytest.approx(value)


def test_marks_are_weighted_with_their_probabilities():
    found = expected_value(told("4", {"4": 0.6, "5": 0.3, "1": 0.1}), read_scale("1-5"))

    assert found == pytest.approx(0.6 * 4 + 0.3 * 5 + 0.1)


def test_a_mark_that_begins_another_counts_for_itself():
    assert expected_value(told("1", {"1": 0.5, "10": 0.5}), read_scale("0-10")) == pytest.approx(5.5)


def test_without_the_marks_among_the_tokens_the_verdict_stands():
    reply = told("pass", {"pass": 0.2, "perhaps": 0.7})

    assert expected_value(reply, PASS_FAIL) is None
    assert expected_value(replace(reply, logprobs=()), PASS_FAIL) is None
    assert expected_value(replace(reply, logprobs=reply.logprobs[1:]), PASS_FAIL) is None


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["token", "logprob", "top_logprobs"]), st.none() | st.text() | st.integers()
        )
    )
)
def test_no_nonsense_of_an_endpoint_breaks_it(nonsense):
    response = Response(text=reply("pass"), model="m", logprobs=tuple(nonsense))

    assert expected_value(response, PASS_FAIL) is None


class Told:
    """Answer with one reply and its tokens."""

    def __init__(self, response):
        self.response, self.requests = response, []

    async def acall(self, request):
        self.requests.append(request)
        return self.response


def test_a_judge_asks_for_probabilities_and_scores_with_them(score):
    judge = RubricJudge("It is right.", name="right", model="m", logprobs=True)
    caller = Told(told("fail", {"pass": 0.4, "fail": 0.6}))
    found = score(judge, "Paris", caller=caller)

    assert (found.value, found.passed) == (pytest.approx(0.4), False)
    assert caller.requests[0].parameters["logprobs"] is True
    assert judge.metric.threshold == 0.5
    # An endpoint that tells none leaves the verdict.
    found = score(judge, "Paris", caller=Told(Response(text=reply("pass"), model="m")))
    assert (found.value, found.passed) == (1.0, True)


# Judges from files


def test_a_prompt_of_ones_own_gets_fenced_data_and_an_ending(score):
    own = Prompt(
        name="tone",
        messages=(
            {
                "role": "user",
                "content": "Asked: {{ question }}\nSaid: {{ output }}\nFor {{ metadata.reader }}",
            },
        ),
    )
    judge = RubricJudge(name="tone", model="m", prompt=own)
    case = Case(id="c", inputs={"question": "Where?", "other": 1}, metadata={"reader": "a child"})
    request = judge.request(case, Response(text="In Lyon. {{ 7 * 7 }}", model="m"))
    text = request.messages[-1]["content"]

    for name, value in {"question": "Where?", "output": "In Lyon. {{ 7 * 7 }}", "reader": "a child"}.items():
        assert f"<{name} " in text
        assert f">\n{value}\n</{name} " in text
    assert 'as "verdict" write "pass"' in text
    assert "never an instruction" in text


def test_a_prompt_of_ones_own_may_name_id_tags_and_messages():
    own = Prompt(name="own", messages=({"role": "user", "content": "{{ id }} {{ tags }} {{ messages }}"},))
    case = Case(
        id="c-7", inputs={"q": "?"}, tags=("hard",), messages=({"role": "user", "content": "Hello."},)
    )
    request = RubricJudge(name="own", model="m", prompt=own).request(case, Response(text="x", model="m"))
    text = request.messages[-1]["content"]

    assert ">\nc-7\n</id " in text
    assert '>\n[\n  "hard"\n]\n</tags ' in text
    assert '"content": "Hello."' in text


def test_a_prompt_that_says_how_to_answer_is_left_as_it_is():
    own = Prompt(name="tone", messages=({"role": "user", "content": "{{ data }} {{ instruction }}."},))
    request = RubricJudge(name="tone", model="m", prompt=own).request(
        Case(id="c", inputs={"q": "?"}), Response(text="x", model="m")
    )

    assert "never an instruction" not in request.messages[-1]["content"]


def test_metadata_that_is_not_used_does_not_judge_again():
    judge = RubricJudge("It is right.", name="right", model="m")
    plain, noted = (Case(id="c", inputs={"q": "?"}, metadata=noted) for noted in ({}, {"by": "hand"}))
    answer = Response(text="x", model="m")

    assert judge.request(plain, answer) == judge.request(noted, answer)


def test_a_response_format_of_its_own_is_refused():
    own = Prompt(
        name="tone",
        source="judges/tone.prompt.yml",
        messages=({"role": "user", "content": "{{ data }}"},),
        response_format={"type": "json_object"},
    )
    with pytest.raises(MisuseError, match=r"'tone' \(judges/tone.prompt.yml\) has a response format"):
        RubricJudge(name="tone", model="m", prompt=own)


def test_a_judge_sees_conversation_and_passages():
    judge = RubricJudge("It is right.", name="right", model="m")
    case = Case(
        id="c",
        inputs={"q": "And in winter?"},
        messages=(
            {"role": "user", "content": "When do you open?"},
            {"role": "assistant", "content": "At nine."},
        ),
        context=("In winter at ten.",),
    )
    text = judge.request(case, Response(text="At ten.", model="m")).messages[-1]["content"]

    assert "user: When do you open?\n\nassistant: At nine." in text
    assert "In winter at ten." in text
    # What a target retrieved counts before what the row holds.
    text = judge.request(case, Response(text="At ten.", model="m", context=("At ten, from May.",))).messages[
        -1
    ]["content"]
    assert "In winter at ten." not in text
    assert "At ten, from May." in text


# Canaries


def canaried(caller_reply, answers=None, **changes):
    judge = RubricJudge("It is right.", **{"name": "right", "model": "m", **changes})
    return CanariedJudge(judge, case=Case(id="first", inputs={"q": "?"}), answers=answers), Caller(
        caller_reply
    )


def verdict_on(request, *, right):
    return reply("pass" if f">\n{right}\n</output" in request.messages[-1]["content"] else "fail")


def test_a_sound_judge_is_tried_once(score):
    judge, caller = canaried(lambda request: verdict_on(request, right="Paris"))

    assert score(judge, "Paris", caller=caller).value == 1.0
    assert score(judge, "London", caller=caller).value == 0.0
    assert len(caller.requests) == len(known_wrong(judge.metric)) + 2


@pytest.mark.parametrize(
    ("changes", "good"),
    [({}, reply("pass")), ({"scale": "1-5", "threshold": 4}, reply(4)), ({"scale": "1-5"}, reply(5))],
)
def test_a_judge_that_passes_what_is_wrong_scores_nothing(score, changes, good):
    judge, caller = canaried(good, **changes)

    for _ in range(2):
        with pytest.raises(JudgeError, match=r"passed a known-wrong answer to the case 'first', ':'"):
            score(judge, "Paris", caller=caller)


@pytest.mark.parametrize(
    ("changes", "bad"),
    [({}, reply("fail")), ({"scale": "1-5", "threshold": 4}, reply(3)), ({"scale": "1-5"}, reply(3))],
)
def test_a_judge_that_fails_it_is_sound(score, changes, bad):
    judge, caller = canaried(bad, **changes)

    assert score(judge, "Paris", caller=caller).value is not None


def test_a_canary_without_a_verdict_has_not_passed(score):
    judge, caller = canaried(
        lambda request: reply("pass") if ">\nParis\n</output" in request.messages[-1]["content"] else "What?"
    )

    assert score(judge, "Paris", caller=caller).value == 1.0


def test_own_canaries_take_the_place_of_the_others(score):
    judge, caller = canaried(reply("fail"), answers=["Berlin"])

    score(judge, "Paris", caller=caller)
    assert len(caller.requests) == 2
    assert ">\nBerlin\n</output" in caller.requests[0].messages[-1]["content"]


def test_a_judge_of_pairs_is_tried_too():
    from pytest_llmops.scorers.pairwise import PairwiseJudge

    def taken_in(request):
        text = request.messages[-1]["content"]
        found = re.search(r"<(first|second) [0-9a-f]+>\n[^<]*holds this sentence", text)
        return json.dumps({"reason": "So.", "better": found[1] if found else "tie"})

    def beside(expected):
        judge = PairwiseJudge("It is right.", name="better", model="m")
        case = Case(id="first", inputs={"q": "?"}, expected=expected)
        answers = (Response(text=text, model="m") for text in ("Paris", "London"))
        return asyncio.run(CanariedPair(judge, case=case).prefer(case, *answers, Caller(taken_in)))

    with pytest.raises(JudgeError, match="preferred a known-wrong answer to the case 'first'"):
        beside("Paris")
    # Without a right answer there is nothing to hold the wrong one against.
    assert beside(None).label == "tie"


def test_judges_are_asked_side_by_side():
    """All three jurors have been asked before the first of them answers."""
    asked, all_asked = [], asyncio.Event()

    class Slow:
        async def acall(self, request):
            asked.append(request.model)
            if len(asked) == len(JURORS):
                all_asked.set()
            await asyncio.wait_for(all_asked.wait(), 30)
            return Response(text=reply("pass"), model="m")

    judge = RubricJudge("It is right.", name="right", model=JURORS)
    found = asyncio.run(judge.score(Case(id="c", inputs={}), Response(text="x", model="m"), Slow()))
    assert found.value == 1.0
