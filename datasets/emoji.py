"""Emoji, the embedded real data: Noto pictures with their names and keywords, by group or subcategory.

Pictograms, not photographs; real and naturally paired, but none of the five benchmarks of the literature.
Variants of one emoji (man, woman, person) are all on one side of the split.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.contract import (
    Array,
    DatasetCard,
    DatasetLoader,
    Encoding,
    Fact,
    Items,
    ModalityCard,
    Shown,
    Split,
)
from bench.data import ArrayFile, checked_modality, open_arrays, stratified_validation

FILE = "emoji_noto_effl0_minilm.npz"
LEAST_TRAIN = 8
LEAST_TEST = 2
_LICENCE = "pictures and image features Apache-2.0; names, keywords and groups MIT; see NOTICE"
_SOURCE = (
    "Noto emoji (emoji-datasource-google 16.0.0) with names and keywords (emojilib 4.0.3), encoded by "
    "EfficientNet-Lite0 and all-MiniLM-L6-v2"
)
_PICTOGRAMS = "Pictograms, not photographs: levels do not compare with those of photographs."


_IMAGE = Fact("EfficientNet-Lite0, pooled", "confirmed")
_TEXT = Fact("MiniLM-L6-v2 sentence", "confirmed")
IMAGES = Encoding(
    "image", "efficientnet-lite0", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
)
TEXTS = Encoding("text", "minilm", "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592")
_ROWS = Fact[tuple[int, int, int] | None]((1301, 230, 364), "confirmed")
_FINE_ROWS = Fact[tuple[int, int, int] | None]((1024, 181, 299), "confirmed")


class Emoji(DatasetLoader):
    """The 1895 emoji with their nine Unicode groups as classes."""

    card: ClassVar[DatasetCard] = DatasetCard(
        name="emoji",
        title="Emoji",
        modalities=(
            ModalityCard("image", _IMAGE, Fact(1280, "confirmed"), _ROWS, "sparse", IMAGES),
            ModalityCard("text", _TEXT, Fact(384, "confirmed"), _ROWS, "dense", TEXTS),
        ),
        n_classes=Fact(9, "confirmed"),
        licence=_LICENCE,
        source=_SOURCE,
        in_all=True,
        split="names-hashed, validation-15-percent-of-train",
        notes=(_PICTOGRAMS, "The names of flags contain the word 'flag'."),
    )
    embedded: ClassVar[Mapping[str, Path]] = {FILE: Path(__file__).parent / "files" / FILE}

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits; validation is a stratified 15 % of the training rows, fixed seed."""
        with open_arrays(files[FILE]) as source:
            is_test = source.array("test")
            labels = self._labels(source, is_test)
            features = {"image": source.array("img"), "text": source.array("txt")}
            blocks = {
                part: self._split(source, features, labels, rows & (labels >= 0))
                for part, rows in (("train", ~is_test), ("test", is_test))
            }
        train, validation = stratified_validation(blocks["train"])
        return {"train": train, "validation": validation, "test": blocks["test"]}

    def items(self, files: dict[str, Path]) -> Items:
        """Return the texts, the pictures ``(n, 32, 32, 3)`` and the names of the test rows."""
        with open_arrays(files[FILE]) as source:
            is_test = source.array("test")
            rows = is_test & (self._labels(source, is_test) >= 0)
            texts = [str(text) for text in source.array("text")[rows]]
            shown: dict[str, Shown] = {"image": source.array("pixels32")[rows], "text": texts}
            names = names_of(source, rows)
            return Items(shown, self._class_names(source, is_test), {"image": names, "text": names})

    @staticmethod
    def _labels(source: ArrayFile, _is_test: Array) -> Array:
        """Return the class of every row, -1 for rows that are left out."""
        return source.array("lab")

    @staticmethod
    def _class_names(source: ArrayFile, _is_test: Array) -> list[str]:
        """Return the names of the classes in the order of their numbers."""
        return [str(name) for name in source.array("categories")]

    def _split(self, source: ArrayFile, features: Mapping[str, Array], labels: Array, rows: Array) -> Split:
        keys = {"image": "img", "text": "txt"}
        modalities = {
            name: checked_modality(
                self.card,
                name,
                matrix[rows],
                source.where(keys[name]),
                labels[rows],
                f"{source.path}, classes",
            )
            for name, matrix in features.items()
        }
        return Split(modalities, self.card.n_classes.value, "natural")


class EmojiFine(Emoji):
    """The same rows with their Unicode subcategories as classes: real data with many classes.

    Subcategories with fewer than eight training rows (validation included) or two test rows are left
    out with their rows; the other 48 of 100, in alphabetical order, are the classes: 1205 rows to train
    and select on, 299 test rows.
    """

    card: ClassVar[DatasetCard] = DatasetCard(
        name="emoji_fine",
        title="Emoji (fine)",
        modalities=(
            ModalityCard("image", _IMAGE, Fact(1280, "confirmed"), _FINE_ROWS, "sparse", IMAGES),
            ModalityCard("text", _TEXT, Fact(384, "confirmed"), _FINE_ROWS, "dense", TEXTS),
        ),
        n_classes=Fact(48, "confirmed"),
        licence=_LICENCE,
        source=_SOURCE,
        split="names-hashed, validation-15-percent-of-train",
        notes=(
            _PICTOGRAMS,
            f"Classes need {LEAST_TRAIN} training and {LEAST_TEST} test rows, else they are left out.",
        ),
    )

    @staticmethod
    def _labels(source: ArrayFile, is_test: Array) -> Array:
        _, number, kept = _subcategories(source, is_test)
        renumbered = np.where(kept, np.cumsum(kept) - 1, -1)
        return renumbered[number]

    @staticmethod
    def _class_names(source: ArrayFile, is_test: Array) -> list[str]:
        names, _, kept = _subcategories(source, is_test)
        return [str(name) for name in names[kept]]


def names_of(source: ArrayFile, rows: Array) -> list[str]:
    """Return each emoji's characters with its name, of chosen rows."""
    codes, texts = (source.array(key)[rows] for key in ("codepoints", "text"))
    return [
        f"{''.join(chr(int(code, 16)) for code in str(one).split('-'))} {str(text).partition('. ')[0]}"
        for one, text in zip(codes, texts, strict=True)
    ]


def _subcategories(source: ArrayFile, is_test: Array) -> tuple[Array, Array, Array]:
    """Return the subcategories' names, the number ``(n,)`` of every row's, and which have enough rows."""
    names, number = np.unique(source.array("subcategory"), return_inverse=True)
    number = number.reshape(-1)
    in_test = np.bincount(number[is_test], minlength=len(names))
    in_train = np.bincount(number[~is_test], minlength=len(names))
    return names, number, (in_train >= LEAST_TRAIN) & (in_test >= LEAST_TEST)
