"""Hold how a judge is held against labels, and how what was found is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from runs_built import answers, compared, only, run

from pytest_llmops.calls.exchange import EmbeddingRequest, Request, Response
from pytest_llmops.errors import DamagedError, FatalCallError, JudgeError, MisuseError
from pytest_llmops.golden.case import Case
from pytest_llmops.golden.labels import Labelled, Labels, answer_key
from pytest_llmops.runs.calibrate import Asked, calibrate
from pytest_llmops.runs.calibration import Calibration
from pytest_llmops.runs.calibrations import Calibrations
from pytest_llmops.scorers.score import Metric, Score
from pytest_llmops.stats.agreement import Estimate
from pytest_llmops.stats.ppi import prediction_powered

TONE = Metric(name="tone", version="abc123", judged=True)
MARKS = Metric(name="tone", version="abc123", kind="score", range=(1.0, 5.0), judged=True)
LIKELY = replace(TONE, threshold=0.5)
PAIRS = Metric(name="pairs", version="abc123", kind="score", range=(-1.0, 1.0), threshold=0.0, judged=True)


@dataclass
class Answering:
    """A caller that answers each request with the number of the repeat."""

    repeats: list[int] = field(default_factory=list)

    async def acall(self, request: Request) -> Response:
        self.repeats.append(request.repeat)
        return Response(text=str(request.repeat), model="m")

    async def aembed(self, request: EmbeddingRequest) -> tuple[tuple[float, ...], ...]:
        raise AssertionError


@dataclass
class Judge:
    """A judge that asks once and then scores as it is told, the second time too."""

    metric: Metric
    say: Callable[[str, bool], float]

    async def score(self, case: Case, response: Response, caller: Answering) -> Score:
        reply = await caller.acall(Request(provider="p", model="m", messages=()))
        return Score(value=self.say(response.text, reply.text != "1"))


@dataclass
class PairJudge:
    metric: Metric
    say: Callable[[str, str], tuple[float, str]]

    async def prefer(self, case: Case, response: Response, stored: Response, caller: Answering) -> Score:
        value, label = self.say(response.text, stored.text)
        return Score(value=value, label=label)


def labels(values: Sequence[float], outputs: Sequence[str], kind: str = "pass_fail") -> Labels:
    rows = [
        Labelled(case=Case(id=f"row-{n}", inputs={"n": n}), output=output, label=float(value))
        for n, (value, output) in enumerate(zip(values, outputs, strict=True))
    ]
    return Labels(name="l.jsonl", kind=kind, rows=tuple(rows))


def pairs(values: Sequence[float]) -> Labels:
    rows = labels(values, ["good" if value > 0 else "bad" for value in values], "pairwise")
    return replace(
        rows,
        rows=tuple(replace(row, other="bad" if row.output == "good" else "good") for row in rows),
    )


def asked(judge: object, rows: Labels, caller: Answering | None = None, share: float = 0.05) -> Asked:
    work = calibrate(
        judge, rows, caller or Answering(), judged_by="polite", model="p:m", max_error_share=share
    )
    return asyncio.run(work)


def found(judge: object, rows: Labels) -> Calibration:
    return asked(judge, rows).calibration


HALVES = [1, 0] * 20


def test_a_judge_that_says_what_people_say_agrees() -> None:
    rows = labels(HALVES, ["good" if value else "bad" for value in HALVES])
    calibration = found(Judge(TONE, lambda text, again: float(text == "good")), rows)
    assert calibration.finding == "agrees"
    assert calibration.accuracy.value == calibration.kappa.value == calibration.auc.value == 1
    assert (calibration.threshold, calibration.chosen_on, calibration.reported_on) == (None, 0, 40)
    assert calibration.changed.value == 0
    assert (calibration.version, calibration.judged, calibration.failures) == ("abc123", 40, ())
    assert calibration.labels_digest == rows.digest
    assert calibration.labels == {row.key: row.label for row in rows}


def test_a_judge_that_guesses_is_near_chance_and_one_that_is_turned_is_worse() -> None:
    rows = labels(HALVES, [str(n) for n in range(40)])
    guesses = found(Judge(TONE, lambda text, again: float(int(text) % 4 < 2)), rows)
    assert guesses.finding == "near chance"
    assert guesses.accuracy.value == 0.5
    turned = found(Judge(TONE, lambda text, again: float(int(text) % 2)), rows)
    assert turned.finding == "worse than chance"
    same = found(Judge(TONE, lambda text, again: 1.0), rows)
    assert same.finding == "near chance"
    assert same.kappa.value == 0


def test_labels_of_one_kind_cannot_tell() -> None:
    calibration = found(
        Judge(TONE, lambda text, again: float(text != "0")), labels([1] * 20, list(map(str, range(20))))
    )
    assert calibration.finding == "unknown"
    assert calibration.auc is None
    assert calibration.accuracy.value == 0.95


def test_the_judge_is_asked_again_for_other_answers() -> None:
    caller = Answering()
    rows = labels(HALVES, [str(n) for n in range(40)])
    judge = Judge(TONE, lambda text, again: float(int(text) % 2 == 0) if int(text) > 9 else float(again))
    calibration = asked(judge, rows, caller).calibration
    assert sorted(caller.repeats) == [1] * 40 + [1001] * 40
    assert calibration.changed.value == 10 / 40
    assert calibration.moved is None


def test_the_threshold_is_chosen_on_one_half_and_reported_on_the_other() -> None:
    # Scores that part the kinds at .6, but for one pass in ten that scores low.
    values = [1, 0] * 50
    outputs = [f"{0.7 if value and n % 20 else 0.3} {n}" for n, value in enumerate(values)]
    judge = Judge(LIKELY, lambda text, again: float(text.split()[0]) + 0.01 * again)
    calibration = found(judge, labels(values, outputs))
    assert calibration.threshold == 0.5
    assert (calibration.chosen_on, calibration.reported_on) == (50, 50)
    assert calibration.accuracy.value * 50 == pytest.approx(round(calibration.accuracy.value * 50))
    assert 0.9 < calibration.accuracy.value <= 1
    assert calibration.moved.value == pytest.approx(0.01)
    # The order of the file and the ids of its rows decide nothing.
    rows = labels(values, outputs)
    again = found(
        judge,
        replace(
            rows, rows=tuple(replace(r, case=replace(r.case, id="z" + r.case.id)) for r in rows.rows[::-1])
        ),
    )
    assert again == calibration


def test_the_reported_half_did_not_choose() -> None:
    # Noise alone: on its own half the best threshold looks better than it is.
    values = [1, 0] * 30
    outputs = [str((n * 7919) % 61 / 61) for n in range(60)]
    calibration = found(Judge(LIKELY, lambda text, again: float(text)), labels(values, outputs))
    assert calibration.finding == "near chance"
    assert calibration.accuracy.low < 0.5 < calibration.accuracy.high


def test_marks_are_held_against_marks() -> None:
    values = [1, 2, 3, 4, 5] * 8
    rows = labels(values, [f"{value}-{n}" for n, value in enumerate(values)], "score")
    judge = Judge(MARKS, lambda text, again: min(5.0, float(text[0]) + 1))
    calibration = found(judge, rows)
    assert calibration.finding == "agrees"
    assert calibration.spearman.value > 0.9
    assert calibration.cut == 3
    # The judge gives one mark too many: it is the threshold that puts this right.
    assert calibration.threshold == 4
    assert calibration.accuracy.value == 1
    flat = found(Judge(MARKS, lambda text, again: float("13542"[int(text.split("-")[1]) % 5])), rows)
    assert flat.by_ranks


def test_a_label_off_the_scale_is_refused() -> None:
    with pytest.raises(MisuseError, match=r"the label 7 of 'row-1' is not on the judge's scale, 1 to 5"):
        asked(Judge(MARKS, lambda text, again: 1.0), labels([1, 7], ["a", "b"], "score"))


def test_longer_answers_of_equal_label_that_score_higher_are_seen() -> None:
    values = [1, 0] * 30
    outputs = ["x" * (3 * n % 50 + 1) + str(n) for n in range(60)]
    swayed = found(Judge(LIKELY, lambda text, again: len(text) / 100), labels(values, outputs))
    assert swayed.length_bias.low > 0.5
    fair = found(
        Judge(LIKELY, lambda text, again: int(text.lstrip("x")) * 37 % 60 / 60), labels(values, outputs)
    )
    assert fair.length_bias.low < 0 < fair.length_bias.high


def test_pairs_say_how_often_the_order_decides() -> None:
    rows = pairs([1, -1, 1, -1, 0] * 8)
    judge = PairJudge(PAIRS, lambda one, other: (1.0, "better") if one == "good" else (-1.0, "worse"))
    calibration = found(judge, rows)
    assert calibration.finding == "agrees"
    assert calibration.accuracy.value == 0.8
    assert calibration.position_bias.value == 0
    turning = found(PairJudge(PAIRS, lambda one, other: (0.0, "inconsistent")), rows)
    assert turning.position_bias.value == 1
    assert turning.finding == "near chance"
    assert turning.accuracy.value == 0.2


@pytest.mark.parametrize(
    ("judge", "rows", "message"),
    [
        (Judge(TONE, lambda text, again: 1.0), pairs([1, -1]), "single answers: rows without `other`"),
        (
            PairJudge(PAIRS, lambda one, other: (0.0, "tie")),
            labels([1], ["a"]),
            "pairs: rows with `output` and",
        ),
    ],
)
def test_labels_must_fit_the_judge(judge: object, rows: Labels, message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        asked(judge, rows)


def failing(error: Exception, *texts: str) -> Judge:
    def say(text: str, again: bool) -> float:
        if text in texts:
            raise error
        return float(int(text) % 2 == 0)

    return Judge(TONE, say)


def test_an_answer_without_a_verdict_is_counted_and_named() -> None:
    rows = labels(HALVES, [str(n) for n in range(40)])
    result = asked(failing(JudgeError("it rambled"), "3", "8", "9"), rows)
    assert result.calibration.failures == ("row-3", "row-8", "row-9")
    assert result.calibration.judged == result.calibration.reported_on == 37
    assert result.calibration.answers == 40
    assert result.reasons["row-8"] == "it rambled"
    silent = found(failing(JudgeError("it rambled"), *map(str, range(40))), rows)
    assert (silent.finding, silent.judged) == ("unknown", 0)


def test_faults_of_the_provider_are_no_opinion_of_the_judge() -> None:
    rows = labels(HALVES, [str(n) for n in range(40)])
    judge = failing(FatalCallError("status 401: no"), "1", "2", "3")
    assert asked(judge, rows, share=0.1).calibration.failures == ("row-1", "row-2", "row-3")
    with pytest.raises(MisuseError, match=r"3 of 40 labelled answers could not be judged.*status 401: no"):
        asked(judge, rows)


CALIBRATION = Calibration(
    version="0123456789ab",
    judge="polite",
    model="p:m",
    kind="pass_fail",
    labels_digest="d" * 64,
    judged=2,
    failures=("line 3",),
    accuracy=Estimate(1.0, 0.25, 1.0),
    auc=Estimate(0.5, 0.125, 0.875),
    labels={"a" * 64: 1.0, "b" * 64: 0.0},
)


def test_what_was_found_is_kept_under_the_version(tmp_path: Path) -> None:
    kept = Calibrations(tmp_path / ".llmops")
    assert kept.versions() == []
    assert kept.find("0123456789ab") is None
    assert not kept.root.exists()
    path = kept.save(CALIBRATION)
    assert path == tmp_path / ".llmops/calibrations/0123456789ab.json"
    assert (kept.root / ".gitignore").exists()
    assert kept.find("0123456789ab") == CALIBRATION
    assert kept.versions() == ["0123456789ab"]
    before = path.read_bytes()
    kept.save(CALIBRATION)
    assert path.read_bytes() == before
    other = replace(CALIBRATION, judged=3)
    kept.save(other)
    assert kept.find("0123456789ab") == other
    # A metric of another kind may have any version.
    assert kept.find("../x") is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace('"judged":2', '"judged":9'), "its content has the digest"),
        (lambda text: text[:50], "is damaged"),
        (lambda text: "[]", "it is not a JSON object"),
        (lambda text: "{}", "calibration"),
    ],
)
def test_a_file_that_was_changed_is_damaged(
    tmp_path: Path, damage: Callable[[str], str], message: str
) -> None:
    kept = Calibrations(tmp_path)
    path = kept.save(CALIBRATION)
    path.write_text(damage(path.read_text()))
    with pytest.raises(DamagedError, match=message):
        kept.find(CALIBRATION.version)


def test_a_file_of_a_later_package_is_told_apart(tmp_path: Path) -> None:
    kept = Calibrations(tmp_path)
    kept.save(replace(CALIBRATION, schema_version=2))
    with pytest.raises(DamagedError, match="it is of version 2; this package reads 1"):
        kept.find(CALIBRATION.version)


def test_a_metric_without_a_judge_keeps_its_bytes() -> None:
    assert "judged" not in Metric(name="exact", version="1").to_json()
    assert Metric.from_json(TONE.to_json()) == TONE
    header = run([], TONE, Metric(name="exact", version="1")).header.to_json()
    assert "judged" not in header["metrics"]["exact"]
    assert header["metrics"]["tone"]["judged"] is True
    assert json.dumps(header)


def human(values: Sequence[tuple[float, float]], marked: int, **more: object) -> object:
    """Compare runs whose first `marked` cases people labelled as the judge did."""
    before = answers([float(old) for old, _ in values], "old", TONE)
    after = answers([float(new) for _, new in values], "new", TONE)
    known = {
        answer_key(each.row_digest, each.output): each.scores["tone"].value
        for each in (*before[:marked], *after[:marked])
    }
    calibration = replace(CALIBRATION, version=TONE.version, labels=known, **more)
    comparison = compared(run(before, TONE), run(after, TONE), calibrations={TONE.version: calibration})
    return only(comparison)


CHANGES = [(1, 0), (1, 1), (0, 0), (1, 1), (1, 1)] * 12


def test_labels_of_part_of_the_set_estimate_what_people_find() -> None:
    metric = human(CHANGES, 20)
    labelled = [(new - old, new - old) for old, new in CHANGES]
    expected = prediction_powered(labelled[:20], [judge for _, judge in labelled[20:]], span=1.0, alpha=0.05)
    assert metric.human.cases == 20
    assert (metric.human.change, metric.human.low, metric.human.high) == pytest.approx(expected)
    assert metric.calibration is not None
    # It never changes the verdict.
    assert metric.verdict == human(CHANGES, 0).verdict


@pytest.mark.parametrize(("marked", "more"), [(9, {}), (0, {}), (60, {"kind": "pairwise"})])
def test_without_enough_labels_on_both_sides_nothing_is_estimated(
    marked: int, more: dict[str, object]
) -> None:
    assert human(CHANGES, marked, **more).human is None


def test_passes_and_fails_may_be_held_against_marks() -> None:
    rows = labels(HALVES, [f"{4 if value else 2} {n}" for n, value in enumerate(HALVES)])
    judge = Judge(MARKS, lambda text, again: float(text[0]) + again)
    calibration = found(judge, rows)
    assert (calibration.cut, calibration.finding, calibration.spearman) == (0.5, "agrees", None)
    assert calibration.accuracy.value == 1
    # One mark of four.
    assert calibration.moved.value == pytest.approx(0.25)


def test_good_answers_that_are_longer_are_no_bias() -> None:
    outputs = [("long" * 9 if value else "s") + "x" * (n * 7 % 13) for n, value in enumerate(HALVES)]
    scores = {text: (0.7 if len(text) > 30 else 0.2) + n * 11 % 17 / 100 for n, text in enumerate(outputs)}
    calibration = found(Judge(LIKELY, lambda text, again: scores[text]), labels(HALVES, outputs))
    assert calibration.length_bias.low < 0 < calibration.length_bias.high


def test_a_case_counts_as_labelled_when_all_its_answers_are() -> None:
    before = answers([1.0] * 20, "old", TONE)
    after = answers([[1.0, 0.0]] * 20, "new", TONE)

    def estimated(known: Sequence[object]) -> object:
        keys = {answer_key(each.row_digest, each.output): each.scores["tone"].value for each in known}
        calibration = replace(CALIBRATION, version=TONE.version, labels=keys)
        comparison = compared(run(before, TONE), run(after, TONE), calibrations={TONE.version: calibration})
        return only(comparison).human

    assert estimated([*before, *after[::2]]) is None
    whole = estimated([*before, *after])
    assert (whole.cases, whole.change) == (20, -0.5)
