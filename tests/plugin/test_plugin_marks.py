"""Hold what the markers, fixtures and settings accept, and what they say when something is wrong."""

from __future__ import annotations

from typing import Any

import pytest

USAGE_ERROR = 4

TEST = """
import pytest

{marks}
def test_items(llm_case):
    {body}
"""


def marked(suite: Any, *marks: str, body: str = "...") -> None:
    suite.body(TEST.format(marks="\n".join(f"@pytest.mark.{mark}" for mark in marks), body=body))


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        (
            'llm_eval(prompt="ask", golde="items.jsonl")',
            "*llm_eval() does not know the argument 'golde'. Did you mean 'golden'? Known: prompt, golden,*",
        ),
        ('llm_eval(prompt="ask")', "*llm_eval(): missing a required argument: 'golden'*"),
        (
            'llm_eval(golden="items.jsonl")',
            '*llm_eval() needs a prompt, prompt="triage", or code that answers*',
        ),
        ('llm_eval(prompt="aks", golden="items.jsonl")', "*No prompt 'aks'*Did you mean 'ask'?*"),
        (
            'llm_eval(prompt="ask", golden="item.jsonl")',
            "*No golden set 'item.jsonl'*Did you mean 'items.jsonl'?*",
        ),
        ('llm_eval(prompt="ask", golden="items.jsonl", repeats=0)', "*repeats=0*whole number of at least 1*"),
        ('llm_eval(prompt="ask", golden="items.jsonl", tags=["x"])', "*leaves no case of items.jsonl*"),
        ('llm_eval(prompt="ask", golden="items.jsonl", cluster="talk")', "*cluster='talk'*'item-0'*"),
        ('llm_eval(prompt="ask@live", golden="items.jsonl")', "*No version of a prompt 'ask' is registered*"),
    ],
)
def test_a_wrong_argument_of_llm_eval_is_a_usage_error(plain_suite: Any, mark: str, message: str) -> None:
    marked(plain_suite, mark, body="assert llm_case.text")
    result = plain_suite.run()
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: test_items.py::test_items: {message}"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert plain_suite.calls == []


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ('llm_metric("exat")', "*Did you mean 'exact'?*"),
        ('llm_metric("exact", treshold=1)', "*does not know the argument 'treshold'*"),
        ('llm_metric("exact", threshold=0.5)', "*takes no threshold*"),
        ('llm_metric("regex", value="(")', "*regex*"),
        ("llm_metric(3)", "*neither a metric's name nor a scorer*"),
        ('llm_schema("none.json")', "*No schema 'none.json'*"),
        ('llm_schema({"type": "objekt"})', "*objekt*"),
        ('llm_judge("Is it right?", scale="stars")', "*stars*"),
        ('llm_judge("")', "*llm_judge(criteria='')*"),
    ],
)
def test_a_wrong_metric_is_a_usage_error(plain_suite: Any, mark: str, message: str) -> None:
    marked(plain_suite, 'llm_eval(prompt="ask", golden="items.jsonl")', mark)
    result = plain_suite.run()
    assert result.ret == USAGE_ERROR, result.stdout.str()
    result.stderr.fnmatch_lines([f"ERROR: test_items.py::test_items: {message}"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_workers_report_a_wrong_marker_without_a_traceback(make_suite: Any) -> None:
    suite = make_suite(("-n2",))
    marked(suite, 'llm_eval(prompt="ask", golde="items.jsonl")', body="assert llm_case.text")
    result = suite.run()
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*llm_eval() does not know the argument 'golde'*"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_a_marker_without_llm_eval_is_a_usage_error(plain_suite: Any) -> None:
    plain_suite.body(
        TEST.format(marks='@pytest.mark.llm_metric("exact")', body="pass").replace("llm_case", "")
    )
    result = plain_suite.run()
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["*the marker llm_metric needs llm_eval(prompt, golden)*"])


def test_a_test_that_checks_nothing_is_a_usage_error(plain_suite: Any) -> None:
    marked(plain_suite, 'llm_eval(prompt="ask", golden="items.jsonl")', body='"""Only words."""')
    result = plain_suite.run()
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["*The test checks nothing*"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--llmops-cache=oflline",
            "*--llmops-cache: 'oflline' is not a cache mode. Did you mean 'offline'?*",
        ),
        ("--llmops-alpha=2", "*--llmops-alpha: '2' is not a probability*"),
        ("--llmops-margin=passed=high", "*--llmops-margin:*is not a number*"),
        ("--llmops-repeat=0", "*--llmops-repeat: '0' is not a whole number of at least 1*"),
    ],
)
def test_a_wrong_option_is_a_usage_error(plain_suite: Any, option: str, message: str) -> None:
    result = plain_suite.run(option)
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


def test_an_unknown_setting_is_a_usage_error_that_names_the_closest(plain_suite: Any) -> None:
    (plain_suite.root / "llmops.toml").write_text("alpa = 0.1\n")
    result = plain_suite.run()
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: Unknown llmops setting 'alpa'*Did you mean 'alpha'?*"])


def test_options_win_over_environment_over_file(plain_suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (plain_suite.root / "llmops.toml").write_text("repeat = 2\n")
    plain_suite.run().assert_outcomes(passed=40)
    monkeypatch.setenv("LLMOPS_REPEAT", "3")
    plain_suite.run().assert_outcomes(passed=60)
    plain_suite.run("--llmops-repeat=1").assert_outcomes(passed=20)


def test_a_body_of_words_leaves_the_verdict_to_the_markers(suite: Any) -> None:
    marked(
        suite,
        'llm_eval(prompt="ask", golden="items.jsonl")',
        'llm_metric("exact")',
        body='"""The reply is yes."""',
    )
    suite.prompt(wrong=[3])
    result = suite.run()
    result.assert_outcomes(passed=19, failed=1)
    result.stdout.fnmatch_lines(["*exact:*", "*answer: no*"])
    result.stdout.no_fnmatch_line("*test_items.py::test_items  passed  *")


def test_markers_work_without_the_fixture_in_the_signature(suite: Any) -> None:
    marked(suite, 'llm_eval(prompt="ask", golden="items.jsonl")', 'llm_metric("exact")')
    path = suite.root / "test_items.py"
    path.write_text(path.read_text().replace("(llm_case)", "()"))
    suite.run().assert_outcomes(passed=20)


def test_other_parameters_make_tests_of_their_own(suite: Any) -> None:
    suite.body(
        """
import pytest

@pytest.mark.parametrize("wanted", ["yes", "no"])
@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
def test_items(llm_case, wanted):
    assert llm_case.text == wanted
"""
    )
    result = suite.run("--llmops-save-baseline=production")
    assert result.ret == 0
    result.assert_outcomes(passed=20, xfailed=20)
    result.stdout.fnmatch_lines(
        [
            "*saved as production: *test_items[[]wanted=no[]]*",
            "*saved as production: *test_items[[]wanted=yes[]]*",
        ]
    )


def test_methods_and_async_tests_work(suite: Any) -> None:
    suite.body(
        """
import pytest

class TestItems:
    @pytest.mark.llm_eval(prompt="ask", golden="items.jsonl", limit=6)
    def test_items(self, llm_case):
        assert llm_case.text == llm_case.expected
"""
    )
    result = suite.run("--llmops-save-baseline=production")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["*saved as production: test_items.py::TestItems.test_items*"])


def test_tags_and_limits_choose_cases(plain_suite: Any) -> None:
    plain_suite.golden(range(20), tags=["small"])
    plain_suite.run("--llmops-tag=small", "--llmops-limit=3").assert_outcomes(passed=3)
    plain_suite.run("--llmops-tag=large").assert_outcomes(skipped=1)


def test_hostile_case_ids_are_data_and_never_part_of_a_node_id(suite: Any) -> None:
    rows = ["<script>alert(1)</script>", "../../etc", "a b", "a-b", "\\u001b[2J", "x" * 100]
    (suite.root / "golden" / "items.jsonl").write_text(
        "".join(
            f'{{"id": "row {n} {row}", "inputs": {{"n": {n}}}, "expected": "yes"}}\n'
            for n, row in enumerate(rows)
            if "u001b" not in row
        )
    )
    result = suite.run("-v")
    result.assert_outcomes(passed=5)
    text = result.stdout.str()
    assert "<script>" not in text
    assert "../" not in text


def test_prompts_golden_sets_and_models_can_be_used_by_hand(suite: Any) -> None:
    suite.body(
        """
import pytest

def test_by_hand(prompts, golden_set, llm):
    prompt = prompts("ask")
    cases = list(golden_set("items.jsonl"))
    assert len(cases) == 20
    assert llm(prompt, n=3).text == llm("ask", n=3).text == "yes"

def test_what_is_not_there(prompts):
    prompts("aks")
"""
    )
    result = suite.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*No prompt 'aks'*"])
    assert suite.calls == ["3"]


def test_the_fixture_alone_says_what_it_needs(plain_suite: Any) -> None:
    plain_suite.body("def test_items(llm_case):\n    pass\n")
    result = plain_suite.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*llm_case needs the marker llm_eval*"])


def test_a_missing_variable_names_the_case_and_what_there_is(plain_suite: Any) -> None:
    path = plain_suite.root / "prompts" / "ask.prompt.yml"
    path.write_text(path.read_text().replace("{{ n }}", "{{ number }}"))
    result = plain_suite.run("-k", "item-7")
    result.assert_outcomes(errors=1, deselected=19)
    result.stdout.fnmatch_lines(
        ["*case 'item-7': The prompt 'ask'*'number' is undefined*The inputs are: n.*"]
    )


def test_without_any_model_the_message_says_what_to_run(
    plain_suite: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("LLMOPS_CACHE_DIR", str(tmp_path / "empty"))
    path = plain_suite.root / "prompts" / "ask.prompt.yml"
    path.write_text(path.read_text().replace("model: scripted:model\n", ""))
    result = plain_suite.run()
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["*names no model*llmops pull*"])
    result = plain_suite.run("--llmops-model=scripted:other")
    result.assert_outcomes(passed=20)


def test_an_unknown_provider_is_told(plain_suite: Any) -> None:
    result = plain_suite.run("--llmops-model=opnai:gpt", "-k", "item-3")
    result.assert_outcomes(errors=1, deselected=19)
    result.stdout.fnmatch_lines(["*Unknown provider 'opnai'. Did you mean 'openai'?*"])
