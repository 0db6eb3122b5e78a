"""XMedia: 20 classes, five modalities with different sample counts and no pairs over all of them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.contract import (
    DatasetCard,
    DatasetLoader,
    Fact,
    FileCard,
    Modality,
    ModalityCard,
    Split,
)
from bench.data import cut_block, open_arrays, read_modality, stated_rows

# modality -> training features, test features, training labels, test labels
_KEYS = {
    "image": ("I_tr_CNN", "I_te_CNN", "trImgCat", "teImgCat"),
    "text": ("T_tr_BOW", "T_te_BOW", "trTxtCat", "teTxtCat"),
    "audio": ("A_tr", "A_te", "trAudCat", "teAudCat"),
    "3d": ("d3_tr", "d3_te", "tr3dCat", "te3dCat"),
    "video": ("V_tr_CNN", "V_te_CNN", "trVidCat", "teVidCat"),
}
# only the counts of the test rows are confirmed, so all are inferred
_PAIRS = Fact[tuple[int, int, int] | None]((4000, 500, 500), "inferred")
_AUDIO = Fact[tuple[int, int, int] | None]((800, 100, 100), "inferred")
_3D = Fact[tuple[int, int, int] | None]((400, 50, 50), "inferred")
_VIDEO = Fact[tuple[int, int, int] | None]((969, 87, 87), "inferred")


class XMedia(DatasetLoader):
    """Reads `XMediaFeatures.mat`; labels count from 1.

    Test rows are the first of each test block, validation rows the rest (split ``test-first``).

    Attributes:
        first: the part that the first rows of each test block make up.
    """

    first: ClassVar[str] = "test"

    card: ClassVar[DatasetCard] = DatasetCard(
        name="xmedia",
        title="XMedia",
        modalities=(
            ModalityCard("image", Fact("CNN", "doubtful"), Fact(4096, "doubtful"), _PAIRS, "sparse"),
            ModalityCard("text", Fact("bag of words", "doubtful"), Fact(3000, "doubtful"), _PAIRS, "counts"),
            ModalityCard("audio", Fact("MFCC", "inferred"), Fact(29, "inferred"), _AUDIO, "dense"),
            ModalityCard("3d", Fact("LightField", "inferred"), Fact(4700, "inferred"), _3D, "dense"),
            ModalityCard(
                "video", Fact("CNN of frames", "doubtful"), Fact(4096, "doubtful"), _VIDEO, "sparse"
            ),
        ),
        n_classes=Fact(20, "confirmed"),
        licence="for research, from the publisher on request; not redistributed here",
        source="Zhai et al., Learning Cross-Media Joint Representation with Sparse and Semisupervised "
        "Regularization, IEEE TCSVT 2014",
        files=(
            FileCard(
                name="XMediaFeatures.mat",
                origin="PKU's XMedia page, http://www.icst.pku.edu.cn/mipl/XMedia/, the public repository of "
                "RSHNL, https://github.com/perquisite/RSHNL, or xmedia.zip of the Hugging Face dataset "
                "xinxin713/hashing-benchmark-datasets",
                git_blob="5f9a2f26b29da4a82274a8a842968c03e4a66f58",
                urls=(
                    "https://raw.githubusercontent.com/perquisite/RSHNL/HEAD/datasets/XMediaFeatures.mat",
                    "https://huggingface.co/datasets/xinxin713/hashing-benchmark-datasets/resolve/main/data/"
                    "xmedia.zip",
                ),
                member="XMediaFeatures.mat",
            ),
        ),
        paired=Fact(False, "confirmed"),
        in_all=True,
        citation="zhai2014xmedia",
        split="test-first",
        notes=(
            "The first 500/500/100/50/87 rows of each test block are the test set (DRCL, MARS, SDML); "
            "another lab's paper takes them for validation and tests on the rest ('test-last').",
            "The archive's inner layout is not published: the file is looked for by its name.",
        ),
        has_look_alike=True,
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits."""
        train: dict[str, Modality] = {}
        block: dict[str, Modality] = {}
        with open_arrays(files["XMediaFeatures.mat"]) as source:
            for name, (train_key, test_key, train_labels, test_labels) in _KEYS.items():
                train[name] = read_modality(source, self.card, name, train_key, train_labels, first=1)
                block[name] = read_modality(source, self.card, name, test_key, test_labels, first=1)
            first, rest = cut_block(block, stated_rows(self.card, self.first), source.path)
        test, validation = (first, rest) if self.first == "test" else (rest, first)
        parts = {"train": train, "validation": validation, "test": test}
        return {part: Split(found, self.card.n_classes.value, "none") for part, found in parts.items()}
