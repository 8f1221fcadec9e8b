"""Build what several tests of reports show."""

from __future__ import annotations

from pytest_llmops.stats.power import Need, Way

NEED_411 = Need(
    more_cases=Way(cases=411, baseline_repeats=1, candidate_repeats=1, baseline_calls=411),
    more_repeats=Way(cases=94, baseline_repeats=5, candidate_repeats=5, baseline_calls=470),
)
