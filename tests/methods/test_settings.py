"""Settings: every value of the files fits, and the quick profile has what trials of equal budgets chose."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml

from bench import registry
from bench.contract import DataKind
from bench.data import load_dataset
from bench.experiment.tuning import draw_changes
from tests.documents import ROOT
from tests.methods import take_trials

HERE, FOLDER = Path(__file__).parent, take_trials.FOLDER


@pytest.mark.parametrize("name", registry.method_names())
def test_a_card_names_the_numbers_that_are_compared_and_their_source(name: str) -> None:
    parity = registry.method(name).card.parity
    what, _, source = parity.partition(": ")
    assert what, f"the card of {name} has no parity; write none, and why, if there is nothing to compare"
    assert source, f"the parity of {name} names no source of its numbers: {parity!r}"
    if what != "none":
        assert (HERE.parent / "golden" / f"{name}.npz").is_file()
        assert "golden" in (HERE / f"test_{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", registry.method_names())
def test_a_method_has_a_reference_and_explains_every_setting(name: str) -> None:
    description = registry.method(name)
    bibliography = (registry.folder_of("methods") / "references.bib").read_text(encoding="utf-8")
    assert description.card.citation
    assert f"{{{description.card.citation},\n" in bibliography
    assert description.about
    assert set(description.meanings) == set(description.defaults)


@pytest.mark.parametrize("name", registry.method_names())
def test_a_card_states_a_selection_by_map_where_modalities_are_trained_apart(name: str) -> None:
    card = registry.method(name).card
    apart = getattr(registry.method_class(name), "independent", False) or "independent" in card.family
    if apart and card.selects_by == "map":
        (declared,) = [line for line in (*card.from_paper, *card.from_release) if "validation mAP" in line]
        assert "selected_by_loss" in declared
        assert registry.method(name).variants["selected_by_loss"] == {"select": "loss"}


DEEP = [name for name in registry.method_names() if registry.method(name).card.deep]


@pytest.mark.parametrize("name", DEEP)
def test_every_dataset_of_a_settings_file_gives_a_method_and_names_its_source(name: str) -> None:
    path = FOLDER / f"{name}.yaml"
    entries = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for dataset, entry in entries.items():
        assert dataset in registry.dataset_names()
        assert entry["source"]
        settings = registry.create_method(name, profile="paper", dataset=dataset).settings
        assert all(hasattr(settings, key) for key in entry["settings"])


@pytest.mark.parametrize("name", DEEP)
def test_the_quick_profile_is_smaller_than_the_published_settings(name: str) -> None:
    quick = registry.create_method(name, profile="quick").settings
    datasets = [None, *registry.dataset_names()]
    papers = [registry.create_method(name, profile="paper", dataset=each).settings for each in datasets]
    assert quick.epochs <= papers[0].epochs
    for width in ("hidden", "dim"):
        if hasattr(quick, width):
            # Many classes need wide spaces: the quick width serves all datasets, a published one may not.
            published = max(np.max(getattr(paper, width)) for paper in papers)
            assert np.max(getattr(quick, width)) <= published


@pytest.mark.parametrize("kind", get_args(DataKind))
def test_every_deep_method_has_the_same_widths_in_the_quick_profile(kind: DataKind) -> None:
    """In print, too, the embeddings of ACMR and DCCAE are narrower than those of the others."""
    settings = {name: registry.resolve_settings(registry.method(name), kind=kind) for name in DEEP}
    hidden = {str(each["hidden"]) for each in settings.values() if "hidden" in each}
    dim = {each["dim"] for name, each in settings.items() if "dim" in each and name not in ("acmr", "dccae")}
    assert (len(hidden), len(dim)) == (1, 1)


SCALED = [name for name in registry.method_names() if "scaling" in registry.method(name).defaults]


@pytest.mark.parametrize("name", SCALED)
def test_the_quick_profile_and_its_trials_scale_the_features_of_every_method(name: str) -> None:
    assert {name for name in registry.method_names() if name != "chance"} == set(SCALED)
    assert tuple(registry.method_class(name).search["scaling"]) == ("standard", "unit")
    for kind in get_args(DataKind):
        for tuned in (True, False):
            settings = registry.resolve_settings(registry.method(name), kind=kind, tuned=tuned)
            assert settings["scaling"] in ("standard", "unit")


def test_modalities_named_by_learning_rates_exist() -> None:
    rates = yaml.safe_load((FOLDER / "drcl.yaml").read_text(encoding="utf-8"))["xmedia"]["settings"]["lr"]
    assert list(rates) == [modality.name for modality in registry.dataset("xmedia").card.modalities]


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("chance", "dimension", 1),
        ("dccae", "batch_size", 1),
        *(("dccae", setting, 0.0) for setting in ("ridge", "closing_ridge")),
        *(("gmlda", setting, -1.0) for setting in ("alpha", "ridge")),
        *(("gmlda", "mu", value) for value in ((1.0, 0.0), ())),
        *((name, "components", 0) for name in ("gmlda", "mcca", "mvda_vc", "pls")),
        *(("mcca", setting, value) for setting, value in (("shrinkage", 1.5), ("eigenvalue_power", -1.0))),
        *(("mvda_vc", setting, -1.0) for setting in ("consistency", "ridge")),
        ("mvda_vc", "consistency_ridge", 0.0),
        *(("sm", setting, 0) for setting in ("strength", "iterations")),
    ],
)
def test_settings_out_of_range_are_refused(name: str, setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=setting.split("_")[-1]):
        registry.method_class(name).Settings(**{setting: value})


TRIALS = 12
TUNED_ON: dict[DataKind, tuple[str, ...]] = {
    "real": ("emoji",),
    "look-alike": ("inria_websearch", "wikipedia"),
}


def tried_on(kind: DataKind) -> dict[str, list[dict[str, str]]]:
    rows = defaultdict(list)
    with (FOLDER / "quick_trials.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["data_kind"] == kind:
                rows[row["method"]].append(row)
    return rows


@pytest.mark.clone
@pytest.mark.parametrize("kind", TUNED_ON)
def test_every_method_had_the_same_budget_and_no_trial_is_left_out(kind: DataKind) -> None:
    """Methods may be added, which run with untuned values until they are tuned, or removed."""
    tried = tried_on(kind)
    names = registry.method_names()
    ours = {name for name in names if registry.method(name).card.role != "extra"}
    assert ours <= set(tried)
    for name, rows in tried.items():
        if name not in names:
            continue
        start = registry.resolve_settings(registry.method(name), kind=kind, tuned=False)
        drawn = draw_changes(registry.method(name), start, TRIALS, seed=0)
        given = [(row["dataset"], row["changes"], row["seeds"]) for row in rows]
        wanted = [(data, json.dumps(change), "0 1") for data in TUNED_ON[kind] for change in drawn]
        assert sorted(given) == sorted(wanted)


@pytest.mark.clone
def test_taking_trials_over_changes_the_tuned_sections_and_nothing_else() -> None:
    before = (FOLDER / "quick.yaml").read_text(encoding="utf-8")
    trials = (
        "data_kind,dataset,method,changes,validation_map\n"
        'real,a,drcl,"{""lr"": 1e-06, ""scaling"": ""unit""}",.6\nreal,a,drcl,{},.5\nreal,a,mars,{},.5\n'
        'look-alike,a,sm,"{""strength"": 0.5}",.2\nlook-alike,b,sm,"{""strength"": 0.5}",.7\n'
        'look-alike,a,sm,{},.4\nlook-alike,b,sm,{},.4\nlook-alike,a,sm,"{""strength"": 1}",.9\n'
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
    header = "data_kind,dataset,method,changes,validation_map"
    with pytest.raises(ValueError, match="drcl"):
        take_trials.taken_over("tuned:\n", f"{header}\nreal,a,drcl,{{}},\n")


@pytest.mark.clone
def test_what_was_chosen_has_the_highest_validation_map() -> None:
    settings, trials = (
        (FOLDER / name).read_text(encoding="utf-8") for name in ("quick.yaml", "quick_trials.csv")
    )
    assert take_trials.taken_over(settings, trials) == settings


@pytest.mark.clone
def test_the_trials_were_made_on_the_data_that_make_tune_would_take_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    other_draw = re.search(r"(\w+)=(\d+) \$\(BIN\)/python -m bench tune", makefile)
    assert other_draw
    monkeypatch.setenv(*other_draw.groups())
    for kind, datasets in TUNED_ON.items():
        rows = [row for rows in tried_on(kind).values() for row in rows]
        for dataset in datasets:
            found = load_dataset(dataset, None, profile="quick")
            made = {row["fingerprint"] for row in rows if row["dataset"] == dataset}
            assert (found.kind, made) == (kind, {found.fingerprint})
