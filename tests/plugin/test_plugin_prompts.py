"""Hold that suites run the versions that they name: working file, alias, digest, stand-in."""

from __future__ import annotations

from typing import Any

from pytest_llmops.cli import main

TEST = """
import pytest

@pytest.mark.llm_eval(prompt="{}", golden="items.jsonl")
def test_items(llm_case):
    assert llm_case.text == llm_case.expected
"""


def registered(suite: Any, monkeypatch: Any, capsys: Any) -> str:
    """Register the working file and return its version."""
    monkeypatch.chdir(suite.root)
    assert main(["prompts", "register", "ask"]) == 0
    return str(capsys.readouterr().out.splitlines()[-1].split()[0].partition(":")[2])


def test_an_alias_is_run_whatever_the_working_file_says(suite: Any, monkeypatch: Any, capsys: Any) -> None:
    good = registered(suite, monkeypatch, capsys)
    assert main(["prompts", "alias", "ask", "live", good]) == 0
    suite.prompt(wrong=range(20))
    suite.body(TEST.format("ask@live"))
    suite.run().assert_outcomes(passed=20)
    suite.body(TEST.format(f"ask:{good}"))
    suite.run().assert_outcomes(passed=20)
    suite.body(TEST.format("ask"))
    suite.run().assert_outcomes(failed=20)
    suite.run("--llmops-prompt=ask@live").assert_outcomes(passed=20)


def test_an_alias_that_moved_is_compared_with_the_stored_run(
    plain_suite: Any, monkeypatch: Any, capsys: Any
) -> None:
    suite = plain_suite
    good = registered(suite, monkeypatch, capsys)
    main(["prompts", "alias", "ask", "live", good])
    suite.body(TEST.format("ask@live"))
    assert suite.run("--llmops-save-baseline=production").ret == 0
    suite.prompt(wrong=range(10))
    assert main(["prompts", "alias", "ask", "live", registered(suite, monkeypatch, capsys)]) == 0
    result = suite.run("--llmops-baseline=production")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*prompt changed: ask {good} -> *", "*| - Answer. Item {{ n }}*"])


def test_saving_registers_the_version_that_was_measured(plain_suite: Any) -> None:
    plain_suite.run("--llmops-save-baseline=production")
    assert len([path for path in plain_suite.stored() if path.startswith("prompts/ask/")]) == 1


def test_prompts_are_looked_up_from_the_test_to_the_root(plain_suite: Any) -> None:
    suite = plain_suite
    deep = suite.root / "evals" / "deep"
    deep.mkdir(parents=True)
    (suite.root / "test_items.py").rename(deep / "test_items.py")
    suite.run().assert_outcomes(passed=20)
    (deep / "ask.txt").write_text("Wrong: 1 2 3. Item {{ n }}\n")
    result = suite.run("--llmops-model=scripted:model")
    result.assert_outcomes(passed=17, failed=3)
    (deep / "prompts").mkdir()
    (deep / "prompts" / "ask.md").write_text("Item {{ n }}\n")
    result = suite.run("--llmops-model=scripted:model")
    result.stderr.fnmatch_lines(["*Two files are the prompt 'ask': *ask.txt and *ask.md*"])
