"""IAPR TC-12 in the hashing layout: 255 labels, queries against a database."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.contract import DatasetCard, DatasetLoader, Fact, FileCard, ModalityCard, Split
from bench.data import Choices, read_bundle


class IaprTc12(DatasetLoader):
    """Reads `iapr-tc12.mat` in the hashing layout: Img, Tag and Lab of Train, Query and DataBase."""

    card: ClassVar[DatasetCard] = DatasetCard(
        name="iaprtc12",
        title="IAPR TC-12",
        modalities=(
            ModalityCard(
                "image", Fact("VGG fc7", "inferred"), Fact(4096, "inferred"), Fact(None, "inferred"), "sparse"
            ),
            ModalityCard(
                "text", Fact("words", "inferred"), Fact(2912, "inferred"), Fact(None, "inferred"), "counts"
            ),
        ),
        n_classes=Fact(255, "inferred"),
        licence="for research; features are not redistributed here",
        source="Grubinger et al., The IAPR TC-12 Benchmark, OntoImage 2006",
        files=(
            FileCard(
                name="iapr-tc12.mat",
                origin="the repositories of the hashing papers NRCH, HRDCH, SHE and QinLab",
                aliases=("iapr_tc12.mat", "IAPRTC12.mat", "iapr.h5"),
            ),
        ),
        multi_label=True,
        citation="grubinger2006iapr",
        split="query-database",
        notes=(
            "Queries are ranked against the database, which holds the training rows as well.",
            "Some copies have 275 labels, of which 20 belong to no row.",
        ),
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits and the gallery."""
        return read_bundle(files["iapr-tc12.mat"], Choices(multi_label=True)).splits
