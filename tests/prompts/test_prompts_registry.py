from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_llmops.errors import DamagedError, MisuseError
from pytest_llmops.prompts.prompt import Prompt
from pytest_llmops.prompts.registry import Registry
from pytest_llmops.store.objects import Objects
from pytest_llmops.store.refs import Refs

FIRST = Prompt(
    name="triage",
    messages=({"role": "user", "content": "Sort: {{ text }} €"},),
    model="openai:m",
    parameters={"temperature": 0.0, "stop": ["\n"]},
    tools=({"type": "function"},),
    response_format={"type": "json_object"},
    description="Sorts.",
    source="prompts/triage.prompt.yml",
)
SECOND = replace(FIRST, model="openai:n")


def opened(root: Path) -> Registry:
    return Registry(Objects(root), Refs(root))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return opened(tmp_path / ".llmops")


def point(registry: Registry, alias: str, prompt: Prompt) -> None:
    registry.alias(prompt.name, alias, prompt.digest, who="me", why="tested")


def file_of(registry: Registry, prompt: Prompt) -> Path:
    return registry.objects.root / "prompts" / prompt.name / f"{prompt.digest}.json"


def test_a_version_comes_back_as_it_was_registered(registry: Registry) -> None:
    digest = registry.register(FIRST)
    assert digest == FIRST.digest
    found = registry.get("triage", digest)
    assert found.content == FIRST.content
    assert (found.name, found.description) == ("triage", "Sorts.")
    assert found.source == f"triage:{digest[:12]}"
    assert registry.get("triage", digest[:6]) == found


def test_the_same_content_is_stored_once(registry: Registry) -> None:
    registry.register(FIRST)
    before = file_of(registry, FIRST).read_bytes()
    other = replace(
        FIRST, description="Other words.", source="elsewhere", parameters={"stop": ["\n"], "temperature": 0}
    )
    assert registry.register(other) == FIRST.digest
    assert file_of(registry, FIRST).read_bytes() == before
    assert registry.versions("triage") == [FIRST.digest]


def test_a_stored_version_is_json_that_people_can_review(registry: Registry) -> None:
    registry.register(FIRST)
    text = file_of(registry, FIRST).read_text(encoding="utf-8")
    assert "Sort: {{ text }} €" in text
    assert text.count("\n") > 10
    assert json.loads(text)["content"]["messages"] == [{"role": "user", "content": "Sort: {{ text }} €"}]


def test_prompts_and_versions_are_listed(registry: Registry) -> None:
    assert registry.names() == []
    assert registry.versions("triage") == []
    registry.register(FIRST)
    registry.register(SECOND)
    registry.register(replace(FIRST, name="answer"))
    assert registry.names() == ["answer", "triage"]
    assert registry.versions("triage") == sorted([FIRST.digest, SECOND.digest])


@pytest.mark.parametrize("name", ["", "Triage", "a/b", "..", "nul", "tri age"])
def test_a_prompt_without_a_proper_name_is_not_registered(registry: Registry, name: str) -> None:
    with pytest.raises(MisuseError, match="cannot name a prompt"):
        registry.register(replace(FIRST, name=name))
    assert not registry.objects.root.exists()
    assert registry.find(name, FIRST.digest) is None


def test_an_alias_points_at_a_version(registry: Registry) -> None:
    registry.register(FIRST)
    registry.register(SECOND)
    point(registry, "production", FIRST)
    point(registry, "canary", SECOND)
    assert registry.resolve("triage@production").content == FIRST.content
    assert registry.resolve("triage@production").source == "triage@production"
    assert registry.resolve(f"triage:{SECOND.version}").content == SECOND.content
    assert registry.aliases("triage") == {"canary": SECOND.digest, "production": FIRST.digest}
    move = registry.alias("triage", "production", SECOND.version, who="me", why="better")
    assert (move.before, move.to, move.why) == (FIRST.digest, SECOND.digest, "better")
    assert registry.resolve("triage@production").content == SECOND.content


def test_a_version_that_may_not_be_held_is_looked_for(registry: Registry) -> None:
    assert registry.find("triage", FIRST.digest) is None
    registry.register(FIRST)
    held = registry.find("triage", FIRST.digest)
    assert held is not None
    assert held.content == FIRST.content
    assert registry.find("triage", SECOND.digest) is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("triag@production", "No version of a prompt 'triag' is registered. Did you mean 'triage'?"),
        ("zzz@production", "No version of a prompt 'zzz' is registered. Known: answer, triage."),
        ("triage@producton", "The prompt 'triage' has no alias 'producton'. Did you mean 'production'?"),
        ("answer@production", "The prompt 'answer' has no alias 'production'. None is known."),
        ("triag:abcdef", "No version of a prompt 'triag' is registered. Did you mean 'triage'?"),
        ("triage:abc", "'abc' is not a digest: write at least 6 of its hex digits."),
        ("triage", "'triage' names no version: write `name@alias` or `name:digest`."),
        ("", "'' names no version: write `name@alias` or `name:digest`."),
    ],
)
def test_what_is_unknown_is_named_with_the_closest(registry: Registry, spec: str, said: str) -> None:
    registry.register(FIRST)
    registry.register(replace(FIRST, name="answer"))
    point(registry, "production", FIRST)
    with pytest.raises(MisuseError) as caught:
        registry.resolve(spec)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "spec", ["../x@production", "triage@../x", "Triage@production", "triage@", "@x", ":abcdef"]
)
def test_a_spec_with_bad_names_is_refused(registry: Registry, spec: str) -> None:
    registry.register(FIRST)
    with pytest.raises(MisuseError, match="cannot name"):
        registry.resolve(spec)


def test_an_unknown_version_is_named_with_the_stored_ones(registry: Registry) -> None:
    registry.register(FIRST)
    for call in (
        lambda: registry.resolve("triage:ffffff"),
        lambda: registry.alias("triage", "production", "ffffff"),
    ):
        with pytest.raises(MisuseError, match=rf"begins with 'ffffff'\. Stored: {FIRST.version}\."):
            call()
    assert registry.aliases("triage") == {}


def test_an_alias_moved_on_two_branches_is_named(registry: Registry, tmp_path: Path) -> None:
    registry.register(FIRST)
    registry.register(SECOND)
    shutil.copytree(registry.objects.root, tmp_path / "other")
    point(registry, "production", FIRST)
    point(opened(tmp_path / "other"), "production", SECOND)
    shutil.copytree(tmp_path / "other", registry.objects.root, dirs_exist_ok=True)
    for call in (lambda: registry.resolve("triage@production"), lambda: registry.aliases("triage")):
        with pytest.raises(MisuseError, match="aliases/triage/production was moved on two branches"):
            call()


def edited(change: Callable[[dict[str, object]], object]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        data = json.loads(text)
        change(data)
        return json.dumps(data)

    return edit


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: text[:-20], id="cut"),
        pytest.param(lambda text: "[1]", id="list"),
        pytest.param(lambda text: "null", id="null"),
        pytest.param(lambda text: text.replace("Sort", "sort"), id="text"),
        pytest.param(lambda text: "[" * 100_000, id="deep"),
        pytest.param(edited(lambda data: data.pop("content")), id="no content"),
        pytest.param(edited(lambda data: data.update(content=3)), id="content is a number"),
        pytest.param(edited(lambda data: data.update(name="other")), id="other name"),
        pytest.param(edited(lambda data: data.update(schema_version="1")), id="schema version is text"),
        pytest.param(edited(lambda data: data["content"].pop("engine")), id="no engine"),  # type: ignore[attr-defined]
    ],
)
def test_a_damaged_version_is_named(registry: Registry, damage: Callable[[str], str]) -> None:
    registry.register(FIRST)
    point(registry, "production", FIRST)
    path = file_of(registry, FIRST)
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    for call in (
        lambda: registry.resolve("triage@production"),
        lambda: registry.get("triage", FIRST.version),
        lambda: registry.register(FIRST),
    ):
        with pytest.raises(DamagedError, match=rf"{FIRST.digest}\.json is damaged: "):
            call()


def test_no_flipped_bit_gives_another_prompt(registry: Registry) -> None:
    registry.register(FIRST)
    path = file_of(registry, FIRST)
    data = path.read_bytes()
    for index in range(len(data)):
        path.write_bytes(data[:index] + bytes([data[index] ^ 1 << index % 8]) + data[index + 1 :])
        try:
            found = registry.get("triage", FIRST.digest)
        except MisuseError as error:
            assert str(path) in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert found.content == FIRST.content


def test_a_version_of_a_newer_format_says_so(registry: Registry) -> None:
    registry.register(FIRST)
    path = file_of(registry, FIRST)
    path.write_text(edited(lambda data: data.update(schema_version=2))(path.read_text()))
    with pytest.raises(MisuseError, match=r"\.json: A newer pytest-llmops wrote this prompt") as caught:
        registry.get("triage", FIRST.digest)
    assert not isinstance(caught.value, DamagedError)
