"""XMedia in the partition of NIRNL, RSHNL and OTOS, who test on the last rows of each test block."""

from __future__ import annotations

from typing import ClassVar

from bench.contract import DatasetCard

from .xmedia import XMedia


class XMediaTestLast(XMedia):
    """Reads the file of `XMedia` with validation and test rows exchanged."""

    first = "validation"
    card: ClassVar[DatasetCard] = DatasetCard(
        name="xmedia_test_last",
        title="XMedia (test last)",
        modalities=XMedia.card.modalities,
        n_classes=XMedia.card.n_classes,
        licence=XMedia.card.licence,
        source=XMedia.card.source,
        files=XMedia.card.files,
        paired=XMedia.card.paired,
        citation=XMedia.card.citation,
        split="test-last",
        notes=("NIRNL, RSHNL and OTOS test on the rows after the first 500/500/100/50/87 of each block.",),
    )
