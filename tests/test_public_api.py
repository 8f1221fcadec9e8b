"""Hold the public face: what `__all__` promises can be imported, and importing costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pytest_llmops


def test_all_is_sorted_and_complete() -> None:
    assert pytest_llmops.__all__ == sorted(pytest_llmops.__all__)
    homes = [name for names in pytest_llmops._HOMES.values() for name in names]
    assert sorted(homes) == pytest_llmops.__all__ == dir(pytest_llmops)


@pytest.mark.parametrize("name", pytest_llmops.__all__)
def test_every_public_name_comes_from_its_home_with_a_docstring(name: str) -> None:
    thing = getattr(pytest_llmops, name)
    assert thing.__name__ == name
    assert thing.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Promt'"):
        pytest_llmops.Promt  # noqa: B018


def test_importing_the_package_imports_no_module_of_it() -> None:
    code = "import sys, pytest_llmops; print([n for n in sys.modules if n.startswith('pytest_llmops.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
