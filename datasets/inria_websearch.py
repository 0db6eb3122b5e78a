"""INRIA-Websearch: 100 classes, image-text pairs, with its own three splits."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.contract import DatasetCard, DatasetLoader, Fact, FileCard, ModalityCard, Split
from bench.data import open_arrays, read_modality

ROWS = Fact[tuple[int, int, int] | None]((9000, 1332, 4366), "confirmed")
_PARTS = {"train": "tr", "validation": "val", "test": "te"}


class InriaWebsearch(DatasetLoader):
    """Reads `INRIA-Websearch.mat`; labels count from 0."""

    card: ClassVar[DatasetCard] = DatasetCard(
        name="inria_websearch",
        title="INRIA-Websearch",
        modalities=(
            ModalityCard("image", Fact("AlexNet", "confirmed"), Fact(4096, "confirmed"), ROWS, "sparse"),
            ModalityCard("text", Fact("LDA topics", "confirmed"), Fact(1000, "confirmed"), ROWS, "topics"),
        ),
        n_classes=Fact(100, "confirmed"),
        licence="none stated for the features; not redistributed here",
        source="Krapac et al., Improving Web Image Search Results Using Query-Relative Classifiers, "
        "CVPR 2010; features of Wei et al., IEEE Transactions on Cybernetics 2017",
        files=(
            FileCard(
                name="INRIA-Websearch.mat",
                origin="https://weiyc.github.io/assets/projects/tcyb.html, or inria-websearch.zip of the "
                "Hugging Face dataset xinxin713/hashing-benchmark-datasets",
                urls=(
                    "https://huggingface.co/datasets/xinxin713/hashing-benchmark-datasets/resolve/main/data/"
                    "inria-websearch.zip",
                ),
                member="INRIA-Websearch.mat",
            ),
        ),
        in_all=True,
        citation="krapac2010inria",
        split="as released",
        notes=("The archive's inner layout is not published: the file is looked for by its name.",),
        has_look_alike=True,
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the file's own three splits."""
        splits: dict[str, Split] = {}
        with open_arrays(files["INRIA-Websearch.mat"]) as source:
            for part, prefix in _PARTS.items():
                modalities = {
                    name: read_modality(source, self.card, name, f"{prefix}_{key}", f"{prefix}_{key}_lab")
                    for name, key in (("image", "img"), ("text", "txt"))
                }
                splits[part] = Split(modalities, self.card.n_classes.value, "natural")
        return splits
