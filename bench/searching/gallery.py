"""Galleries: the items that are searched, from a dataset's test split or from a file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench import registry
from bench.contract import Array, BenchError, DataError, Dataset, Items, UsageError
from bench.data import load_dataset, open_arrays
from bench.data.formats.array_file import are_texts
from bench.data.given_results import read_labels
from bench.experiment.models import StoredMethod
from bench.experiment.refit import source_of_record
from bench.records.store import Store
from bench.searching.features import read_features


@dataclass(frozen=True, eq=False)
class Gallery:
    """Items of one modality."""

    title: str  # what they are, in words
    modality: str  # of the model
    features: Array  # ``(n, d_v)``
    labels: Array | None = None  # ``(n,)`` class numbers or ``(n, C)`` 0/1; None where they are not known
    names: Sequence[str] = field(default=())  # one for each item; empty where they have none

    def classes_of(self, row: int, names: Sequence[str]) -> str:
        """Return the classes of an item in words; empty where they are not known."""
        if self.labels is None:
            return ""
        label = self.labels[row]
        numbers = [int(label)] if self.labels.ndim == 1 else np.flatnonzero(label == 1).tolist()
        return ", ".join(
            names[number] if number < len(names) else str(number) for number in numbers if number >= 0
        )


def dataset_of(model: StoredMethod, folder: Path, data_dir: str | Path | None) -> Dataset:
    """Return the dataset that a model was trained on; the record beside its folder names the bundle.

    Raises:
        UsageError: if it is not known where the data is.
        DataError: if the data is another by now.
    """
    identity = model.identity
    source: str | None = identity.dataset if identity.dataset in registry.dataset_names() else None
    with suppress(BenchError):
        source = source_of_record(Store(folder.parent.parent).read(identity.digest))
    if source is None:
        raise UsageError(
            f"only the record states where the data of {identity.dataset} is, and it is not in "
            f"{folder.parent.parent}; name a file of features with --gallery"
        )
    dataset = load_dataset(source, data_dir, profile=identity.profile)
    if dataset.fingerprint != identity.fingerprint:
        raise DataError(
            f"{source} is not the data of this model: fingerprint {dataset.fingerprint[:8]} here, "
            f"{identity.fingerprint[:8]} in the model; restore that data, or name a file with --gallery"
        )
    return dataset


def gallery_of_dataset(dataset: Dataset, modality: str) -> Gallery:
    """Return the items that test rows rank, with the names that the dataset has for them."""
    split, items = dataset.gallery, Items()
    part = "gallery"
    if split is None:
        split, items, part = dataset.test, dataset.items, "test"
    names = items.names.get(modality, ())
    shown = items.shown.get(modality)
    if not names and shown is not None and not isinstance(shown, np.ndarray):
        names = shown
    found = split[modality]
    return Gallery(f"{part} rows of {dataset.name}", modality, found.features, found.labels, names)


def gallery_of_file(path: Path, modality: str, width: int, key: str | None = None) -> Gallery:
    """Return the items in a file: their features, and ``labels`` and ``names`` where it has such arrays.

    Raises:
        DataError: if they do not fit together.
    """
    features = read_features(path, modality, width, key)
    labels: Array | None = None
    names: list[str] = []
    with open_arrays(path) as source:
        for name in (f"{modality}_labels", "labels"):
            if name in source and labels is None:
                labels = read_labels(source, name)
        if "names" in source and are_texts(source.array("names")):
            names = [str(name) for name in source.array("names").reshape(-1)]
    for what, given in (("labels", labels), ("names", names or None)):
        if given is not None and len(given) != len(features):
            raise DataError(f"{path}: {len(given)} {what} for {len(features)} rows")
    return Gallery(path.name, modality, features, labels, names)
