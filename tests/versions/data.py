"""What the loaders of the datasets at hand give: sizes and sums of their arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bench import registry
from bench.contract import DataError, Dataset
from bench.data import load_dataset
from bench.data.loading import source_of

Arrays = dict[str, float]


def measure(data_dir: Path = Path("data")) -> dict[str, Arrays]:
    """Return, by name, what is loaded of every real dataset of the project whose files are at hand."""
    found: dict[str, Arrays] = {}
    for name in registry.dataset_names():
        if Path(registry.dataset(name).where).parent == registry.folder_of("datasets"):
            try:
                if source_of(name, data_dir).kind == "real":
                    found[name] = dict(_arrays(load_dataset(name, data_dir, profile="paper")))
            except DataError:  # its files are not here
                continue
    return found


def moved(stored: Mapping[str, Arrays], now: Mapping[str, Arrays]) -> list[str]:
    """Return the datasets whose arrays are others, beyond the rounding of a sum."""
    return sorted(
        name
        for name in stored.keys() & now.keys()
        if stored[name].keys() != now[name].keys()
        or any(
            abs(value - now[name][key]) > 1e-5 * max(1.0, abs(value)) for key, value in stored[name].items()
        )
    )


def _arrays(dataset: Dataset) -> Iterator[tuple[str, float]]:
    for part, split in (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test)):
        for name, modality in split.items():
            features = np.asarray(modality.features, dtype=np.float64)
            weights = 1.0 + np.arange(len(features)) % 97  # another order of rows gives another sum
            yield f"{part} {name} features", float(f"{(weights @ np.abs(features)).sum():.9g}")
            yield f"{part} {name} rows", float(len(features))
            labels = np.asarray(modality.labels, dtype=np.float64).reshape(len(features), -1)
            yield f"{part} {name} labels", float((weights @ labels).sum())
