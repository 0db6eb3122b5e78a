"""NUS-WIDE's larger subset with 42,941 training pairs: another dataset than `nus_wide`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.contract import DatasetCard, DatasetLoader, Fact, FileCard, Modality, ModalityCard, Split
from bench.data import ArrayFile, cut_block, first_class, open_arrays, read_modality, stated_rows

ROWS = Fact[tuple[int, int, int] | None]((42941, 5000, 23661), "inferred")
FILE = "nus_wide_deep_doc2vec_data_42941.h5py"


class NusWide42941(DatasetLoader):
    """Reads `nus_wide_deep_doc2vec_data_42941.h5py`; labels count from 0 or 1, as the file has it.

    Where the file has no validation block, the first 5,000 rows of its test block are taken.
    """

    card: ClassVar[DatasetCard] = DatasetCard(
        name="nus_wide_42941",
        title="NUS-WIDE (42,941)",
        modalities=(
            ModalityCard("image", Fact("VGG19", "inferred"), Fact(4096, "inferred"), ROWS, "sparse"),
            ModalityCard("text", Fact("Doc2Vec", "inferred"), Fact(300, "inferred"), ROWS, "dense"),
        ),
        n_classes=Fact(10, "confirmed"),
        licence="NUS-WIDE is for non-commercial research; the features are not redistributed here",
        source="Chua et al., NUS-WIDE: A Real-World Web Image Database, CIVR 2009; subset of SDML and MRL",
        files=(
            FileCard(
                name=FILE,
                origin="the authors of SDML and MRL, on request (no public address is known)",
            ),
        ),
        citation="chua2009nuswide",
        split="validation-first-5000",
        notes=("mAP levels differ from those of nus_wide: about .55-.60 against .67-.70.",),
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits."""
        with open_arrays(files[FILE]) as source:
            labels = [key for key in source.keys() if key.endswith("_labels")]  # noqa: SIM118
            first = first_class(source, labels, self.card.n_classes.value)
            train, test = self._block(source, "train", first), self._block(source, "test", first)
            if "valid_imgs_deep" in source:
                validation = self._block(source, "valid", first)
            else:
                validation, test = cut_block(test, stated_rows(self.card, "validation"), source.path)
        n_classes = self.card.n_classes.value
        parts = {"train": train, "validation": validation, "test": test}
        return {part: Split(modalities, n_classes, "natural") for part, modalities in parts.items()}

    def _block(self, source: ArrayFile, prefix: str, first: int) -> dict[str, Modality]:
        text = f"{prefix}_texts" if f"{prefix}_texts" in source else f"{prefix}_text"
        image_labels = f"{prefix}_imgs_labels"
        text_labels = f"{prefix}_texts_labels"
        if text_labels not in source:
            text_labels = image_labels
        return {
            "image": read_modality(
                source, self.card, "image", f"{prefix}_imgs_deep", image_labels, first=first
            ),
            "text": read_modality(source, self.card, "text", text, text_labels, first=first),
        }
