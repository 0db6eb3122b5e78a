"""NUS-WIDE with deep features: 10 classes, single label, image-text pairs, with its own three splits."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.contract import DatasetCard, DatasetLoader, Fact, FileCard, ModalityCard, Split
from bench.data import first_class, open_arrays, read_modality

ROWS = Fact[tuple[int, int, int] | None]((8000, 1000, 1000), "doubtful")
FILE = "nus_wide_deep_doc2vec-corr-ae.h5py"
_PARTS = {"train": "train", "validation": "valid", "test": "test"}


class NusWide(DatasetLoader):
    """Reads `nus_wide_deep_doc2vec-corr-ae.h5py`, supposed to be NUS-WIDE-10K.

    The released loaders subtract the smallest label, so whether labels count from 0 or 1 is read off
    the file: those that reach 10 count from 1.
    """

    card: ClassVar[DatasetCard] = DatasetCard(
        name="nus_wide",
        title="NUS-WIDE",
        modalities=(
            ModalityCard("image", Fact("VGG19", "confirmed"), Fact(4096, "confirmed"), ROWS, "sparse"),
            ModalityCard("text", Fact("Doc2Vec", "confirmed"), Fact(300, "confirmed"), ROWS, "dense"),
        ),
        n_classes=Fact(10, "confirmed"),
        licence="NUS-WIDE is for non-commercial research; the features are not redistributed here",
        source="Chua et al., NUS-WIDE: A Real-World Web Image Database, CIVR 2009",
        files=(
            FileCard(
                name=FILE,
                origin="the authors of DRCL, DSCMR and MRL, on request (no public address is known; the "
                "NUS-WIDE archive on Hugging Face is the multi-label one, not this)",
                aliases=("nus_wide-10k_deep_doc2vec-corr-ae.h5py",),
            ),
        ),
        in_all=True,
        citation="chua2009nuswide",
        split="as released",
        notes=(
            "Supposed to be NUS-WIDE-10K; the sizes are those of the file at hand.",
            "Never compare with the subset of 42,941 training rows (nus_wide_42941).",
        ),
        has_look_alike=True,
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the file's own three splits; one list of labels serves both modalities."""
        splits: dict[str, Split] = {}
        n_classes = self.card.n_classes.value
        with open_arrays(files[FILE]) as source:
            first = first_class(source, [f"{prefix}_imgs_labels" for prefix in _PARTS.values()], n_classes)
            for part, prefix in _PARTS.items():
                labels = f"{prefix}_imgs_labels"
                modalities = {
                    "image": read_modality(
                        source, self.card, "image", f"{prefix}_imgs_deep", labels, first=first
                    ),
                    "text": read_modality(source, self.card, "text", f"{prefix}_texts", labels, first=first),
                }
                splits[part] = Split(modalities, n_classes, "natural")
        return splits
