"""The Wikipedia features of 2010: read from the original files where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.contract import DataError
from bench.data import diagnose, load_dataset
from datasets.wikipedia_classic import WikipediaClassic
from tests.data.released import write_mat5
from tests.shared import shared


def test_the_original_files_are_complete_and_give_the_published_counts() -> None:
    folder = shared("data/wikipedia_classic")
    finding = diagnose(WikipediaClassic, folder)
    assert (finding.status, finding.problem) == ("complete", "")
    assert not any(file.remark for file in finding.files)
    data = load_dataset(WikipediaClassic, folder, profile="paper")
    learned = np.concatenate([data.train["image"].labels, data.validation["image"].labels])
    np.testing.assert_array_equal(np.bincount(learned), [138, 272, 244, 248, 202, 178, 186, 144, 214, 347])
    np.testing.assert_array_equal(
        np.bincount(data.test["text"].labels), [34, 88, 96, 85, 65, 58, 51, 41, 71, 104]
    )
    assert (data.train["image"].dimension, data.train["text"].dimension) == (128, 10)
    np.testing.assert_allclose(data.test["text"].features.sum(axis=1), 1, rtol=1e-5)
    assert data.test.pairing == "natural"


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        (b"a\tb\t1\na\tb\n", "line 2.*text, image.*class.*tabs"),
        (b"a\tb\tx\n", "line 1.*text, image.*class"),
        (b"\xff\xfe", "text"),
        (b"a\tb\t11\na\tb\t1\n", "labels.*1 to 11.*1 to 10"),
        (b"a\tb\t1\n", r"\b2 rows.*\b1 labels"),
        (b"", "labels"),
    ],
)
def test_a_bad_list_is_one_clear_sentence(tmp_path: Path, listing: bytes, words: str) -> None:
    values = {
        f"{name}_{part}": np.ones((2, width))
        for name, width in (("I", 128), ("T", 10))
        for part in ("tr", "te")
    }
    write_mat5(tmp_path / "raw_features.mat", values)
    (tmp_path / "trainset_txt_img_cat.list").write_bytes(listing)
    (tmp_path / "testset_txt_img_cat.list").write_bytes(b"a\tb\t1\na\tb\t2\n")
    with pytest.raises(DataError, match=words) as caught:
        load_dataset(WikipediaClassic, tmp_path)
    assert "trainset_txt_img_cat.list" in str(caught.value)
