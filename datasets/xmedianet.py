"""XMediaNet: 200 classes, five modalities with different sample counts and no pairs over all of them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.contract import (
    Array,
    DataError,
    DatasetCard,
    DatasetLoader,
    Fact,
    FileCard,
    Modality,
    ModalityCard,
    Split,
)
from bench.data import ArrayFile, checked_modality, open_arrays

FILE = "XMediaNet5View_Doc2Vec.mat"
_PAIRS = Fact[tuple[int, int, int] | None]((32000, 4000, 4000), "confirmed")
_MIDDLE = Fact[tuple[int, int, int] | None]((8000, 1000, 1000), "inferred")
_SMALL = Fact[tuple[int, int, int] | None]((1600, 200, 200), "inferred")
_UNKNOWN = Fact[int | None](None, "doubtful")
_PARTS = {"train": "train", "validation": "valid", "test": "test"}


class XMediaNet(DatasetLoader):
    """Reads `XMediaNet5View_Doc2Vec.mat`: cell arrays with one cell per modality; labels count from 0.

    Cells 0 and 1 are image and text. The order of the other three is not public: the one with the fewest
    training rows is taken for 3D, the other two, in the file's order, for video and audio.
    """

    card: ClassVar[DatasetCard] = DatasetCard(
        name="xmedianet",
        title="XMediaNet",
        modalities=(
            ModalityCard("image", Fact("VGG19", "confirmed"), Fact(4096, "confirmed"), _PAIRS, "sparse"),
            ModalityCard("text", Fact("Doc2Vec", "confirmed"), Fact(300, "confirmed"), _PAIRS, "dense"),
            ModalityCard("video", Fact("not public", "doubtful"), _UNKNOWN, _MIDDLE, "sparse"),
            ModalityCard("audio", Fact("not public", "doubtful"), _UNKNOWN, _MIDDLE, "dense"),
            ModalityCard("3d", Fact("not public", "doubtful"), _UNKNOWN, _SMALL, "dense"),
        ),
        n_classes=Fact(200, "confirmed"),
        licence="for research, from the publisher on request; not redistributed here",
        source="Peng, Huang and Zhao, An Overview of Cross-Media Retrieval, IEEE TCSVT 2018",
        files=(
            FileCard(
                name=FILE,
                origin="PKU's XMediaNet page, http://www.icst.pku.edu.cn/mipl/XMedia/, or xmedianet.zip of "
                "the Hugging Face dataset xinxin713/hashing-benchmark-datasets",
                urls=(
                    "https://huggingface.co/datasets/xinxin713/hashing-benchmark-datasets/resolve/main/data/"
                    "xmedianet.zip",
                ),
                member=FILE,
            ),
        ),
        paired=Fact(False, "confirmed"),
        in_all=True,
        citation="peng2018xmedianet",
        split="as released",
        notes=(
            "Which cell is video and which is audio is not public: the first of the two is called video.",
            "Some papers use subsets: MARS takes 5,000 rows per modality.",
            "The archive's inner layout is not published: the file is looked for by its name.",
        ),
        has_look_alike=True,
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the file's own three splits."""
        splits: dict[str, Split] = {}
        order: dict[str, int] = {}
        with open_arrays(files[FILE]) as source:
            for part, prefix in _PARTS.items():
                features, labels = self._cells(source, prefix), self._cells(source, f"{prefix}_labels")
                order = order or _order([len(cell) for cell in features])
                modalities: dict[str, Modality] = {}
                for card in self.card.modalities:
                    cell = order[card.name]
                    modalities[card.name] = checked_modality(
                        self.card,
                        card.name,
                        features[cell],
                        f"{source.where(prefix)}, cell {cell}",
                        labels[cell],
                        f"{source.where(prefix + '_labels')}, cell {cell}",
                    )
                splits[part] = Split(modalities, self.card.n_classes.value, "none")
        return splits

    def _cells(self, source: ArrayFile, key: str) -> list[Array]:
        cells = source.cells(key)
        if len(cells) != len(self.card.modalities):
            raise DataError(
                f"{source.where(key)}: {len(cells)} cells, expected {len(self.card.modalities)}, "
                "one per modality"
            )
        return cells


def _order(rows: list[int]) -> dict[str, int]:
    """Return the cell of each modality by the numbers of training rows."""
    smallest = min((2, 3, 4), key=lambda cell: rows[cell])
    video, audio = (cell for cell in (2, 3, 4) if cell != smallest)
    return {"image": 0, "text": 1, "video": video, "audio": audio, "3d": smallest}
