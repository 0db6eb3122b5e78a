"""Every dataset's card is complete enough to trust it, and the roster is as announced."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import registry
from bench.contract import DatasetCard

NAMES = registry.dataset_names()


def card(name: str) -> DatasetCard:
    return registry.dataset_loader(name).card


def test_all_means_the_five_benchmarks_and_the_embedded_sets() -> None:
    assert {name for name in NAMES if card(name).in_all} == {
        "wikipedia", "nus_wide", "inria_websearch", "xmedia", "xmedianet", "emoji", "emoji_views", "icons"
    }  # fmt: skip
    assert {"emoji_fine", "nus_wide_42941", "wikipedia_classic"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_states_source_licence_and_origin_and_cites_a_known_reference(name: str) -> None:
    found = card(name)
    assert found.name == name
    assert found.title
    assert found.licence
    assert found.source
    assert len(found.modalities) >= 2
    assert found.n_classes.value > 1
    assert bool(found.files) != bool(registry.dataset_loader(name).embedded)
    for file in found.files:
        assert file.origin
        assert Path(file.name).name == file.name
        assert all(url.startswith("https://") for url in file.urls)
        assert (file.member is not None) == any(url.endswith(".zip") for url in file.urls)
        assert file.urls or not (file.git_blob or file.sha256), "a published checksum has a published address"
    references = registry.folder_of("methods") / "references.bib"
    assert not found.citation or f"{{{found.citation}," in references.read_text(encoding="utf-8")
