"""MIRFlickr-25K in the hashing layout: 24 labels, queries against a database."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.contract import DatasetCard, DatasetLoader, Fact, FileCard, ModalityCard, Split
from bench.data import Choices, read_bundle


class MirFlickr25K(DatasetLoader):
    """Reads `mirflickr25k.mat` in the hashing layout: Img, Tag and Lab of Train, Query and DataBase."""

    card: ClassVar[DatasetCard] = DatasetCard(
        name="mirflickr25k",
        title="MIRFlickr-25K",
        modalities=(
            ModalityCard(
                "image",
                Fact("VGG fc7, or CLIP 512 wide", "inferred"),
                Fact(4096, "inferred"),
                Fact(None, "inferred"),
                "sparse",
            ),
            ModalityCard(
                "text", Fact("tags", "inferred"), Fact(1386, "inferred"), Fact(None, "inferred"), "counts"
            ),
        ),
        n_classes=Fact(24, "confirmed"),
        licence="photographs under their own Creative Commons licences; features are not redistributed here",
        source="Huiskes and Lew, The MIR Flickr Retrieval Evaluation, ACM MIR 2008",
        files=(
            FileCard(
                name="mirflickr25k.mat",
                origin="the repositories of the hashing papers NRCH, HRDCH, SHE and QinLab",
                aliases=("mirflickr25k.h5", "MIRFLICKR25K.mat", "mirflickr25k-clip.mat"),
            ),
        ),
        multi_label=True,
        citation="huiskes2008mirflickr",
        split="query-database",
        notes=("Queries are ranked against the database, which holds the training rows as well.",),
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits and the gallery."""
        return read_bundle(files["mirflickr25k.mat"], Choices(multi_label=True)).splits
