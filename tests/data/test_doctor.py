"""The doctor: a diagnosis of every dataset, whatever is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import registry
from bench.contract import FileCard
from bench.data import diagnose
from tests.data.layouts import arrays, saved
from tests.data.test_loading import Empty, Tiny, put
from tests.wording import mentions


def test_every_registered_dataset_can_be_examined_without_any_file(tmp_path: Path) -> None:
    found = {name: diagnose(name, tmp_path) for name in registry.dataset_names()}
    assert found["emoji"].status == found["emoji_fine"].status == "embedded"
    for name in ("wikipedia", "nus_wide", "inria_websearch", "xmedia", "xmedianet"):
        assert found[name].status == "look-alike"
    for name in ("nus_wide_42941", "wikipedia_classic"):
        assert found[name].status == "missing"
    for name, diagnosis in found.items():
        card = registry.dataset_loader(name).card
        assert diagnosis.title == card.title
        for file, advice in zip(card.files, diagnosis.advice, strict=True):
            assert file.origin in advice
            assert str(tmp_path / name / file.name) in advice
            assert advice in str(diagnosis)


def test_embedded_data_is_read_and_compared_with_its_card(tmp_path: Path) -> None:
    found = diagnose("emoji", tmp_path)
    assert not found.problem
    assert found.shapes == {
        one.name: (one.rows.value, one.dimension.value) for one in registry.dataset("emoji").card.modalities
    }
    assert {width for _, width in found.shapes.values()} == {1280, 384}
    assert mentions(str(found), "image: ... 1301/230/364 ... train/validation/test ... 1280")
    assert found.files[0].sha256 == "608db2466b3a25b59d4ce348d044e6950169b2081ba4315b702a37a8f4a08688"


def test_complete_files_are_described_and_others_than_the_published_remarked_on(tmp_path: Path) -> None:
    found = diagnose(Tiny, put(tmp_path))
    assert found.status == "complete"
    assert [file.path for file in found.files] == [tmp_path / "x.npz", tmp_path / "y.list"]
    assert any(mentions(note, "image ... 8/8/8 rows ... 8/4/4") for note in found.notes)

    class Known(Tiny):
        card = replace(Tiny.card, files=(FileCard("x.npz", "a", size=5), FileCard("y.list", "b", sha256="0")))

    found = diagnose(Known, tmp_path)
    assert found.status == "complete"
    assert any("has 5" in note for note in found.notes)
    assert any("SHA-256" in note for note in found.notes)


def test_a_damaged_file_is_named_with_its_origin(tmp_path: Path) -> None:
    (put(tmp_path) / "x.npz").write_bytes(b"PK\x03\x04")
    found = diagnose(Tiny, tmp_path)
    assert found.status == "damaged"
    assert "x.npz" in found.problem
    assert mentions(found.advice[0], "x.npz ... author")
    assert "DAMAGED" in str(found)


def test_some_files_without_the_others_are_missing_not_stood_in_for(tmp_path: Path) -> None:
    (put(tmp_path) / "y.list").unlink()
    found = diagnose(Tiny, tmp_path)
    assert (found.status, found.problem) == ("missing", "y.list not found")
    assert len(found.advice) == 1
    assert str(tmp_path / "x.npz") in str(found)


def fails_with(error: Exception) -> Any:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_a_loader_that_fails_unexpectedly_or_has_no_data_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mentions(diagnose(Empty).problem, "files ... embedded data")
    monkeypatch.setattr(Tiny, "read", fails_with(ZeroDivisionError("oh")))
    found = diagnose(Tiny, put(tmp_path))
    assert found.status == "damaged"
    assert "ZeroDivisionError: oh" in found.problem


def test_a_file_that_cannot_be_opened_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path)
    monkeypatch.setattr("bench.data.doctor.sha256_of", fails_with(PermissionError(13, "Permission denied")))
    assert "Permission denied" in diagnose(Tiny, tmp_path).files[0].remark


def test_bundles_are_examined_by_path_and_wrong_names_are_findings_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert diagnose(saved(tmp_path / "good.npz", arrays())).status == "complete"
    bad = saved(tmp_path / "bad.npz", arrays() | {"test_image": np.full((12, 6), np.nan)})
    assert mentions(diagnose(str(bad)).problem, "row 0, column 0 ... nan")
    assert "no file" in diagnose(tmp_path / "none.npz").problem
    assert "emoji" in diagnose("emojy", tmp_path).problem
    monkeypatch.setattr("bench.data.doctor.source_of", fails_with(ZeroDivisionError("oh")))
    assert "ZeroDivisionError" in diagnose("emoji", tmp_path).problem
