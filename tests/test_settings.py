"""Hold the settings: where they come from, what they take, and where the project root is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llmops.errors import MisuseError
from pytest_llmops.settings import Settings, find_root, known_secrets, load_settings


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert load_settings(None, {}, {}) == load_settings(tmp_path, {}, {}) == Settings()


def test_option_wins_over_environment_over_file(tmp_path: Path) -> None:
    (tmp_path / "llmops.toml").write_text('alpha = 0.1\ncache = "off"\nrepeat = 2\n')
    found = load_settings(tmp_path, {"LLMOPS_CACHE": "offline", "LLMOPS_REPEAT": "3"}, {"repeat": "4"})
    assert (found.alpha, found.cache, found.repeat) == (0.1, "offline", 4)


def test_settings_stand_in_pyproject_too(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.llmops]\nmargin = {passed = 0.02, grade = 0.1}\n")
    assert load_settings(tmp_path, {}, {}).margin == {"passed": 0.02, "grade": 0.1}


def test_a_model_in_a_file_is_the_default_and_an_option_is_an_override(tmp_path: Path) -> None:
    (tmp_path / "llmops.toml").write_text('model = "openai:small"\n')
    found = load_settings(tmp_path, {}, {"model": "local:other"})
    assert (found.default_model, found.model) == ("openai:small", "local:other")


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (["0.02"], {"": 0.02}),
        (["passed=0.02", "0.1"], {"passed": 0.02, "": 0.1}),
        ("a=.1,b=.2", {"a": 0.1, "b": 0.2}),
    ],
)
def test_margins_are_given_for_all_or_by_metric(option: object, expected: dict[str, float]) -> None:
    assert load_settings(None, {}, {"margin": option}).margin == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", "0"),
        ("alpha", "0.5"),
        ("alpha", "nan"),
        ("margin", ["passed=0"]),
        ("margin", ["1.5"]),
        ("repeat", "1.5"),
        ("limit", "-1"),
        ("concurrency", "many"),
        ("cache", "on"),
        ("deadline", "0"),
        ("max_error_share", "2"),
        ("baseline", " "),
    ],
)
def test_a_wrong_value_names_the_option_and_the_value(name: str, value: object) -> None:
    with pytest.raises(MisuseError) as caught:
        load_settings(None, {}, {name: value})
    assert f"--llmops-{name.replace('_', '-')}" in str(caught.value)
    assert repr(value) in str(caught.value)


def test_a_wrong_value_in_environment_or_file_says_where(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="environment variable LLMOPS_ALPHA"):
        load_settings(None, {"LLMOPS_ALPHA": "high"}, {})
    (tmp_path / "llmops.toml").write_text("strict = 3\n")
    with pytest.raises(MisuseError, match=f"strict in the llmops settings of {tmp_path}"):
        load_settings(tmp_path, {}, {})
    (tmp_path / "llmops.toml").write_text("strict = \n")
    with pytest.raises(MisuseError, match="cannot be read as TOML"):
        load_settings(tmp_path, {}, {})


def test_the_root_is_the_nearest_marked_folder_else_git_else_the_fallback(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    test_file = deep / "test_x.py"
    test_file.touch()
    fallback = tmp_path / "elsewhere"
    assert find_root(test_file, fallback) == fallback
    (tmp_path / ".git").mkdir()
    assert find_root(test_file, fallback) == tmp_path
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\n")
    assert find_root(test_file, fallback) == tmp_path
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.llmops]\n")
    assert find_root(test_file, fallback) == tmp_path / "a"
    (tmp_path / "a" / "b" / ".llmops").mkdir()
    assert find_root(test_file, fallback) == tmp_path / "a" / "b"
    (deep / "llmops.toml").touch()
    assert find_root(test_file, fallback) == find_root(deep, fallback) == deep


def test_another_tools_broken_pyproject_is_not_our_business(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other\n")
    assert find_root(tmp_path, tmp_path.parent) == tmp_path.parent


def test_secrets_are_long_values_of_variables_named_so() -> None:
    environment = {
        "OPENAI_API_KEY": "sk-12345678",
        "MY_TOKEN": "short",
        "HOME": "/home/somebody",
        "db_password": "hunter2222",
    }
    assert known_secrets(environment) == {"OPENAI_API_KEY": "sk-12345678", "db_password": "hunter2222"}


def test_margins_of_all_places_are_joined_metric_by_metric(tmp_path):
    (tmp_path / "llmops.toml").write_text("margin = 0.1\n[margins]\npassed = 0.02\ntone = 0.2\n")

    found = load_settings(tmp_path, {"LLMOPS_MARGIN": "tone=0.3"}, {"margin": ["passed=0.04"]})

    assert found.margin == {"": 0.1, "passed": 0.04, "tone": 0.3}


def test_names_in_one_option_are_parted_by_commas():
    assert load_settings(None, {}, {"gate": ["passed,tone", "exact"]}).gate == ("passed", "tone", "exact")
