"""Hold the stored run: byte-stable, checked, complete again when it is read."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.calls.exchange import Timing, Usage
from pytest_llmops.errors import DamagedError, MisuseError
from pytest_llmops.runs.archive import Archive, secret_in
from pytest_llmops.runs.record import CaseResult, Header, Run
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.store.canonical import canonical, digest_text
from pytest_llmops.store.objects import Objects
from pytest_llmops.store.refs import Refs

KEY = "evals/test_x.py::test_x[lang=en]"


def archive(path: Path) -> Archive:
    return Archive(Objects(path / ".llmops"), Refs(path / ".llmops"))


def a_run(outputs: list[str], *, seconds: float = 0.5) -> Run:
    metrics = {
        "passed": Metric(name="passed", version="1"),
        "latency": Metric(name="latency", version="1", kind="ratio", range=None, volatile=True),
    }
    results = [
        CaseResult(
            test_key=KEY,
            case_id=f"case-{number}",
            row_digest="row",
            inputs={"text": output},
            expected=[1, 2.5, None, {"a": True}],
            tags=("x",),
            requests=("request",),
            output=output,
            scores={
                "passed": Score(value=1.0, passed=True, reason="good"),
                "latency": Score(value=seconds),
            },
            usage=Usage(input_tokens=3, output_tokens=4),
            timing=Timing(seconds=seconds, ttft=0.1),
            cost=0.25,
            request_id=f"req-{seconds}",
        )
        for number, output in enumerate(outputs)
    ]
    header = Header(
        test_key=KEY,
        prompt_name="ask",
        prompt_digest="0" * 64,
        model="local:m",
        golden_name="x.jsonl",
        golden_digest="1" * 64,
        metrics=metrics,
        packages={"pytest-llmops": "0.1.0"},
    )
    return Run(header=header, results=tuple(results))


def save(store: Archive, run: Run, name: str = "production") -> str:
    return store.save(run, baseline=name, provenance={"date": "2026-01-01"}, why="because")


def test_a_stored_run_comes_back_whole(tmp_path: Path) -> None:
    store, run = archive(tmp_path), a_run(["one", "two"])
    save(store, run)
    assert store.baseline("production", KEY) == run
    assert store.baselines() == ["production"]
    assert store.baseline("production", "another") is None


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, outputs: list[str]) -> None:
    store, run = archive(tmp_path_factory.mktemp("store")), a_run(outputs)
    assert store.load(save(store, run)) == run


def test_line_separators_in_an_answer_do_not_cut_its_line(tmp_path: Path) -> None:
    store, run = archive(tmp_path), a_run(["a\u2028b\u0085c\x0bd\re\nf"])
    assert store.load(save(store, run)) == run


def test_order_and_varying_fields_do_not_change_the_digest(tmp_path: Path) -> None:
    run = a_run([str(number) for number in range(20)])
    results = list(run.results)
    random.Random(1).shuffle(results)
    slower = a_run([str(number) for number in range(20)], seconds=9.0)
    store = archive(tmp_path)
    first = save(store, run)
    assert save(store, replace(run, results=tuple(results))) == first
    assert save(store, slower) == first
    assert len(store.refs.log(f"baselines/production/{KEY}")) == 1


def test_another_answer_is_another_run_and_moves_the_baseline(tmp_path: Path) -> None:
    store = archive(tmp_path)
    first, second = save(store, a_run(["one"])), save(store, a_run(["two"]))
    assert first != second
    moves = store.refs.log(f"baselines/production/{KEY}")
    assert [move.to for move in moves] == [first, second]
    assert moves[0].why == "because"


def stored_file(path: Path) -> Path:
    return next(file for file in (path / ".llmops" / "runs").glob("*.jsonl") if "meta" not in file.name)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_run_is_named_and_never_served(tmp_path: Path, seed: int) -> None:
    store, chance = archive(tmp_path), random.Random(seed)
    save(store, a_run(["one", "two", "three"]))
    path = stored_file(tmp_path)
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    damage = chance.choice(["flip", "cut", "drop"])
    if damage == "flip":
        data[place] ^= 1 << chance.randrange(8)
    elif damage == "cut":
        del data[place:]
    else:
        lines = bytes(data).splitlines(keepends=True)
        del lines[chance.randrange(len(lines))]
        data = bytearray(b"".join(lines))
    path.write_bytes(bytes(data))
    try:
        found = store.baseline("production", KEY)
    except (DamagedError, MisuseError) as error:
        told = str(error)
    else:
        # The last line only repeats what the rest says; a flip there may go unseen, and changes nothing.
        told = path.name if found == a_run(["one", "two", "three"]) else "another run was served"
    assert path.name in told


def test_check_reads_every_run_of_a_baseline(tmp_path: Path) -> None:
    store = archive(tmp_path)
    save(store, a_run(["one"]))
    store.check("production")
    path = stored_file(tmp_path)
    path.write_text(path.read_text().replace("one", "two"))
    with pytest.raises(DamagedError, match=path.name):
        store.check("production")


def test_a_lost_meta_file_costs_only_what_it_holds(tmp_path: Path) -> None:
    store, run = archive(tmp_path), a_run(["one"])
    digest = save(store, run)
    next((tmp_path / ".llmops" / "runs").glob("*.meta.jsonl")).unlink()
    (result,) = store.load(digest).results
    assert result.output == "one"
    assert result.cost is None
    assert set(result.scores) == {"passed"}


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    store, run = archive(tmp_path), a_run(["one"])
    digest = save(store, replace(run, header=replace(run.header, schema_version=99)))
    with pytest.raises(MisuseError, match="newer pytest-llmops"):
        store.load(digest)


@pytest.mark.parametrize("field", ["output", "inputs"])
def test_a_secret_is_found_by_case_and_field(field: str) -> None:
    run = a_run(["nothing", "nothing"])
    value = "key sk-12345678" if field == "output" else {"text": "key sk-12345678"}
    tainted = replace(run, results=(run.results[0], replace(run.results[1], **{field: value})))
    told = secret_in(tainted, {"OPENAI_API_KEY": "sk-12345678"})
    assert told == f"the {field} of case 'case-1' holds the value of OPENAI_API_KEY"
    assert secret_in(run, {"OPENAI_API_KEY": "sk-12345678"}) is None


def reused(run: Run, answers: int) -> Run:
    return replace(run, header=replace(run.header, reused=answers))


def moves(store: Archive) -> list[str | None]:
    return [move.to for move in store.refs.log(f"baselines/production/{KEY}")]


@pytest.mark.parametrize(
    ("before", "after", "stays"),
    [(0, 0, True), (0, 2, True), (1, 2, True), (2, 2, True), (2, 1, False), (2, 0, False)],
)
def test_the_same_answers_move_a_baseline_only_where_they_are_fresher(
    tmp_path: Path, before: int, after: int, stays: bool
) -> None:
    store, run = archive(tmp_path), a_run(["one", "two"])
    first = save(store, reused(run, before))
    second = save(store, reused(run, after))
    assert (first == second) is stays
    assert moves(store) == ([first] if stays else [first, second])
    found = store.baseline("production", KEY)
    assert found is not None
    assert found.header.reused == min(before, after)
    assert found == reused(run, min(before, after))


def test_other_answers_move_a_fresh_baseline_though_they_are_reused(tmp_path: Path) -> None:
    store = archive(tmp_path)
    save(store, a_run(["one"]))
    save(store, reused(a_run(["two"]), 1))
    found = store.baseline("production", KEY)
    assert found == reused(a_run(["two"]), 1)


def test_each_name_has_its_own_freshness(tmp_path: Path) -> None:
    store, run = archive(tmp_path), a_run(["one"])
    fresh = save(store, run)
    other = save(store, reused(run, 1), name="candidate")
    assert fresh != other
    for name, answers in (("production", 0), ("candidate", 1)):
        found = store.baseline(name, KEY)
        assert found is not None
        assert found.header.reused == answers


def test_freshness_is_in_the_header_alone(tmp_path: Path) -> None:
    store, run = archive(tmp_path), a_run(["one", "two"])
    texts = [
        store.objects.path("runs", store.save(each, baseline=name, provenance={}, why=""), suffix=".jsonl")
        .read_text(encoding="utf-8")
        .splitlines()
        for name, each in (("a", run), ("b", reused(run, 2)))
    ]
    (fresh, *rest), (marked, *others) = texts
    assert fresh.replace('"reused":0', '"reused":2') == marked
    assert rest[:-1] == others[:-1]


def test_which_answers_were_reused_is_no_part_of_the_digest(tmp_path: Path) -> None:
    run = a_run(["one", "two"])
    again = replace(run, results=tuple(replace(each, reused=True) for each in run.results))
    assert save(archive(tmp_path), run) == save(archive(tmp_path), again)


def test_a_run_that_was_stored_before_freshness_was_known_still_loads(tmp_path: Path) -> None:
    store, run = archive(tmp_path), a_run(["one", "two"])
    save(store, run)
    lines = stored_file(tmp_path).read_text(encoding="utf-8").split("\n")
    older = [line.replace(',"reused":0', "") for line in lines[:-2]]
    body = "".join(f"{line}\n" for line in older)
    assert "reused" not in body
    digest = digest_text(body)
    footer = canonical({"kind": "footer", "results": 2, "sha256": digest})
    store.objects.put("runs", digest, f"{body}{footer}\n", suffix=".jsonl")
    found = store.load(digest)
    assert found.header == run.header
    assert [each.output for each in found.results] == ["one", "two"]
    store.refs.move(f"baselines/old/{KEY}", digest, why="")
    assert save(store, reused(found, 2), name="old") != digest
    kept = store.baseline("old", KEY)
    assert kept is not None
    assert kept.header.reused == 0


def test_a_meta_file_that_was_stored_before_freshness_was_known_still_counts(tmp_path: Path) -> None:
    store, run = archive(tmp_path), a_run(["one"])
    digest = save(store, run)
    path = next((tmp_path / ".llmops" / "runs").glob("*.meta.jsonl"))
    text = path.read_text(encoding="utf-8")
    assert '"reused":false,' in text
    path.write_text(text.replace('"reused":false,', ""), encoding="utf-8")
    assert store.load(digest) == run


@pytest.mark.parametrize("lost", [True, False])
def test_saving_mends_a_baseline_whose_run_is_damaged_or_lost(tmp_path: Path, lost: bool) -> None:
    store = archive(tmp_path)
    save(store, a_run(["one"]))
    path = stored_file(tmp_path)
    path.unlink() if lost else path.write_text("{", encoding="utf-8")
    with pytest.raises(MisuseError, match=path.name):
        store.baseline("production", KEY)
    save(store, a_run(["two"]))
    assert store.baseline("production", KEY) == a_run(["two"])
