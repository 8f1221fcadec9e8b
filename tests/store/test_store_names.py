from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.names import check_name, is_name, slug


@pytest.mark.parametrize(
    "name", ["a", "0", "triage", "triage.v2", "a_b-c", "x" * 64, "console", "com", "lpt10"]
)
def test_plain_names_pass(name: str) -> None:
    assert check_name(name, "a prompt") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "-x",
        "_x",
        "x" * 65,
        "Triage",
        "tri age",
        "a/b",
        "a\\b",
        "../a",
        "a:b",
        "a@b",
        "a\n",
        "\n",
        "a\x00",
        "é",
        "\uff41",
        "a.",
        "a..",
        "a%2e",
        "~a",
        "$a",
        "a*",
    ],
)
def test_other_names_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(MisuseError, match=r"cannot name a prompt: a name is 1 to 64 characters of a-z, 0-9"):
        check_name(name, "a prompt")


@pytest.mark.parametrize("name", ["con", "nul", "prn", "aux", "com1", "lpt9", "nul.txt", "com1.prompt.v2"])
def test_names_of_devices_are_refused(name: str) -> None:
    with pytest.raises(MisuseError, match=r"cannot name an alias: Windows keeps it for a device"):
        check_name(name, "an alias")


@given(st.text())
def test_a_name_is_safe_as_a_file_name(name: str) -> None:
    if is_name(name):
        assert re.fullmatch(r"[a-z0-9._-]+", name)
        assert name[0] not in "._-"
        assert name[-1] != "."


@given(st.text())
def test_every_text_has_a_slug_that_is_a_safe_file_name(text: str) -> None:
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*-)?[0-9a-f]{12}", slug(text))
    assert len(slug(text)) <= 53
    assert is_name(slug(text))


def test_texts_that_look_alike_have_slugs_of_their_own() -> None:
    texts = ["a/b", "a\\b", "A/b", "a-b", "a b", "a/b ", "é", "e\u0301", "", "/", "a" * 50, "a" * 51]
    assert len({slug(text) for text in texts}) == len(texts)


def test_a_slug_can_be_read() -> None:
    assert slug("evals/test_triage.py::test_triage[lang=en]").startswith(
        "evals-test-triage-py-test-triage-lang-en-"
    )
