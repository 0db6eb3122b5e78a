"""The quick profile's settings are what trials of equal budgets chose on validation data."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from bench import registry
from bench.contract import DataKind
from bench.data import load_dataset
from bench.experiment.tuning import draw_changes
from tests.methods import take_trials

TRIALS = 12
FOLDER = Path(__file__).parents[2] / "methods" / "settings"


KINDS: dict[DataKind, tuple[str, ...]] = {"real": (), "look-alike": ("look_alikes",)}
"""Where quick.yaml keeps what the trials on each kind of data chose."""
TUNED_ON: dict[DataKind, str] = {"real": "emoji", "look-alike": "inria_websearch"}


def tried_on(kind: DataKind) -> dict[str, list[dict[str, str]]]:
    rows = defaultdict(list)
    with (FOLDER / "quick_trials.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["data_kind"] == kind:
                rows[row["method"]].append(row)
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_had_the_same_budget_and_no_trial_is_left_out(kind: DataKind) -> None:
    """A method that somebody adds runs with the untuned values until it is tuned; one may also be removed."""
    tried = tried_on(kind)
    names = registry.method_names()
    ours = {name for name in names if registry.method(name).card.role != "extra"}
    assert ours <= set(tried)
    for name, rows in tried.items():
        if name not in names:
            continue
        start = registry.resolve_settings(registry.method(name), kind=kind, tuned=False)
        drawn = draw_changes(registry.method(name), start, TRIALS, seed=0)
        assert sorted(row["changes"] for row in rows) == sorted(json.dumps(change) for change in drawn)
        assert {(row["dataset"], row["seeds"]) for row in rows} == {(TUNED_ON[kind], "0 1")}
        assert len({row["fingerprint"] for row in rows}) == 1


def test_taking_trials_over_changes_the_tuned_sections_and_nothing_else() -> None:
    before = (FOLDER / "quick.yaml").read_text(encoding="utf-8")
    trials = (
        "data_kind,method,changes,chosen\n"
        'real,drcl,"{""lr"": 1e-06, ""scaling"": ""unit""}",best\nreal,drcl,{},\nreal,mars,{},best\n'
        'look-alike,sm,"{""strength"": 0.5}",best\n'
    )
    text = take_trials.taken_over(before, trials)
    old, new = yaml.safe_load(before), yaml.safe_load(text)
    assert new.pop("tuned") == {"drcl": {"lr": 1e-6, "scaling": "unit"}}
    assert new["look_alikes"].pop("tuned") == {"sm": {"strength": 0.5}}
    del old["tuned"], old["look_alikes"]["tuned"]
    assert new == old
    comments = [line for line in before.splitlines() if "#" in line]
    assert [line for line in text.splitlines() if "#" in line] == comments
    assert take_trials.taken_over(text, trials) == text


def test_a_method_without_a_successful_trial_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="drcl"):
        take_trials.taken_over("tuned:\n", "data_kind,method,changes,chosen\nreal,drcl,{},\n")


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_chosen_has_the_highest_validation_map(kind: DataKind) -> None:
    settings = yaml.safe_load((FOLDER / "quick.yaml").read_text(encoding="utf-8"))
    for key in KINDS[kind]:
        settings = settings[key]
    chosen = {}
    for name, rows in tried_on(kind).items():
        (best,) = [row for row in rows if row["chosen"]]
        values = [float(row["validation_map"]) for row in rows if row["validation_map"]]
        assert float(best["validation_map"]) == max(values)
        chosen[name] = json.loads(best["changes"])
    assert settings["tuned"] == {name: changes for name, changes in chosen.items() if changes}


def test_the_trials_were_made_on_the_data_that_is_there_now() -> None:
    for kind, dataset in TUNED_ON.items():
        found = load_dataset(dataset, None, profile="quick")
        rows = [row for rows in tried_on(kind).values() for row in rows]
        assert (found.kind, {row["fingerprint"] for row in rows}) == (kind, {found.fingerprint})
