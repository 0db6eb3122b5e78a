"""The quick profile's settings are what trials of equal budgets chose on validation data."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from bench import registry
from bench.experiment.tuning import draw_changes

TRIALS = 12
FOLDER = Path(__file__).parents[2] / "methods" / "settings"


@pytest.fixture(scope="module")
def tried() -> dict[str, list[dict[str, str]]]:
    rows = defaultdict(list)
    with (FOLDER / "quick_trials.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[row["method"]].append(row)
    return rows


def test_every_method_had_the_same_budget_and_no_trial_is_left_out(
    tried: dict[str, list[dict[str, str]]],
) -> None:
    """A method that somebody adds runs with the untuned values until it is tuned; one may also be removed."""
    names = registry.method_names()
    ours = {name for name in names if registry.method(name).card.role != "extra"}
    assert ours <= set(tried)
    for name, rows in tried.items():
        if name not in names:
            continue
        start = registry.resolve_settings(registry.method(name), tuned=False)
        drawn = draw_changes(registry.method_class(name), start, TRIALS, seed=0)
        assert sorted(row["changes"] for row in rows) == sorted(json.dumps(change) for change in drawn)
        assert {(row["dataset"], row["data_kind"], row["seeds"]) for row in rows} == {
            ("emoji", "real", "0 1")
        }


def test_what_was_chosen_has_the_highest_validation_map(tried: dict[str, list[dict[str, str]]]) -> None:
    settings = yaml.safe_load((FOLDER / "quick.yaml").read_text(encoding="utf-8"))
    chosen = {}
    for name, rows in tried.items():
        (best,) = [row for row in rows if row["chosen"]]
        values = [float(row["validation_map"]) for row in rows if row["validation_map"]]
        assert float(best["validation_map"]) == max(values)
        chosen[name] = json.loads(best["changes"])
    assert settings["tuned"] == {name: changes for name, changes in chosen.items() if changes}
