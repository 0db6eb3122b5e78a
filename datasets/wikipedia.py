"""Wikipedia with deep features: 10 classes, image-text pairs, as released with DRCL (`wiki.mat`)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.contract import DatasetCard, DatasetLoader, Fact, FileCard, ModalityCard, Split
from bench.data import cut_block, open_arrays, read_modality, stated_rows

ROWS = Fact[tuple[int, int, int] | None]((2173, 231, 462), "confirmed")


class Wikipedia(DatasetLoader):
    """Reads `wiki.mat`; the first 231 rows of its test block are the validation set."""

    card: ClassVar[DatasetCard] = DatasetCard(
        name="wikipedia",
        title="Wikipedia",
        modalities=(
            ModalityCard("image", Fact("VGG19 fc7", "confirmed"), Fact(4096, "confirmed"), ROWS, "sparse"),
            ModalityCard("text", Fact("Doc2Vec", "confirmed"), Fact(300, "confirmed"), ROWS, "dense"),
        ),
        n_classes=Fact(10, "confirmed"),
        licence="none stated for the features; not redistributed here",
        source="Rasiwasia et al., A New Approach to Cross-Modal Multimedia Retrieval, ACM MM 2010; "
        "deep features as released with DRCL",
        files=(
            FileCard(
                name="wiki.mat",
                origin="the DRCL authors' public repository, https://github.com/perquisite/DRCL, "
                "where it is datasets/Wiki/wiki.mat",
                urls=("https://raw.githubusercontent.com/perquisite/DRCL/HEAD/datasets/Wiki/wiki.mat",),
                git_blob="8729732fcfda7e252838384c8be37bf71cec717f",
            ),
        ),
        in_all=True,
        citation="rasiwasia2010sm",
        split="validation-first-231",
        notes=(
            "The rows are in another order than the lists of 2010: never join the two by index.",
            "Another archive called wiki.zip is on Hugging Face (xinxin713/hashing-benchmark-datasets).",
        ),
        has_look_alike=True,
    )

    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits; text labels of the test block are used where the file has them."""
        n_classes = self.card.n_classes.value
        with open_arrays(files["wiki.mat"]) as source:
            text_labels = "test_texts_labels" if "test_texts_labels" in source else "test_imgs_labels"
            train = {
                "image": read_modality(source, self.card, "image", "train_imgs_deep", "train_imgs_labels"),
                "text": read_modality(source, self.card, "text", "train_texts_doc", "train_texts_labels"),
            }
            block = {
                "image": read_modality(source, self.card, "image", "test_imgs_deep", "test_imgs_labels"),
                "text": read_modality(source, self.card, "text", "test_texts_doc", text_labels),
            }
            validation, test = cut_block(block, stated_rows(self.card, "validation"), source.path)
        return {
            "train": Split(train, n_classes, "natural"),
            "validation": Split(validation, n_classes, "natural"),
            "test": Split(test, n_classes, "natural"),
        }
