"""Spend random budgets with several processes; `python -m benchmarks.reliability budgets` spends 200."""

from __future__ import annotations

from pathlib import Path

from benchmarks.reliability.budgets import Spent, orders, spenders
from benchmarks.reliability.spender import Order

SEED = 5


def test_random_budgets_are_neither_overspent_nor_held_back(tmp_path: Path) -> None:
    with spenders(3) as started:
        found = [started.spend(root, order) for root, order in orders(12, SEED, tmp_path)]

    assert [list(spent.breaches()) for spent in found] == [[]] * 12
    assert any(spent.refused for spent in found)
    assert any(not spent.refused for spent in found)


def spent(**changes: object) -> Spent:
    order = Order(path="", session="", calls=5, cost=0.1, requests=[1, 2, 3, 4, 5, 6], seed=1)
    values = {
        "order": order,
        "attempts": 5,
        "cost": 0.01,
        "answered": frozenset(range(1, 6)),
        "refused": frozenset([6]),
        "kept": 5,
    }
    return Spent(**{**values, **changes})


def test_what_goes_against_a_budget_is_found() -> None:
    assert list(spent().breaches()) == []
    for changes in (
        {"attempts": 6},
        {"cost": 0.11},
        {"answered": frozenset(range(1, 5)), "kept": 4},
        {"answered": frozenset(range(1, 7)), "kept": 6},
        {"kept": 4},
        {"attempts": 4},
    ):
        assert list(spent(**changes).breaches()), changes
