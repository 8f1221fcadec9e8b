from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pytest_llmops.errors import DamagedError, MisuseError
from pytest_llmops.store.canonical import digest_text
from pytest_llmops.store.move import Move
from pytest_llmops.store.refs import Refs, alias_ref, baseline_ref

PRODUCTION = alias_ref("triage", "production")
ONE, TWO, THREE = (digest_text(text) for text in ("one", "two", "three"))
WHEN = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)

RACING = """
import sys
from pathlib import Path
from pytest_llmops.errors import MisuseError
from pytest_llmops.store.refs import Refs
refs, me, mode = Refs(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
print("ready", flush=True)
sys.stdin.readline()
for turn in range(6):
    ref = f"aliases/triage/{turn if mode == 'expected' else 'one'}"
    try:
        refs.move(ref, me * 64, who=me, why=str(turn), **({"expected": None} if mode == "expected" else {}))
        print("moved")
    except MisuseError as error:
        print(error)
"""

HOLDING = """
import sys
from pathlib import Path
from pytest_llmops.store.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def refs(tmp_path: Path) -> Refs:
    return Refs(tmp_path / ".llmops")


def move(refs: Refs, to: str, ref: str = PRODUCTION, **more: object) -> Move:
    return refs.move(ref, to, who="me", when=WHEN, **more)  # type: ignore[arg-type]


def fork(refs: Refs, first: str, second: str) -> tuple[Move, Move]:
    """Move the same ref in two copies of the folder, and put the copies together."""
    other = Refs(refs.root.parent / "other" / ".llmops")
    if refs.root.exists():
        shutil.copytree(refs.root, other.root)
    moves = move(refs, first), move(other, second)
    shutil.copytree(other.root, refs.root, dirs_exist_ok=True)
    return moves


def test_a_ref_points_where_it_was_moved_last(refs: Refs) -> None:
    assert refs.current(PRODUCTION) is None
    assert refs.tips(PRODUCTION) == refs.log(PRODUCTION) == ()
    first = move(refs, ONE, why="a start")
    second = move(refs, TWO)
    back = move(refs, ONE, why="rollback")
    assert refs.current(PRODUCTION) == ONE
    assert refs.tips(PRODUCTION) == (back,)
    assert refs.log(PRODUCTION) == (first, second, back)
    assert [(entry.before, entry.to, entry.why) for entry in refs.log(PRODUCTION)] == [
        (None, ONE, "a start"),
        (ONE, TWO, ""),
        (TWO, ONE, "rollback"),
    ]


def test_reading_makes_no_file(refs: Refs) -> None:
    refs.current(PRODUCTION)
    assert refs.names("aliases") == refs.keys("aliases", "triage") == []
    assert not refs.root.exists()


def test_a_move_is_a_file_of_plain_json_that_its_digest_names(refs: Refs) -> None:
    first = move(refs, ONE)
    second = refs.move(
        PRODUCTION,
        TWO,
        who="me",
        why="why",
        when=datetime(2026, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=1))),
    )
    path = refs.root / "refs" / "aliases" / "triage" / "production" / f"{second.digest}.json"
    text = path.read_text()
    assert digest_text(text.rstrip("\n")) == path.stem
    assert json.loads(text) == {
        "schema_version": 1,
        "ref": "aliases/triage/production",
        "from": ONE,
        "to": TWO,
        "parents": [first.digest],
        "when": "2026-01-02T02:04:05Z",
        "who": "me",
        "why": "why",
    }


def test_the_first_move_explains_the_folder(refs: Refs) -> None:
    move(refs, ONE)
    assert (refs.root / "README.md").exists()
    assert "local/" in (refs.root / ".gitignore").read_text()
    assert [path.name for path in (refs.root / "local").iterdir()] == ["refs.lock"]


def test_a_move_expects_what_the_mover_saw(refs: Refs) -> None:
    move(refs, ONE, expected=None)
    with pytest.raises(MisuseError, match=rf"by somebody else: to {ONE[:12]} by me on .* where nothing was"):
        move(refs, TWO, expected=None)
    with pytest.raises(MisuseError, match=f"where {TWO[:12]} was expected"):
        move(refs, THREE, expected=TWO)
    move(refs, TWO, expected=ONE)
    assert refs.current(PRODUCTION) == TWO
    with pytest.raises(MisuseError, match="points at nothing now"):
        move(refs, ONE, ref=alias_ref("triage", "new"), expected=ONE)


@pytest.mark.parametrize("to", ["", "abc", ONE[:12], ONE.upper(), f"{ONE}0", f"{ONE[:-1]}\n"])
def test_a_ref_points_at_whole_digests_only(refs: Refs, to: str) -> None:
    with pytest.raises(MisuseError, match="not a digest of 64 hex digits"):
        move(refs, to)
    assert refs.current(PRODUCTION) is None


@pytest.mark.parametrize(
    "ref", ["", "aliases", "aliases/a", "aliases/a/b/c", "aliases/../b", "heads/a/b", "baselines/A/k"]
)
def test_what_is_no_ref_is_refused(refs: Refs, ref: str) -> None:
    with pytest.raises(MisuseError, match=r"cannot name|is no ref"):
        move(refs, ONE, ref=ref)
    with pytest.raises(MisuseError, match=r"cannot name|is no ref"):
        refs.current(ref)


def test_a_fork_is_named_with_both_moves_and_the_way_out(refs: Refs) -> None:
    move(refs, ONE)
    fork(refs, TWO, THREE)
    with pytest.raises(MisuseError) as caught:
        refs.current(PRODUCTION)
    said = str(caught.value)
    assert said.startswith("aliases/triage/production was moved on two branches: ")
    assert f"to {TWO[:12]} by me on 2026-11-20T12:00:00Z" in said
    assert f"to {THREE[:12]} by me on" in said
    assert "Settle it with `llmops resolve aliases/triage/production <digest>`" in said
    with pytest.raises(MisuseError, match="moved on two branches"):
        move(refs, ONE)


def test_settling_follows_both_tips(refs: Refs) -> None:
    move(refs, ONE)
    both = fork(refs, TWO, THREE)
    settled = refs.settle(PRODUCTION, THREE, who="me", why="reviewed", when=WHEN)
    assert settled.parents == tuple(sorted(entry.digest for entry in both))
    assert settled.before is None
    assert refs.current(PRODUCTION) == THREE
    assert refs.log(PRODUCTION)[-1] == settled
    assert len(refs.log(PRODUCTION)) == 4
    with pytest.raises(MisuseError, match="needs no settling"):
        refs.settle(PRODUCTION, TWO, who="me")


def test_moves_of_parallel_branches_stand_in_the_order_of_time(refs: Refs) -> None:
    others = [Refs(refs.root.parent / str(number) / ".llmops") for number in range(5)]
    for number, other in enumerate(others):
        other.move(PRODUCTION, ONE, who="me", when=WHEN - timedelta(hours=number))
        shutil.copytree(other.root, refs.root, dirs_exist_ok=True)
    times = [entry.when for entry in refs.log(PRODUCTION)]
    assert times == sorted(times)
    assert [entry.when for entry in refs.tips(PRODUCTION)] == times


def test_two_branches_that_agree_are_no_fork(refs: Refs) -> None:
    move(refs, ONE)
    other = Refs(refs.root.parent / "other" / ".llmops")
    shutil.copytree(refs.root, other.root)
    refs.move(PRODUCTION, TWO, who="me", when=WHEN)
    other.move(PRODUCTION, TWO, who="you", when=WHEN)
    shutil.copytree(other.root, refs.root, dirs_exist_ok=True)
    assert len(refs.tips(PRODUCTION)) == 2
    assert refs.current(PRODUCTION) == TWO
    assert move(refs, THREE, expected=TWO).before == TWO
    assert refs.tips(PRODUCTION)[0].to == THREE


def test_baselines_hold_a_ref_a_test_under_its_full_key(refs: Refs) -> None:
    keys = [
        "evals/test_triage.py::test_triage[lang=en]",
        "evals/test_triage.py::test_triage[lang=EN]",
        "é/\U0001f600 ",
    ]
    for key, digest in zip(keys, (ONE, TWO, THREE), strict=True):
        move(refs, digest, ref=baseline_ref("production", key))
    move(refs, ONE, ref=baseline_ref("main", keys[0]))
    assert refs.names("baselines") == ["main", "production"]
    assert refs.keys("baselines", "production") == sorted(keys)
    assert [refs.current(baseline_ref("production", key)) for key in keys] == [ONE, TWO, THREE]
    folders = [path.name for path in (refs.root / "refs" / "baselines" / "production").iterdir()]
    assert all(name.isascii() and not set(name) & set("/:[]= ") for name in folders)
    with pytest.raises(MisuseError, match="needs the key of a test"):
        baseline_ref("production", "")


def test_aliases_and_prompts_are_listed(refs: Refs) -> None:
    for prompt, alias in (("triage", "production"), ("triage", "canary"), ("answer", "production")):
        move(refs, ONE, ref=alias_ref(prompt, alias))
    (refs.root / "refs" / "aliases" / "empty" / "left").mkdir(parents=True)
    assert refs.names("aliases") == ["answer", "triage"]
    assert refs.keys("aliases", "triage") == ["canary", "production"]
    assert refs.keys("aliases", "empty") == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-10],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace(ONE, TWO),
        lambda text: text.replace('"me"', '"you"'),
        lambda text: text.replace("production", "canary"),
        lambda text: "[" * 100_000,
        lambda text: text.replace('"when":', '"when":1e999,"x":'),
    ],
    ids=["cut", "empty", "list", "target", "mover", "ref", "deep", "infinite"],
)
def test_a_damaged_move_is_named(refs: Refs, damage) -> None:
    first = move(refs, ONE)
    path = refs.root / "refs" / "aliases" / "triage" / "production" / f"{first.digest}.json"
    path.write_text(damage(path.read_text()))
    for read in (refs.current, refs.log, lambda ref: refs.keys("aliases", "triage")):
        with pytest.raises(DamagedError, match=rf"{first.digest}\.json"):
            read(PRODUCTION)


def test_a_misplaced_move_is_named(refs: Refs) -> None:
    move(refs, ONE)
    aliases = refs.root / "refs" / "aliases" / "triage"
    shutil.copytree(aliases / "production", aliases / "canary")
    with pytest.raises(DamagedError, match="it belongs to 'aliases/triage/production', not here"):
        refs.current(alias_ref("triage", "canary"))
    with pytest.raises(DamagedError, match="it belongs to"):
        refs.keys("aliases", "triage")


def test_a_move_of_a_newer_version_says_so(refs: Refs) -> None:
    first = move(refs, ONE)
    path = refs.root / "refs" / "aliases" / "triage" / "production" / f"{first.digest}.json"
    path.write_text(path.read_text().replace('"schema_version":1', '"schema_version":2'))
    with pytest.raises(MisuseError, match="A newer pytest-llmops wrote this move") as caught:
        refs.current(PRODUCTION)
    assert not isinstance(caught.value, DamagedError)


def race(refs: Refs, mode: str) -> dict[str, list[str]]:
    racers = {
        name: subprocess.Popen(
            [sys.executable, "-c", RACING, str(refs.root), name, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abc"
    }
    for racer in racers.values():
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers.values():
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    return {name: racer.communicate()[0].splitlines() for name, racer in racers.items()}


def test_of_racing_movers_one_wins_and_the_others_are_told(refs: Refs) -> None:
    said = race(refs, "expected")
    for turn in range(6):
        ref = alias_ref("triage", str(turn))
        (winner,) = (name for name, lines in said.items() if lines[turn] == "moved")
        assert refs.current(ref) == winner * 64
        assert len(refs.log(ref)) == 1
        for name in set(said) - {winner}:
            assert f"{ref} was moved by somebody else: to {winner * 12} by {winner}" in said[name][turn]


def test_racing_movers_without_expectations_make_one_line_of_moves(refs: Refs) -> None:
    said = race(refs, "any")
    assert {line for lines in said.values() for line in lines} == {"moved"}
    log = refs.log(alias_ref("triage", "one"))
    assert len(log) == 18
    assert [entry.parents for entry in log] == [(), *((entry.digest,) for entry in log[:-1])]


def test_a_killed_mover_leaves_no_lock(refs: Refs) -> None:
    move(refs, ONE)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(refs.root / "local" / "refs.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    move(refs, TWO)
    assert refs.current(PRODUCTION) == TWO


def test_a_lock_that_is_no_lock_is_named(refs: Refs) -> None:
    (refs.root / "local").mkdir(parents=True)
    (refs.root / "local" / "refs.lock").write_bytes(b"x" * 5000)
    with pytest.raises(MisuseError, match=r"refs.lock cannot be locked: file is not a database"):
        move(refs, ONE)


def test_a_file_in_place_of_the_local_folder_is_named(refs: Refs) -> None:
    move(refs, ONE)
    shutil.rmtree(refs.root / "local")
    (refs.root / "local").write_text("x")
    with pytest.raises(MisuseError, match=r"refs\.lock cannot be locked: "):
        move(refs, TWO)
    assert refs.current(PRODUCTION) == ONE


COPIES, DIGESTS = st.sampled_from([0, 1]), st.sampled_from([ONE, TWO, THREE])


class Branches(RuleBasedStateMachine):
    """Move one ref in two copies of the folder and merge them, beside a model made of sets."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = Path(tempfile.mkdtemp())
        self.copies = [Refs(self.folder / name / ".llmops") for name in "ab"]
        self.known: list[set[str]] = [set(), set()]
        self.targets: dict[str, str] = {}
        self.older: dict[str, frozenset[str]] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def heads(self, copy: int) -> set[str]:
        known = self.known[copy]
        return {entry for entry in known if not any(entry in self.older[other] for other in known)}

    def take(self, copy: int, entry: Move, heads: set[str]) -> None:
        self.targets[entry.digest] = entry.to
        self.older[entry.digest] = frozenset(heads).union(*(self.older[head] for head in heads))
        self.known[copy].add(entry.digest)

    @rule(
        copy=st.sampled_from([0, 1]),
        to=st.sampled_from([ONE, TWO, THREE]),
        who=st.sampled_from(["me", "you"]),
    )
    def move(self, copy: int, to: str, who: str) -> None:
        heads = self.heads(copy)
        if len({self.targets[head] for head in heads}) > 1:
            with pytest.raises(MisuseError, match="moved on two branches"):
                self.copies[copy].move(PRODUCTION, to, who=who, when=WHEN)
        else:
            self.take(copy, self.copies[copy].move(PRODUCTION, to, who=who, when=WHEN), heads)

    @rule(copy=COPIES, to=DIGESTS)
    def settle(self, copy: int, to: str) -> None:
        heads = self.heads(copy)
        if len(heads) < 2:
            with pytest.raises(MisuseError, match="needs no settling"):
                self.copies[copy].settle(PRODUCTION, to, who="me", when=WHEN)
        else:
            self.take(copy, self.copies[copy].settle(PRODUCTION, to, who="me", when=WHEN), heads)

    @rule(copy=COPIES)
    def merge(self, copy: int) -> None:
        source = self.copies[1 - copy].root
        if source.exists():
            shutil.copytree(source, self.copies[copy].root, dirs_exist_ok=True)
        self.known[copy] |= self.known[1 - copy]

    @invariant()
    def both_know_what_the_model_knows(self) -> None:
        for copy, refs in enumerate(self.copies):
            heads = self.heads(copy)
            assert {tip.digest for tip in refs.tips(PRODUCTION)} == heads
            targets = {self.targets[head] for head in heads}
            if len(targets) > 1:
                with pytest.raises(MisuseError, match="moved on two branches"):
                    refs.current(PRODUCTION)
            else:
                assert refs.current(PRODUCTION) == (targets.pop() if targets else None)
            log = [entry.digest for entry in refs.log(PRODUCTION)]
            assert sorted(log) == sorted(self.known[copy])
            for index, entry in enumerate(log):
                assert self.older[entry] <= set(log[:index])


TestBranches = Branches.TestCase
TestBranches.settings = settings(
    max_examples=12, stateful_step_count=10, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
