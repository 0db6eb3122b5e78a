"""XMedia in the partition of NIRNL, RSHNL and OTOS, who test on the last rows of each test block."""

from __future__ import annotations

from typing import ClassVar

from bench.contract import DatasetCard, Fact, FileCard, ModalityCard

from .xmedia import XMedia

_PAIRS = Fact[tuple[int, int, int] | None]((4000, 500, 500), "inferred")
_AUDIO = Fact[tuple[int, int, int] | None]((800, 100, 100), "inferred")
_3D = Fact[tuple[int, int, int] | None]((400, 50, 50), "inferred")
_VIDEO = Fact[tuple[int, int, int] | None]((969, 87, 87), "inferred")


class XMediaTestLast(XMedia):
    """Reads the file of `XMedia` with validation and test rows exchanged."""

    first = "validation"
    card: ClassVar[DatasetCard] = DatasetCard(
        name="xmedia_test_last",
        title="XMedia (test last)",
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
                origin="the public repository of RSHNL, or as for xmedia",
                git_blob="5f9a2f26b29da4a82274a8a842968c03e4a66f58",
                urls=("https://raw.githubusercontent.com/perquisite/RSHNL/HEAD/datasets/XMediaFeatures.mat",),
            ),
        ),
        paired=Fact(False, "confirmed"),
        citation="zhai2014xmedia",
        split="test-last",
        notes=("NIRNL, RSHNL and OTOS test on the rows after the first 500/500/100/50/87 of each block.",),
    )
