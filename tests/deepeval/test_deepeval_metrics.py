"""Metrics of deepeval give the score that deepeval itself gives, with our calls in place of its own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from deepeval.metrics import GEval, HallucinationMetric
from deepeval.metrics.dag import BinaryJudgementNode, DeepAcyclicGraph
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import ConversationalTestCase, LLMTestCase, SingleTurnParams, Turn
from deepeval_replies import ANSWER, CASE, json_for, reply
from pydantic import BaseModel

from pytest_llmops import BadAnswerError, JudgeError, MisuseError, Response, ScriptedProvider
from pytest_llmops.scorers.deepeval import deepeval_scorer, is_metric, named_metric


class Key(BaseModel):
    place: str


def graph():
    node = BinaryJudgementNode(
        criteria="Does it name a place?", evaluation_params=[SingleTurnParams.ACTUAL_OUTPUT]
    )
    node.add_verdict(True, score=10)
    node.add_verdict(False, score=2)
    return DeepAcyclicGraph(root_nodes=[node])


SINGLE = {
    "answer_relevancy": {},
    "bias": {},
    "contextual_precision": {},
    "contextual_recall": {},
    "contextual_relevancy": {},
    "dag": {"dag": graph()},
    "exact_match": {},
    "faithfulness": {"truths_extraction_limit": 3},
    "g_eval": {"criteria": "It names a place.", "evaluation_params": ["input", "actual_output"]},
    "hallucination": {},
    "json_correctness": {"expected_schema": Key},
    "pattern_match": {"pattern": "Beside .*"},
    "pii_leakage": {},
    "prompt_alignment": {"prompt_instructions": ["Be brief.", "Be kind."]},
    "summarization": {},
    "toxicity": {},
}

CONVERSATIONAL = {
    "conversation_completeness": {},
    "conversational_g_eval": {"criteria": "It is friendly.", "evaluation_params": ["content", "role"]},
    "knowledge_retention": {},
    "role_adherence": {},
    "turn_relevancy": {},
}

FREE = {"exact_match", "pattern_match"}

INPUT = "system: You are a caretaker.\nuser: Hello.\nassistant: Good morning.\nuser: Where is the key?"

OWN_CASE = LLMTestCase(
    input=INPUT,
    actual_output=ANSWER.text,
    expected_output=CASE.expected,
    context=list(CASE.context),
    retrieval_context=list(CASE.context),
)

OWN_TALK = ConversationalTestCase(
    turns=[
        Turn(role="user", content="Hello."),
        Turn(role="assistant", content="Good morning."),
        Turn(role="user", content="Where is the key?"),
        Turn(role="assistant", content=ANSWER.text, retrieval_context=list(CASE.context), tools_called=[]),
    ],
    chatbot_role="You are a caretaker.",
    expected_outcome=CASE.expected,
    context=list(CASE.context),
)


class Judge(DeepEvalBaseLLM):
    """Be a judge as deepeval's users write them."""

    def load_model(self):
        return self

    def get_model_name(self):
        return "own"

    def generate(self, prompt, schema=None):
        raise NotImplementedError

    async def a_generate(self, prompt, schema=None):
        if schema is None:
            return "some text"
        return schema.model_validate_json(json_for(prompt, schema.model_json_schema()))


class Caller:
    """Ask a provider without a cache."""

    def __init__(self, script=reply):
        self.provider = ScriptedProvider(script)

    @property
    def asked(self):
        return [(request.messages, request.parameters) for request in self.provider.requests]

    async def acall(self, request):
        return await self.provider.complete(request)


def made(kind, **more):
    options = {**SINGLE, **CONVERSATIONAL}[kind]
    return deepeval_scorer(named_metric(kind, options), model="scripted:judge", **more)


def score(scorer, *, case=CASE, answer=ANSWER, caller=None):
    return asyncio.run(scorer.score(case, answer, caller or Caller()))


@pytest.mark.parametrize("name", [*SINGLE, *CONVERSATIONAL])
def test_a_metric_gives_what_deepeval_gives_and_asks_the_same_again(name):
    scorer, caller = made(name), Caller()
    found = score(scorer, caller=caller)

    own = named_metric(name, {**SINGLE, **CONVERSATIONAL}[name])
    if getattr(own, "model", None) is not None:
        own.model = Judge("own")
    test_case = OWN_CASE if name in SINGLE else OWN_TALK
    asyncio.run(own.a_measure(test_case, _show_indicator=False))
    assert (found.value, found.passed) == (own.score, own.success)
    assert found.reason == (own.reason or "")
    assert scorer.metric.free == (name in FREE)
    assert bool(caller.asked) == (name not in FREE)

    again = Caller()
    assert score(scorer, caller=again) == found
    assert sorted(map(repr, again.asked)) == sorted(map(repr, caller.asked))


def test_a_verdict_of_two_is_a_half():
    def script(request):
        shape = request.parameters["response_format"]["json_schema"]
        verdicts = [{"verdict": word, "reason": "so"} for word in ("yes", "no")]
        texts = {
            "Truths": {"truths": ["a"]},
            "Claims": {"claims": ["b", "c"]},
            "Verdicts": {"verdicts": verdicts},
        }
        return json.dumps(texts.get(shape["name"], {"reason": "one claim is not in the passages"}))

    found = score(made("faithfulness"), caller=Caller(script))
    assert found.value == 0.5
    assert found.reason == "one claim is not in the passages"


def test_a_schema_is_asked_for_strictly():
    caller = Caller()
    score(made("faithfulness"), caller=caller)
    for _, parameters in caller.asked:
        shape = parameters["response_format"]["json_schema"]
        assert shape["strict"] is True
        objects = [shape["schema"], *shape["schema"].get("$defs", {}).values()]
        for each in objects:
            if each.get("type") == "object":
                assert each["additionalProperties"] is False
                assert each["required"] == list(each["properties"])


def test_cases_side_by_side_do_not_mix():
    scorers = [made("faithfulness"), made("dag"), made("g_eval")]
    answers = [replace(ANSWER, text=f"Behind door {number}.") for number in range(20)]

    async def together():
        caller = Caller()
        return await asyncio.gather(
            *(scorer.score(CASE, answer, caller) for scorer in scorers for answer in answers)
        )

    alone = [score(scorer, answer=answer) for scorer in scorers for answer in answers]
    assert asyncio.run(together()) == alone
    assert len({found.value for found in alone}) > 3


def test_the_version_tells_what_decides_the_score():
    def version(options=None, model="scripted:judge", **more):
        options = {"criteria": "It names a place.", "evaluation_params": ["input"], **(options or {})}
        return deepeval_scorer(named_metric("g_eval", options), model=model, **more).metric.version

    from importlib.metadata import version as library

    assert version().startswith(f"{library('deepeval')}+")
    assert version() == version(threshold=0.9)
    others = [
        version({"criteria": "It is short."}),
        version({"strict_mode": True}),
        version(model="scripted:b"),
    ]
    assert len({version(), *others}) == 4
    assert made("dag").metric.version == made("dag").metric.version


def test_one_is_good_in_this_version_and_the_threshold_may_be_given():
    metric = made("hallucination").metric
    assert metric.higher_is_better
    assert (metric.kind, metric.range, metric.threshold) == ("score", (0.0, 1.0), 0.5)
    assert made("hallucination", threshold=0.8, name="facts").metric.threshold == 0.8


# deepeval says so once a process, of objects that users make themselves.
@pytest.mark.filterwarnings("ignore:.*now scores in the same direction:DeprecationWarning")
def test_where_less_is_better_the_metric_says_so():
    class Turned(HallucinationMetric):
        def is_successful(self):
            return self.score <= self.threshold

    own = Turned(model=Judge("own"))
    scorer = deepeval_scorer(own, model="scripted:judge")
    assert not scorer.metric.higher_is_better
    assert scorer.metric.worst == 1.0


def test_where_the_metric_does_not_say_more_is_better():
    class Silent(GEval):
        def is_successful(self):
            return None

    own = Silent(name="x", criteria="x", evaluation_params=[SingleTurnParams.INPUT], model=Judge("own"))
    assert deepeval_scorer(own, model="scripted:judge").metric.higher_is_better


def test_an_object_is_measured_in_copies_and_its_own_model_is_not_asked():
    class Deaf(Judge):
        async def a_generate(self, prompt, schema=None):
            raise AssertionError("asked")

    own = GEval(
        name="Place",
        criteria="It names a place.",
        evaluation_params=[SingleTurnParams.ACTUAL_OUTPUT],
        model=Deaf("own"),
        threshold=0.3,
    )
    assert is_metric(own)
    before = dict(vars(own))
    scorer = deepeval_scorer(own, model="scripted:judge")
    assert (scorer.metric.name, scorer.metric.threshold) == ("Place", 0.3)
    assert deepeval_scorer(own, model="scripted:judge", threshold=0.6).metric.threshold == 0.6
    caller = Caller()
    assert score(scorer, caller=caller).value is not None
    assert len(caller.asked) == 2
    assert vars(own) == before


@pytest.mark.parametrize("fault", [TypeError("no such thing"), AttributeError("no such part")])
def test_a_fault_in_a_call_comes_out_as_it_is_after_one_call(fault):
    def script(request):
        raise fault

    for name in ("g_eval", "faithfulness", "summarization"):
        caller = Caller(script)
        with pytest.raises(type(fault), match=str(fault)):
            score(made(name), caller=caller)
        # Truths and claims are asked for side by side.
        assert len(caller.asked) <= 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("I would say yes.", "ValueError: .*invalid JSON"),
        ('{"truth": []}', "gave no score on the case 'case-1'"),
        ('{"reason": "much", "score": 15, "steps": ["look"]}', "1.5, outside its range 0 to 1"),
        (BadAnswerError("cut off", kind="length"), "cut off"),
    ],
)
def test_a_judge_that_makes_no_score_is_a_judge_error(text, told):
    def script(request):
        return text

    with pytest.raises(JudgeError, match=told):
        score(made("g_eval"), caller=Caller(script))


@pytest.mark.parametrize(
    ("name", "lacking", "told"),
    [
        ("faithfulness", {"context": ()}, "'retrieval_context' cannot be None.*Add `context`"),
        ("contextual_recall", {"expected": None}, "'expected_output' cannot be None.*Add `expected`"),
        ("role_adherence", {"messages": ()}, "chatbot_role.*Add a message of the role `system`"),
    ],
)
def test_a_case_that_lacks_a_field_is_named_with_the_cure(name, lacking, told):
    with pytest.raises(
        MisuseError, match=f"The case 'case-1' lacks what the metric '{name}' needs: .*{told}"
    ):
        score(made(name), case=replace(CASE, **lacking))


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("faithfullness", {}, "Did you mean 'faithfulness'"),
        ("arena_g_eval", {}, "use llm_judge"),
        (
            "faithfulness",
            {"truths_limit": 3},
            "no option 'truths_limit'. Did you mean 'truths_extraction_limit'",
        ),
        ("faithfulness", {"model": "x"}, "give the marker model="),
        ("faithfulness", {"eval_mode": "hybrid"}, "only eval_mode 'llm'"),
        ("dag", {}, "cannot be made of its options .*'dag'"),
        ("g_eval", {"evaluation_params": ["outptu"]}, "no field 'outptu'"),
    ],
)
def test_a_wrong_name_or_option_is_one_message(name, options, told):
    with pytest.raises(MisuseError, match=told):
        named_metric(name, options)


@pytest.mark.parametrize("threshold", [1.5, -0.1, True, "high"])
def test_a_threshold_is_a_number_from_0_to_1(threshold):
    with pytest.raises(MisuseError, match="not a number from 0 to 1"):
        made("faithfulness", threshold=threshold)


def test_a_metric_that_cannot_be_copied_is_refused_at_once():
    own = named_metric("exact_match", {})
    own.lines = iter([])
    own.busy = __import__("threading").Lock()
    with pytest.raises(MisuseError, match="cannot be copied for each case"):
        deepeval_scorer(own, model="scripted:judge")


def test_tools_that_were_called_are_compared_with_those_expected():
    call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"what": "key"}'}}
    scorer = deepeval_scorer(named_metric("tool_correctness", {}), model="scripted:judge")
    case = replace(CASE, expected=[{"name": "find", "arguments": {"what": "key"}}])
    assert score(scorer, case=case, answer=replace(ANSWER, tool_calls=(call,))).value == 1.0
    assert score(scorer, case=case, answer=ANSWER).value == 0.0
    assert score(scorer, case=case, answer=Response(text="x", model="m")).passed is False
