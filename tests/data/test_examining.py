"""The doctor: says of every dataset what is there and what is wrong, and never dies of a patient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import registry
from bench.contract import FileCard, Split
from bench.data import examine
from tests.data.test_bundle import arrays, save
from tests.data.test_loading import Tiny, put


def test_every_registered_dataset_can_be_examined_without_any_file(tmp_path: Path) -> None:
    found = {name: examine(name, tmp_path) for name in registry.dataset_names()}
    assert found["emoji"].status == found["emoji_fine"].status == "embedded"
    for name in ("wikipedia", "nus_wide", "inria_websearch", "xmedia", "xmedianet"):
        assert found[name].status == "look-alike"
    for name in ("nus_wide_42941", "wikipedia_classic"):
        assert found[name].status == "missing"
    for name, finding in found.items():
        card = registry.dataset_loader(name).card
        assert finding.title == card.title
        for file, advice in zip(card.files, finding.advice, strict=True):
            assert file.origin in advice
            assert str(tmp_path / name / file.name) in advice
            assert advice in str(finding)


def test_embedded_data_is_read_and_compared_with_its_card(tmp_path: Path) -> None:
    finding = examine("emoji", tmp_path)
    assert not finding.problem
    assert {shape.shape[1] for shape in finding.shapes} == {1280, 384}
    assert all(shape.shape == shape.expected for shape in finding.shapes)
    assert "image: 1301/230/364 rows (train/validation/test), 1280 wide" in str(finding)
    assert finding.files[0].sha256 == "608db2466b3a25b59d4ce348d044e6950169b2081ba4315b702a37a8f4a08688"


def test_complete_files_are_described(tmp_path: Path) -> None:
    finding = examine(Tiny, put(tmp_path))
    assert finding.status == "complete"
    assert [file.path for file in finding.files] == [tmp_path / "x.npz", tmp_path / "y.list"]
    assert "image has 8/8/8 rows; the card supposes 8/4/4" in finding.notes


def test_a_file_other_than_the_published_one_is_remarked_on(tmp_path: Path) -> None:
    class Known(Tiny):
        card = replace(Tiny.card, files=(FileCard("x.npz", "a", size=5), FileCard("y.list", "b", sha256="0")))

    finding = examine(Known, put(tmp_path))
    assert finding.status == "complete"
    assert any("the published file has 5" in note for note in finding.notes)
    assert any("SHA-256 is not 0" in note for note in finding.notes)


def test_a_damaged_file_is_named_with_its_origin(tmp_path: Path) -> None:
    (put(tmp_path) / "x.npz").write_bytes(b"PK\x03\x04")
    finding = examine(Tiny, tmp_path)
    assert finding.status == "damaged"
    assert "x.npz: cannot be read" in finding.problem
    assert finding.advice[0] == "x.npz comes from the author"
    assert "DAMAGED" in str(finding)


def test_some_files_without_the_others_are_missing_not_stood_in_for(tmp_path: Path) -> None:
    (put(tmp_path) / "y.list").unlink()
    finding = examine(Tiny, tmp_path)
    assert (finding.status, finding.problem) == ("missing", "y.list not found")
    assert len(finding.advice) == 1
    assert str(tmp_path / "x.npz") in str(finding)


def test_a_loader_that_fails_unexpectedly_is_a_finding(tmp_path: Path) -> None:
    class Broken(Tiny):
        def read(self, files: dict[str, Path]) -> dict[str, Split]:
            raise ZeroDivisionError("oh")

    finding = examine(Broken, put(tmp_path))
    assert (finding.status, finding.problem) == (
        "damaged",
        "an unexpected ZeroDivisionError while reading it: oh",
    )


def test_a_loader_without_data_is_a_finding() -> None:
    class Empty(Tiny):
        card = replace(Tiny.card, files=())

    assert "neither files nor embedded data" in examine(Empty).problem


def test_a_file_that_cannot_be_opened_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    put(tmp_path)
    monkeypatch.setattr("bench.data.examining.sha256_of", refuse)
    assert examine(Tiny, tmp_path).files[0].remark == "cannot be read (Permission denied)"


def test_bundles_are_examined_by_path(tmp_path: Path) -> None:
    assert examine(save(tmp_path / "good.npz", arrays())).status == "complete"
    bad = save(tmp_path / "bad.npz", arrays(test_image=np.full((12, 6), np.nan)))
    assert "row 0, column 0 is nan" in examine(str(bad)).problem
    assert "no feature bundle" in examine(tmp_path / "none.npz").problem


def test_names_that_do_not_exist_are_findings_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "emoji" in examine("emojy", tmp_path).problem

    def fail(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("bench.data.examining.source_of", fail)
    assert "unexpected ZeroDivisionError" in examine("emoji", tmp_path).problem
