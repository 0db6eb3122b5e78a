"""Pascal Sentence: 1,000 photographs with five sentences each, one class of 20; the features of FUME."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.contract import DatasetCard, DatasetLoader, Fact, FileCard, ModalityCard, Split
from bench.data import Choices, read_bundle


class PascalSentence(DatasetLoader):
    """Reads `pascal.mat`; 15 % of its training rows serve for validation, as the file has none."""

    card: ClassVar[DatasetCard] = DatasetCard(
        name="pascal_sentence",
        title="Pascal Sentence",
        modalities=(
            ModalityCard(
                "image", Fact("CNN", "doubtful"), Fact(None, "inferred"), Fact(None, "inferred"), "sparse"
            ),
            ModalityCard(
                "text", Fact("Doc2Vec", "doubtful"), Fact(None, "inferred"), Fact(None, "inferred"), "dense"
            ),
        ),
        n_classes=Fact(20, "confirmed"),
        licence="not stated; features are not redistributed here",
        source="Rashtchian et al., Collecting Image Annotations, NAACL HLT Workshop 2010",
        files=(
            FileCard(
                name="pascal.mat",
                origin="the public repository of FUME (CVPR 2025), https://github.com/siyuancncd/FUME",
                urls=(
                    "https://raw.githubusercontent.com/siyuancncd/FUME/HEAD/2025-CVPR-FUME/datasets/"
                    "pascal.mat",
                ),
                git_blob="8f9af701b34277a353a8be6fbdcd4a667f73fa7c",
            ),
        ),
        citation="rashtchian2010pascal",
        split="validation-from-train",
        notes=("FUME selects on its test rows; here validation rows are cut from the 800 of training.",),
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits."""
        return read_bundle(files["pascal.mat"], Choices(multi_label=False, paired=True)).splits
