"""Icons, embedded multi-label data: Material Design Icons with their names and aliases, by tags.

Line drawings, not photographs; real and naturally paired. Icons that differ only in style (outline, off, with
a badge) are on one side of the split.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.contract import DataError, DatasetCard, DatasetLoader, Fact, Items, Modality, ModalityCard, Split
from bench.data import feature_matrix, label_matrix, open_arrays, stratified_validation

from .emoji import IMAGES, TEXTS

FILE = "icons_mdi_effl0_minilm.npz"
LEAST = 30
"""Tags with fewer icons are left out."""

_ROWS = Fact[tuple[int, int, int] | None]((3630, 640, 1057), "confirmed")


class Icons(DatasetLoader):
    """Icons with 53 tags, of which a fifth of them have several."""

    card: ClassVar[DatasetCard] = DatasetCard(
        name="icons",
        title="Icons",
        modalities=(
            ModalityCard(
                "image",
                Fact("EfficientNet-Lite0, pooled, 8 bits", "confirmed"),
                Fact(1280, "confirmed"),
                _ROWS,
                "sparse",
                IMAGES,
            ),
            ModalityCard(
                "text",
                Fact("MiniLM-L6-v2 sentence, 8 bits", "confirmed"),
                Fact(384, "confirmed"),
                _ROWS,
                "dense",
                TEXTS,
            ),
        ),
        n_classes=Fact(53, "confirmed"),
        licence="Apache-2.0; see NOTICE",
        source=(
            "Material Design Icons (npm @mdi/svg 7.4.47) with names, aliases and tags, encoded by "
            "EfficientNet-Lite0 and all-MiniLM-L6-v2; python -m datasets.making.icons makes the file again"
        ),
        multi_label=True,
        in_all=True,
        split="names-hashed, validation-15-percent-of-train",
        notes=(
            "Line drawings, not photographs: levels do not compare with those of photographs.",
            f"Icons without a tag are left out, and tags with fewer than {LEAST} icons.",
            "Icons whose names are equal without words of style are on one side of the split.",
        ),
    )
    embedded: ClassVar[Mapping[str, Path]] = {FILE: Path(__file__).parent / "files" / FILE}

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits; validation is a stratified 15 % of the training rows, fixed seed."""
        with open_arrays(files[FILE]) as source:
            is_test = source.array("test")
            labels = label_matrix(source.array("labels"), source.where("labels"))
            features = {
                name: feature_matrix(source.array(name) * source.array(f"{name}_scale"), source.where(name))
                for name in ("image", "text")
            }
        if {len(labels), *map(len, features.values())} != {len(is_test)}:
            raise DataError(f"{files[FILE]}: arrays have different numbers of rows")
        parts = {
            part: Split(
                {name: Modality(matrix[rows], labels[rows]) for name, matrix in features.items()},
                labels.shape[1],
                "natural",
            )
            for part, rows in (("train", np.flatnonzero(~is_test)), ("test", np.flatnonzero(is_test)))
        }
        train, validation = stratified_validation(parts["train"])
        return {"train": train, "validation": validation, "test": parts["test"]}

    def items(self, files: dict[str, Path]) -> Items:
        """Return the texts, the pictures ``(n, 32, 32, 3)`` and the names of the test rows."""
        with open_arrays(files[FILE]) as source:
            grey = source.array("shown_image")
            texts = [str(text) for text in source.array("shown_text")]
            classes = [str(name) for name in source.array("classes")]
        names = {key: [text.partition(", ")[0] for text in texts] for key in ("image", "text")}
        return Items({"image": np.repeat(grey[..., None], 3, axis=3), "text": texts}, classes, names)
