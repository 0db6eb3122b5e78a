"""MS-COCO in the hashing layout: 80 labels, queries against a database."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.contract import DatasetCard, DatasetLoader, Fact, FileCard, ModalityCard, Split
from bench.data import Choices, read_bundle


class MsCoco(DatasetLoader):
    """Reads `mscoco.mat` in the hashing layout: Img, Tag and Lab of Train, Query and DataBase."""

    card: ClassVar[DatasetCard] = DatasetCard(
        name="mscoco",
        title="MS-COCO",
        modalities=(
            ModalityCard(
                "image", Fact("VGG fc7", "inferred"), Fact(4096, "inferred"), Fact(None, "inferred"), "sparse"
            ),
            ModalityCard(
                "text", Fact("Doc2Vec", "inferred"), Fact(300, "inferred"), Fact(None, "inferred"), "dense"
            ),
        ),
        n_classes=Fact(80, "confirmed"),
        licence="annotations CC BY 4.0; photographs under their own licences; features are not included",
        source="Lin et al., Microsoft COCO, ECCV 2014",
        files=(
            FileCard(
                name="mscoco.mat",
                origin="the repositories of the hashing papers NRCH, HRDCH, SHE and QinLab",
                aliases=("mscoco.h5", "coco.mat", "MSCOCO.h5"),
            ),
        ),
        multi_label=True,
        citation="lin2014coco",
        split="query-database",
        notes=("Queries are ranked against the database, which holds the training rows as well.",),
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits and the gallery."""
        return read_bundle(files["mscoco.mat"], Choices(multi_label=True)).splits
