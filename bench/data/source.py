"""Where a dataset comes from: its files, embedded data, a feature bundle, or a look-alike's rule."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.contract import DataError, DataKind, DatasetCard, DatasetLoader, FileCard, UsageError

DATA_VARIABLE = "BENCH_DATA"
WORKER_DATA_VARIABLE = "BENCH_WORKER_DATA"
"""Set for a worker process where its machine keeps the data elsewhere than the one that planned the cells."""

_LONGEST_NAME = 200
"""Names become parts of file names and of records, which take no longer ones."""


@dataclass(frozen=True)
class Source:
    """What a name or path leads to.

    Attributes:
        name: of the dataset: registry name, or a bundle's stem.
        kind: ``real`` where there are files, ``look-alike`` where a rule stands in.
        files: the files to read, by the card's name for them; empty for a look-alike.
        loader: class that reads them; None for a feature bundle.
    """

    name: str
    kind: DataKind
    files: Mapping[str, Path]
    loader: type[DatasetLoader] | None


def data_folder(data_dir: str | Path | None = None) -> Path:
    """Return the data folder: the one given, else that of BENCH_DATA, else ``data`` where one stands."""
    if data_dir is not None:
        return Path(data_dir)
    return Path(os.environ.get(DATA_VARIABLE) or Path.cwd() / "data")


def find_file(card: DatasetCard, file: FileCard, folder: Path) -> Path | None:
    """Return where a dataset's file lies: in the dataset's own folder or in the data folder itself."""
    for place in (folder / card.name / file.name, folder / file.name):
        if place.is_file():
            return place
    return None


def place_of(card: DatasetCard, file: FileCard, folder: Path) -> Path:
    """Return where a dataset's file is to be put."""
    return folder / card.name / file.name


def how_to_get(card: DatasetCard, file: FileCard, folder: Path) -> str:
    """Say where a file comes from and where to put it."""
    way = (
        f"run `python -m bench data fetch {card.name}`, or get it by hand" if file.urls else "get it by hand"
    )
    return f"{file.name} comes from {file.origin}: {way} and put it at {place_of(card, file, folder)}"


def source_of(name_or_path: str | Path, data_dir: str | Path | None = None) -> Source:
    """Find a dataset by its registry name or a bundle's path.

    Raises:
        UsageError: if there is no such dataset or bundle.
        DataError: if its files are not there and nothing stands in for them.
    """
    if is_bundle(name_or_path):
        path = Path(name_or_path).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no feature bundle {path}")
        if len(path.stem) > _LONGEST_NAME:
            raise UsageError(
                f"the name of {path} is longer than {_LONGEST_NAME} characters; give a shorter one"
            )
        return Source(path.stem, "real", {path.name: path}, None)
    from bench.registry import dataset_loader

    return source_of_loader(dataset_loader(str(name_or_path)), data_dir)


def source_of_loader(loader: type[DatasetLoader], data_dir: str | Path | None = None) -> Source:
    """Find the files of a dataset.

    Raises:
        DataError: if some or all of them are not there and no look-alike may stand in.
    """
    card, folder = loader.card, data_folder(data_dir)
    found = {file.name: find_file(card, file, folder) for file in card.files}
    present = {name: path for name, path in found.items() if path is not None}
    missing = [file for file in card.files if found[file.name] is None]
    if not missing:
        files = {**present, **loader.embedded}
        if not files:
            raise DataError(f"{card.name}: its loader names neither files nor embedded data")
        return Source(card.name, "real", files, loader)
    if card.has_look_alike and not present:
        return Source(card.name, "look-alike", {}, loader)
    raise DataError(
        f"{card.name} needs {', '.join(file.name for file in missing)}, which is in neither "
        f"{folder / card.name} nor {folder}. {how_to_get(card, missing[0], folder)}"
    )


def is_bundle(name_or_path: str | Path) -> bool:
    """Tell a bundle's path from a registry name."""
    text = str(name_or_path)
    return isinstance(name_or_path, Path) or text.endswith(".npz") or os.sep in text or "/" in text
