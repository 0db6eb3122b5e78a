"""Wikipedia as published in 2010: SIFT words and LDA topics, 10 classes, image-text pairs."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.contract import Array, DataError, DatasetCard, DatasetLoader, Fact, FileCard, ModalityCard, Split
from bench.data import checked_modality, open_arrays, stratified_validation

ROWS = Fact[tuple[int, int, int] | None]((1847, 326, 693), "confirmed")
_ORIGIN = (
    "SVCL at UC San Diego, http://www.svcl.ucsd.edu/projects/crossmodal/, or the folder wikipedia_info of "
    "https://github.com/emanuetre/crossmodal"
)
_RAW = "https://raw.githubusercontent.com/emanuetre/crossmodal/40db7f5338a150ef8feff2787f4bb8b3df809355/wikipedia_info"
_BLOCKS = {"train": ("tr", "trainset_txt_img_cat.list"), "test": ("te", "testset_txt_img_cat.list")}


class WikipediaClassic(DatasetLoader):
    """Reads `raw_features.mat` and the two lists; row i of the matrices is line i of the list.

    The publication has no validation set: a stratified 15 % of the 2173 training rows, fixed seed.
    """

    card: ClassVar[DatasetCard] = DatasetCard(
        name="wikipedia_classic",
        title="Wikipedia (2010 features)",
        modalities=(
            ModalityCard(
                "image", Fact("128 SIFT words", "confirmed"), Fact(128, "confirmed"), ROWS, "topics"
            ),
            ModalityCard("text", Fact("10 LDA topics", "confirmed"), Fact(10, "confirmed"), ROWS, "topics"),
        ),
        n_classes=Fact(10, "confirmed"),
        licence="none stated for the features; not redistributed here",
        source="Rasiwasia et al., A New Approach to Cross-Modal Multimedia Retrieval, ACM MM 2010",
        files=(
            FileCard(
                "raw_features.mat",
                _ORIGIN,
                (f"{_RAW}/raw_features.mat",),
                "ca628f765a69575e168ab29eb97f5ade12fadf47b31de1328c7ff631c7f225ae",
                1075232,
            ),
            FileCard(
                "trainset_txt_img_cat.list",
                _ORIGIN,
                (f"{_RAW}/trainset_txt_img_cat.list",),
                "30c1ba8afbe90da5986de9b12496b6dd2e4680d3876b79ab7aae2e437d5819a3",
                155153,
            ),
            FileCard(
                "testset_txt_img_cat.list",
                _ORIGIN,
                (f"{_RAW}/testset_txt_img_cat.list",),
                "ec3123ee31cc89dd95fbeb23eb73b2ecfd1d8909bba863723471aad99408c1eb",
                49494,
            ),
        ),
        citation="rasiwasia2010sm",
        split="validation-15-percent-of-train",
        notes=("The rows are in another order than in wiki.mat: never join the two by index.",),
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits."""
        blocks: dict[str, Split] = {}
        with open_arrays(files["raw_features.mat"]) as source:
            for part, (suffix, listing) in _BLOCKS.items():
                labels = _labels(files[listing])
                where = str(files[listing])
                modalities = {
                    name: checked_modality(
                        self.card, name, source.array(key), source.where(key), labels, where, first=1
                    )
                    for name, key in (("image", f"I_{suffix}"), ("text", f"T_{suffix}"))
                }
                blocks[part] = Split(modalities, self.card.n_classes.value, "natural")
        train, validation = stratified_validation(blocks["train"])
        return {"train": train, "validation": validation, "test": blocks["test"]}


def _labels(path: Path) -> Array:
    """Return the third column of a list of text, image and class, separated by tabs."""
    numbers: list[int] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error
    for number, line in enumerate(lines, start=1):
        columns = line.split("\t")
        if len(columns) != 3 or not columns[2].strip().isdecimal():
            raise DataError(
                f"{path}, line {number}: expected text, image and class number separated by tabs, "
                f"found {line[:80]!r}"
            )
        numbers.append(int(columns[2]))
    return np.asarray(numbers, dtype=np.int64)
