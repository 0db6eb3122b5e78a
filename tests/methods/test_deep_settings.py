"""The settings files of the deep methods: every value fits its setting, in both profiles."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml

import methods
from bench import registry
from bench.contract import DataKind

FOLDER = Path(methods.__file__).parent / "settings"
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
