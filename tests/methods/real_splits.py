"""Real data in the very splits that published or released numbers rest on."""

from __future__ import annotations

import csv

import numpy as np
from scipy.io import loadmat

from bench import mean_average_precision
from bench.contract import Array, Context, Method, Modality, Split
from tests.shared import shared

COMPACT = "data/emoji/emoji_compact_pca256_pca128.npz"
FULL = "data/emoji/emoji_noto_effl0_minilm.npz"


def emoji(file: str) -> tuple[Split, Split, Split]:
    """Return train, validation and test of the reference runs: 1301, 230 and 364 pairs, 9 classes."""
    with np.load(shared(file)) as content:
        image, text, label, test = (content[key] for key in ("img", "txt", "lab", "test"))
    given = np.flatnonzero(~test)
    given = given[np.random.RandomState(0).permutation(len(given))]
    held = round(0.15 * len(given))
    parts = (given[:-held], given[-held:], np.flatnonzero(test))
    train, validation, held_out = (
        _pairs(image[rows].astype(np.float32), text[rows].astype(np.float32), label[rows], 9)
        for rows in parts
    )
    return train, validation, held_out


def classic_wikipedia() -> tuple[Split, Split]:
    """Return all 2173 training pairs and all 693 test pairs of the features of 2010."""
    folder = shared("data/wikipedia_classic/raw_features.mat").parent
    content = loadmat(folder / "raw_features.mat")
    parts = []
    for end, listing in (("tr", "trainset_txt_img_cat.list"), ("te", "testset_txt_img_cat.list")):
        lines = (folder / listing).read_text(encoding="utf-8").splitlines()
        labels = np.array([int(line.split("\t")[2]) - 1 for line in lines])
        parts.append(_pairs(content[f"I_{end}"], content[f"T_{end}"], labels, 10))
    return parts[0], parts[1]


def released(method: str) -> list[dict[str, str]]:
    """Return what the reference runs called ``method`` reached, a row for each seed and selection."""
    with shared("golden/reference_runs.csv").open(encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    return [row for row in rows if (row["method"], row["dataset"]) == (method, "emoji")]


def reached(method: Method, train: Split, validation: Split, test: Split) -> tuple[float, float]:
    """Fit, and return the mAP@all of the test rows: image to text, text to image."""
    method.fit(train, validation, Context(scope=("reference", "image", "text")))
    image, text = (method.embed(name, test[name].features) for name in ("image", "text"))
    labels = test["image"].labels
    return (
        float(mean_average_precision(image, text, labels, labels)),
        float(mean_average_precision(text, image, labels, labels)),
    )


def _pairs(image: Array, text: Array, labels: Array, n_classes: int) -> Split:
    labels = labels.astype(np.int64)
    return Split({"image": Modality(image, labels), "text": Modality(text, labels)}, n_classes, "natural")
