"""Datasets in the hashing layout, Pascal Sentence, and XMedia in its other partition, as described."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract import DatasetLoader, Fact
from bench.data import load_dataset
from datasets.iaprtc12 import IaprTc12
from datasets.mirflickr25k import MirFlickr25K
from datasets.mscoco import MsCoco
from datasets.pascal_sentence import PascalSentence
from datasets.xmedia import XMedia
from datasets.xmedia_test_last import XMediaTestLast
from tests.data.released import write_hdf5, write_mat5


def _small(loader: type[DatasetLoader], classes: int) -> type[DatasetLoader]:
    return type("Small", (loader,), {"card": replace(loader.card, n_classes=Fact(classes, "inferred"))})


@pytest.mark.parametrize("loader", [MirFlickr25K, MsCoco, IaprTc12])
def test_queries_are_ranked_against_the_database(tmp_path: Path, loader: type[DatasetLoader]) -> None:
    rng = np.random.default_rng(0)
    labels = np.maximum(rng.random((200, 6)) < 0.3, np.eye(6)[np.arange(200) % 6]).astype(float)
    image, text = rng.normal(size=(200, 12)), rng.random((200, 8))
    arrays: dict[str, Any] = {}
    for part, rows in (("Train", slice(0, 80)), ("Query", slice(160, 200)), ("DataBase", slice(0, 160))):
        arrays |= {f"Img{part}": image[rows], f"Tag{part}": text[rows], f"Lab{part}": labels[rows]}
    (name, *_) = loader.card.files[0].aliases
    (write_hdf5 if name.endswith(".h5") else write_mat5)(tmp_path / name, arrays)
    data = load_dataset(_small(loader, 6), tmp_path, profile="paper")
    assert data.gallery is not None
    assert (len(data.test["image"]), len(data.gallery["text"])) == (40, 160)
    assert data.train.multi_label
    assert len(data.train["image"]) + len(data.validation["image"]) == 80
    assert data.train.paired


def test_pascal_sentence_cuts_its_validation_rows_from_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 80), ("test", 20)):
        arrays[f"img_{part}"], arrays[f"text_{part}"] = (
            rng.normal(size=(count, 6)),
            rng.normal(size=(count, 5)),
        )
        arrays[f"label_{part}"] = (np.arange(count) % 4)[:, None]
    write_mat5(tmp_path / "pascal.mat", arrays)
    data = load_dataset(_small(PascalSentence, 4), tmp_path, profile="paper")
    assert [len(split["image"]) for split in (data.train, data.validation, data.test)] == [68, 12, 20]
    assert data.train.paired


def test_the_two_partitions_of_xmedia_exchange_validation_and_test() -> None:
    first, last = XMedia.card, XMediaTestLast.card
    assert (XMedia.first, XMediaTestLast.first) == ("test", "validation")
    assert first.modalities == last.modalities
    assert (first.split, last.split) == ("test-first", "test-last")
    assert first.files[0].git_blob == last.files[0].git_blob
