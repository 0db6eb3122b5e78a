"""A benchmark's file is found where its publisher keeps it, and offered where its name is nearly right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import registry
from bench.contract import Array, DataError
from bench.data.doctor import diagnose
from bench.data.loading import open_and_check
from bench.data.locations import find_file, path_of, similar_files
from bench.execution.data_check import describe_sources
from tests.data.released import write_hdf5
from tests.grid import data_opened_here

CARD = registry.dataset("nus_wide").card
(FILE,) = CARD.files


@pytest.mark.parametrize(
    ("dataset", "where"),
    [
        ("nus_wide", f"nus_wide/{FILE.name}"),
        ("nus_wide", FILE.name),
        ("nus_wide", f"NUS-WIDE/{FILE.name.upper()}"),
        ("nus_wide", f"datasets/NUS/{FILE.aliases[0]}"),
        ("nus_wide", f"a/b/c/{FILE.name}"),
        ("nus_wide", "nus_wide-10k_deep_doc2vec-corr-ae.h5py"),
        ("wikipedia", "datasets/Wiki/wiki.mat"),
        ("xmedia", "XMedia/XMediaFeatures.mat"),
    ],
)
def test_a_file_is_found_under_other_folders_letters_and_names(
    tmp_path: Path, dataset: str, where: str
) -> None:
    card = registry.dataset(dataset).card
    assert find_file(card, card.files[0], tmp_path) is None
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"content")
    assert find_file(card, card.files[0], tmp_path) == path


def test_the_stated_location_comes_first_and_two_different_files_are_refused(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"22")):
        (tmp_path / name).mkdir()
        (tmp_path / name / FILE.name).write_bytes(content)
    with pytest.raises(DataError, match="differ"):
        find_file(CARD, FILE, tmp_path)
    stated = path_of(CARD, FILE, tmp_path)
    stated.parent.mkdir()
    stated.write_bytes(b"333")
    assert find_file(CARD, FILE, tmp_path) == stated


def test_a_near_name_is_offered_before_a_look_alike_stands_in(tmp_path: Path) -> None:
    near = tmp_path / "wiki" / "wiki_.mat"
    near.parent.mkdir()
    near.write_bytes(b"")
    card = registry.dataset("wikipedia").card
    (sentence,) = similar_files(card, tmp_path)
    assert "wiki_.mat" in sentence
    summary = open_and_check("wikipedia", tmp_path)
    assert summary.kind == "look-alike"
    assert summary.findings == (sentence,)
    assert similar_files(replace(card, files=()), tmp_path) == []


def test_a_file_of_any_name_that_reads_as_a_benchmark_is_offered_before_a_look_alike(tmp_path: Path) -> None:
    np.savez(tmp_path / "another.npz", train_image=np.zeros((3, 2)))
    arrays: dict[str, Array] = {}
    for part in ("train", "valid", "test"):
        arrays[f"{part}_imgs_deep"], arrays[f"{part}_texts"] = np.ones((10, 4096)), np.ones((10, 300))
        arrays[f"{part}_imgs_labels"] = np.arange(10)
    write_hdf5(tmp_path / "features.h5", arrays)
    summary = open_and_check("nus_wide", tmp_path)
    assert summary.kind == "look-alike"
    (sentence,) = summary.findings
    assert "features.h5" in sentence
    assert str(path_of(CARD, FILE, tmp_path)) in sentence
    assert sentence in diagnose("nus_wide", tmp_path).notes
    assert open_and_check("wikipedia", tmp_path).findings == ()


def test_a_file_that_comes_to_be_found_is_not_hidden_by_what_is_remembered(tmp_path: Path) -> None:
    data, results = tmp_path / "data", tmp_path / "results"
    data.mkdir()
    results.mkdir()
    with data_opened_here():
        assert describe_sources(["nus_wide"], data, "quick", results).usable["nus_wide"].kind == "look-alike"
        (data / "NUS").mkdir()
        (data / "NUS" / FILE.aliases[0]).write_bytes(b"no features")
        assert "NUS" in describe_sources(["nus_wide"], data, "quick", results).damaged["nus_wide"]
