"""Emoji in five views, embedded: picture, English text, drawing, Japanese text, spoken name.

The rows are those of `emoji`, with the same classes and test rows. Not every emoji has a drawing and a
Japanese text: ids say which rows of different modalities show the same emoji.
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
    Fact,
    Items,
    Modality,
    ModalityCard,
    Shown,
    Split,
)
from bench.data import class_numbers, feature_matrix, open_arrays, stratified_validation

from .emoji import FILE as EMOJI_FILE
from .emoji import IMAGES, TEXTS, names_of

FILE = "emoji_views.npz"
VIEWS = ("drawing", "japanese", "speech")
_FILES = Path(__file__).parent / "files"
_ALL = Fact[tuple[int, int, int] | None]((1301, 230, 364), "confirmed")
_DRAWN = Fact[tuple[int, int, int] | None]((1087, 196, 303), "confirmed")
_JAPANESE = Fact[tuple[int, int, int] | None]((1079, 194, 299), "confirmed")


class EmojiViews(DatasetLoader):
    """The emoji of the set `emoji`, with three more modalities."""

    card: ClassVar[DatasetCard] = DatasetCard(
        name="emoji_views",
        title="Emoji (five views)",
        modalities=(
            ModalityCard(
                "image",
                Fact("EfficientNet-Lite0, pooled", "confirmed"),
                Fact(1280, "confirmed"),
                _ALL,
                "sparse",
                IMAGES,
            ),
            ModalityCard(
                "text",
                Fact("MiniLM-L6-v2 sentence", "confirmed"),
                Fact(384, "confirmed"),
                _ALL,
                "dense",
                TEXTS,
            ),
            ModalityCard(
                "drawing", Fact("16 x 16 pixels", "confirmed"), Fact(256, "confirmed"), _DRAWN, "sparse"
            ),
            ModalityCard(
                "japanese",
                Fact("TF-IDF of characters, SVD fitted on rows to learn from", "confirmed"),
                Fact(256, "confirmed"),
                _JAPANESE,
                "dense",
            ),
            ModalityCard(
                "speech", Fact("MFCC, mean and deviation", "confirmed"), Fact(80, "confirmed"), _ALL, "dense"
            ),
        ),
        n_classes=Fact(9, "confirmed"),
        licence=(
            "pictures Apache-2.0; names, keywords, groups and drawings MIT; Japanese texts Unicode-3.0; "
            "see NOTICE"
        ),
        source=(
            "the set `emoji`; drawings of Fluent Emoji High Contrast (npm "
            "@iconify-json/fluent-emoji-high-contrast 1.2.6), Japanese names and keywords (npm "
            "cldr-annotations-full 48.2.0), names spoken by espeak-ng 1.51 (Debian); "
            "python -m datasets.making.emoji_views makes the file again"
        ),
        paired=Fact(False, "confirmed"),
        in_all=True,
        split="as in emoji, validation-15-percent-of-train",
        notes=(
            "Pictograms, not photographs: levels do not compare with those of photographs.",
            "Ids state which rows correspond: 309 emoji have no drawing, 323 no Japanese text.",
            "The names of flags contain the word 'flag'.",
        ),
    )
    embedded: ClassVar[Mapping[str, Path]] = {EMOJI_FILE: _FILES / EMOJI_FILE, FILE: _FILES / FILE}

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits; validation is a stratified 15 % of the emoji to learn from, fixed seed."""
        with open_arrays(files[EMOJI_FILE]) as emoji, open_arrays(files[FILE]) as views:
            is_test = emoji.array("test")
            labels = class_numbers(emoji.array("lab"), emoji.where("lab"), self.card.n_classes.value)
            everything = np.arange(len(labels))
            found = {
                name: (feature_matrix(emoji.array(key), emoji.where(key)), everything)
                for name, key in (("image", "img"), ("text", "txt"))
            }
            for name in VIEWS:
                ids = views.array(f"{name}_ids").astype(np.int64)
                found[name] = feature_matrix(views.array(name), views.where(name)), ids
        parts = {
            part: self._split(found, labels, chosen)
            for part, chosen in (("train", ~is_test), ("test", is_test))
        }
        train, validation = stratified_validation(parts["train"])
        return {"train": train, "validation": validation, "test": parts["test"]}

    def items(self, files: dict[str, Path]) -> Items:
        """Return pictures ``(n, 32, 32, 3)``, drawings ``(n, 16, 16, 3)``, texts and names of test rows."""
        with open_arrays(files[EMOJI_FILE]) as emoji, open_arrays(files[FILE]) as views:
            is_test = emoji.array("test")
            classes = [str(name) for name in emoji.array("categories")]
            texts, pictures = emoji.array("text"), emoji.array("pixels32")
            ids = {name: views.array(f"{name}_ids") for name in VIEWS}
            ids = {name: rows[is_test[rows]] for name, rows in ids.items()}
            names = {name: names_of(emoji, rows) for name, rows in ids.items()}
            names |= dict.fromkeys(("image", "text"), names_of(emoji, is_test))
            drawn, has_japanese = (is_test[views.array(f"{name}_ids")] for name in ("drawing", "japanese"))
            dark = views.array("drawing")[drawn].astype(np.float32).reshape(-1, 16, 16, 1)
            japanese = views.array("shown_japanese")[views.array("japanese_ids")][has_japanese]
        english = [str(text) for text in texts[is_test]]
        shown: dict[str, Shown] = {
            "image": pictures[is_test],
            "text": english,
            "drawing": np.repeat(np.rint(255 * (1 - dark)).astype(np.uint8), 3, axis=3),
            "japanese": [str(text) for text in japanese],
            "speech": [text.partition(". ")[0] for text in english],
        }
        return Items(shown, classes, names)

    def _split(self, found: Mapping[str, tuple[Array, Array]], labels: Array, chosen: Array) -> Split:
        modalities = {}
        for name, (features, ids) in found.items():
            rows = chosen[ids]
            modalities[name] = Modality(features[rows], labels[ids[rows]], ids[rows])
        return Split(modalities, self.card.n_classes.value)
