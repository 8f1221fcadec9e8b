"""Hold how well one version of a judge agrees with people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal

from pytest_llmops.golden.labels import LabelKind
from pytest_llmops.stats.agreement import Estimate

SCHEMA_VERSION: Final = 1

Finding = Literal["agrees", "near chance", "worse than chance", "unknown"]
"""near chance: the interval includes what guessing gives; unknown: the labels cannot tell."""

FIGURES: Final = (
    "accuracy",
    "kappa",
    "spearman",
    "auc",
    "length_bias",
    "position_bias",
    "changed",
    "moved",
)
"""Fields that are estimates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Be what the labels of people say of one version of a judge."""

    version: str
    """The version of the judge's metric."""
    judge: str
    """What it judges by, for people: its criteria, or the name of its file."""
    model: str
    """`provider:model` of the judge."""
    kind: LabelKind
    """What labels are: pass and fail, marks, or which of two answers is better."""
    labels_digest: str
    judged: int
    """Labelled answers that got a verdict."""
    failures: tuple[str, ...] = ()
    """Ids of the answers that got none."""
    cut: float = 0.5
    """The lowest label that counts as a pass."""
    threshold: float | None = None
    """The score from which on an answer passes, chosen on one half; None for plain verdicts."""
    chosen_on: int = 0
    """Answers that the threshold was chosen on."""
    reported_on: int = 0
    """Answers that accuracy and kappa are of."""
    accuracy: Estimate | None = None
    """Share of answers on which judge and people agree; this and all others with a 90 % interval."""
    kappa: Estimate | None = None
    """Cohen's: agreement beyond chance; 0 is chance, 1 is full."""
    spearman: Estimate | None = None
    """Correlation of the ranks of labels and scores."""
    auc: Estimate | None = None
    """How often an answer that people pass scores above one that they fail."""
    length_bias: Estimate | None = None
    """Correlation of the ranks of length and score among answers of equal label."""
    position_bias: Estimate | None = None
    """Share of pairs whose verdict turns with the order of the answers."""
    changed: Estimate | None = None
    """Share of answers whose verdict is another when the judge is asked again."""
    moved: Estimate | None = None
    """By how much scores move then, as a share of the range."""
    labels: Mapping[str, float] = field(default_factory=dict)
    """The label of each answer by its digest, so that it is known again in a run."""
    schema_version: int = SCHEMA_VERSION

    @property
    def answers(self) -> int:
        """Return how many labelled answers there were."""
        return self.judged + len(self.failures)

    @property
    def finding(self) -> Finding:
        """Return whether the judge says more than chance: by ranks where labels are marks, else by AUC."""
        figure, chance = (self.spearman, 0.0) if self.by_ranks else (self.auc, 0.5)
        if figure is None:
            return "unknown"
        if figure.high < chance:
            return "worse than chance"
        return "agrees" if figure.low > chance else "near chance"

    @property
    def by_ranks(self) -> bool:
        """Tell whether the ranks decide: labels say more than pass and fail."""
        return self.kind == "score" and self.spearman is not None

    def to_json(self) -> dict[str, Any]:
        """Return the calibration as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Return the calibration that `to_json` wrote.

        Raises:
            ValueError: it is of another version.
        """
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(
                f"it is of version {data['schema_version']!r}; this package reads {SCHEMA_VERSION}"
            )
        values = {each.name: data[each.name] for each in fields(cls)}
        for name in FIGURES:
            values[name] = None if values[name] is None else Estimate(*map(float, values[name]))
        return cls(**{**values, "failures": tuple(values["failures"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanChange:
    """Be the change that people would find, as far as their labels and the judge tell."""

    cases: int
    """Paired cases both of whose answers are labelled."""
    change: float
    """candidate - baseline, as labels count: passes as 1, or marks."""
    low: float
    """Lower end of the 90 % interval."""
    high: float
    marks: bool
    """Labels are marks on the judge's scale, else pass and fail."""
