"""Hold that users' own scorers are taken by object and by name, with and without workers."""

from __future__ import annotations

from typing import Any

import pytest

USAGE_ERROR = 4

TEST = """
import asyncio
import pytest
from pytest_llmops import scorer


{code}


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.{mark}
def test_items(llm_case):
    ...
"""

RIGHT = """
@scorer
def right(case, response) -> bool:
    return response.text == case.expected
"""

WAITING = """
@scorer(threshold=0.5)
async def waiting(case, response):
    await asyncio.sleep(0)
    return float(response.text == case.expected)
"""

SLEEPING = WAITING.replace("asyncio.sleep(0)", "asyncio.sleep(0.001)")

HOOK = """

def pytest_llmops_scorers():
    return {result}
"""

POLITE = """
from pytest_llmops import scorer

def right(case, response) -> bool:
    return response.text == case.expected

def wrong(case, response) -> bool:
    return False
"""

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"


def marked(suite: Any, mark: str, code: str = "") -> None:
    suite.body(TEST.format(mark=mark, code=code))


def offering(suite: Any, result: str, code: str = POLITE) -> None:
    path = suite.root / "conftest.py"
    path.write_text(path.read_text() + code + HOOK.format(result=result))


@pytest.mark.parametrize(
    ("workers", "mark", "code"),
    [
        (("-n2",), "llm_metric(right)", RIGHT),
        (("-n0",), "llm_metric(waiting)", WAITING),
        (("-n2",), "llm_metric(waiting)", SLEEPING),
        ((), "llm_metric(metric=right)", RIGHT.replace("@scorer\n", "")),
    ],
    ids=["sync", "async", "sleeping", "plain function"],
)
def test_a_scorer_of_the_test_decides_and_a_second_run_asks_nothing(suite: Any, mark: str, code: str) -> None:
    marked(suite, mark, code)
    suite.prompt(wrong=[3, 7])
    for calls in (20, 0):
        result = suite.run()
        result.assert_outcomes(passed=18, failed=2)
        assert len(suite.calls) == calls


@pytest.mark.parametrize("code", [RIGHT, WAITING, SLEEPING], ids=["sync", "async", "sleeping"])
def test_a_function_is_called_once_an_answer(plain_suite: Any, code: str) -> None:
    name = "right" if code is RIGHT else "waiting"
    count = "open('scored.txt', 'a').write(case.id + '\\n')\n    "
    head, _, rest = code.partition(":\n    ")
    marked(plain_suite, f"llm_metric({name})", f"{head}:\n    {count}{rest}")
    for runs in (1, 2):
        # In the second run all answers are known.
        plain_suite.run("-W", "ignore").assert_outcomes(passed=20)
        scored = (plain_suite.root / "scored.txt").read_text().split()
        assert len(scored) == 20 * runs


@pytest.mark.parametrize(("workers", "code"), [((), RIGHT), (("-n2",), WAITING)], ids=["sync", "async-n2"])
def test_its_regression_is_red(suite: Any, code: str) -> None:
    name = "right" if code is RIGHT else "waiting"
    marked(suite, f"llm_metric({name})", code)
    assert suite.run(SAVE).ret == 0
    assert suite.run(COMPARE).ret == 0
    suite.prompt(wrong=range(10))
    result = suite.run(COMPARE)
    result.assert_outcomes(passed=10, xfailed=10, failed=1)
    result.stdout.fnmatch_lines([f"*{name}*regressed*", f"*llmops[[]{name}[]]*"])


def test_another_function_scores_the_stored_answers_again(plain_suite: Any) -> None:
    marked(plain_suite, "llm_metric(waiting)", WAITING)
    assert plain_suite.run(SAVE).ret == 0
    marked(plain_suite, "llm_metric(waiting)", WAITING.replace("float(", "0.9 * float("))
    assert len(plain_suite.calls) == 20
    result = plain_suite.run(COMPARE)
    assert result.ret == 0
    assert plain_suite.calls == []
    result.stdout.fnmatch_lines(["*waiting*unchanged*"])


@pytest.mark.parametrize(("workers", "code"), [(("-n2",), RIGHT), ((), SLEEPING)], ids=["sync-n2", "async"])
def test_a_function_that_raises_is_an_error_of_its_test(suite: Any, code: str) -> None:
    name = "right" if code is RIGHT else "waiting"
    marked(suite, f"llm_metric({name})", code.replace("return ", "1 / int(case.inputs['n']); return "))
    result = suite.run(SAVE)
    result.assert_outcomes(passed=19, errors=1)
    result.stdout.fnmatch_lines(
        [f"*The scorer '{name}' raised ZeroDivisionError on the case 'item-0': *(test_items.py, line *"]
    )
    assert "Traceback" not in result.stdout.str()
    assert not [path for path in suite.stored() if path.startswith(("runs/", "refs/"))]


@pytest.mark.parametrize(
    ("workers", "result"),
    [((), "[right, scorer(name='other')(wrong)]"), (("-n2",), "{'right': right, 'other': wrong}")],
)
def test_a_hook_offers_scorers_by_name(suite: Any, result: str) -> None:
    offering(suite, result)
    marked(suite, 'llm_metric("right")')
    suite.run().assert_outcomes(passed=20)
    marked(suite, 'llm_metric("other", name="mine", required=True)')
    found = suite.run()
    found.assert_outcomes(failed=20)


def test_a_mapping_names_the_metric(plain_suite: Any) -> None:
    offering(plain_suite, "{'as_told': wrong}")
    marked(plain_suite, 'llm_metric("as_told")')
    plain_suite.run().stdout.fnmatch_lines(["*as_told: 0.0*"])


def test_an_installed_package_offers_scorers_by_name(
    plain_suite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Workers inside the tests have the import path that this process began with.
    suite = plain_suite
    package = suite.root / "installed"
    (package / "tone-1.0.dist-info").mkdir(parents=True)
    (package / "tone-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tone\nVersion: 1.0\n"
    )
    (package / "tone-1.0.dist-info" / "entry_points.txt").write_text(
        "[pytest_llmops.scorers]\nfriendly = tone:right\nlost = tone:none\n"
    )
    (package / "tone.py").write_text(POLITE)
    monkeypatch.syspath_prepend(package)
    marked(suite, 'llm_metric("friendly")')
    suite.prompt(wrong=[3])
    result = suite.run()
    result.assert_outcomes(passed=19, failed=1)
    result.stdout.fnmatch_lines(["*friendly: *"])
    marked(suite, 'llm_metric("lost")')
    result = suite.run()
    assert result.ret != 0
    assert "The scorer 'lost' of tone:none (package tone) cannot be loaded: AttributeError" in (
        result.stdout.str() + result.stderr.str()
    )
    offering(suite, "{'friendly': right}")
    result = suite.run()
    assert "Two scorers are called 'friendly': " in result.stdout.str() + result.stderr.str()
    assert "and tone:right (package tone). Rename one." in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("result", "mark", "message"),
    [
        (
            "{'exact': right}",
            'llm_metric("exact")',
            "*'exact' of *.right (*conftest.py:* built-in metric's name*",
        ),
        ("{'rouge-l': right}", 'llm_metric("exact")', "*'rouge-l' of *built-in metric's name*"),
        ("[right, scorer(name='right')(wrong)]", 'llm_metric("right")', "*Two scorers*'right'*right*wrong*"),
        ("[right]", 'llm_metric("rihgt")', "*no such metric. Did you mean 'right'?*"),
        ("[right]", 'llm_metric("right", value=3)', "*takes no value*"),
        ("[right]", 'llm_metric("right", threshold=0.5)', "*'right' passes or fails: it takes no threshold*"),
        ("3", 'llm_metric("right")', "*pytest_llmops_scorers() gave 3: give a list*"),
        ("[3]", 'llm_metric("right")', "*pytest_llmops_scorers() gave 3, which is no scorer*"),
        ("[]", 'llm_metric("number", tolerance="x")', "*tolerance 'x' is neither*"),
        ("[]", 'llm_metric("exact", ignore=["$.a"])', "*'exact' takes no ignore; 'json_equal' does*"),
        ("[]", 'llm_metric("latency", tolerance=1)', "*'latency' takes no tolerance*"),
        ("[]", "llm_metric(lambda case, response: 1)", "*name='<lambda>': give a name*"),
    ],
)
def test_a_wrong_offer_or_mark_is_a_usage_error(
    plain_suite: Any, result: str, mark: str, message: str
) -> None:
    offering(plain_suite, result)
    marked(plain_suite, mark)
    found = plain_suite.run()
    assert found.ret == USAGE_ERROR, found.stdout.str()
    found.stderr.fnmatch_lines([f"ERROR: test_items.py::test_items: {message}"])
    assert "Traceback" not in found.stderr.str() + found.stdout.str()


def test_a_folder_offers_scorers_to_its_own_tests(plain_suite: Any) -> None:
    root = plain_suite.root
    code = TEST.format(mark='llm_metric("own")', code="")
    (root / "test_items.py").unlink()
    for folder, value in (("one", "True"), ("two", "False")):
        (root / folder).mkdir()
        (root / folder / f"test_{folder}.py").write_text(code)
        (root / folder / "conftest.py").write_text(
            f"def own(case, response) -> bool:\n    return {value}\n" + HOOK.format(result="[own]")
        )
    plain_suite.run("--import-mode=importlib").assert_outcomes(passed=20, failed=20)


AUTOEVALS = """
class Result:
    def __init__(self, score):
        self.name, self.score, self.metadata = "Same", score, {}


class Same:
    def eval(self, output, expected=None, **kwargs):
        assert kwargs["input"] in range(20)
        return Result(None if output == "cut" else float(output == expected))

    async def eval_async(self, output, expected=None, **kwargs):
        await asyncio.sleep(0)
        return self.eval(output, expected, **kwargs)

    __call__ = eval
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "n2"])
def test_an_object_in_the_style_of_autoevals_is_a_scorer(suite: Any) -> None:
    marked(suite, "llm_metric(Same(), threshold=0.5)", AUTOEVALS)
    suite.prompt(wrong=[3])
    for calls in (20, 0):
        result = suite.run()
        result.assert_outcomes(passed=19, failed=1)
        result.stdout.fnmatch_lines(["*Same: 0.0*"])
        assert len(suite.calls) == calls


def test_text_metrics_take_their_options(plain_suite: Any) -> None:
    suite = plain_suite
    marked(
        suite,
        'llm_metric("contains-any", value=["yes", "oui"])\n@pytest.mark.llm_metric("rouge_l", threshold=1)',
    )
    suite.prompt(wrong=[3])
    suite.run().assert_outcomes(passed=19, failed=1)
    marked(suite, 'llm_metric("number", value=5, tolerance="10%", required=True)')
    result = suite.run()
    result.assert_outcomes(failed=20)
    result.stdout.fnmatch_lines(["*number: the answer holds no number*"])
