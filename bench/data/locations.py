"""Locations of data files: the data folder, a file's path in it, and files similar to a missing one."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from bench.contract import DataError, DatasetCard, FileCard
from bench.data.bundle import ENDINGS

DATA_VARIABLE = "BENCH_DATA"
WORKER_DATA_VARIABLE = "BENCH_WORKER_DATA"
"""Set for a worker process where its machine keeps the data elsewhere than the one that planned the cells."""

_LEVELS = 3
_MOST_FILES = 5000
_NEAR = 0.8
"""How deep, and among how many files, a benchmark's file is looked for; and how alike a name must be."""


def data_folder(data_dir: str | Path | None = None) -> Path:
    """Return the data folder: the one given, else that of BENCH_DATA, else ``data`` in the working folder."""
    if data_dir is not None:
        return Path(data_dir)
    return Path(os.environ.get(DATA_VARIABLE) or Path.cwd() / "data")


def find_file(card: DatasetCard, file: FileCard, folder: Path) -> Path | None:
    """Return the path of a dataset's file: in the dataset's folder, the data folder itself, or folders below.

    There its name may be in other letters, or one of its aliases: publishers keep it under other folders.

    Raises:
        DataError: if something else has its name, such as a pipe, a folder or a broken link; or if files of
            different sizes below the data folder have it.
    """
    for path in (path_of(card, file, folder), folder / file.name):
        if path.is_file():
            return path
        if os.path.lexists(path):
            raise DataError(f"{path} is not a regular file: a pipe, a folder or a broken link; move it away")
    names = {name.lower() for name in (file.name, *file.aliases)}
    found = [path for path in files_below(folder) if path.name.lower() in names]
    if len({path.stat().st_size for path in found}) > 1:
        listed = " and ".join(str(path) for path in found[:2])
        raise DataError(f"{card.name}: {listed} differ; put the right one at {path_of(card, file, folder)}")
    return found[0] if found else None


def similar_files(card: DatasetCard, folder: Path) -> list[str]:
    """Return a sentence for each file below the data folder that may be a missing one, by its name.

    A name may be nearly that of the file, or begin with it, as other releases of a dataset are called.
    """
    sentences = []
    known = {path.name.lower(): path for path in files_below(folder)}
    for file in card.files:
        stem = Path(file.name.lower()).stem
        longer = [
            name for name in known if name.startswith((f"{stem}_", f"{stem}-")) and name.endswith(ENDINGS)
        ]
        near = get_close_matches(file.name.lower(), known, n=1, cutoff=_NEAR)
        if near:
            path, where = known[near[0]], path_of(card, file, folder)
            sentences.append(
                f"{path} has nearly the name of {file.name}; if it is that file, move it to {where}"
            )
        elif longer:
            path = known[longer[0]]
            sentences.append(
                f"{path} may be {card.title} in another release; if it is, take it by --datasets {path}"
            )
    return sentences


def files_below(folder: Path) -> list[Path]:
    """Return the regular files in a folder and three levels below, in order; of very many some."""
    found: list[Path] = []
    for where, folders, names in os.walk(folder):
        path = Path(where)
        folders[:] = sorted(folders) if len(path.relative_to(folder).parts) < _LEVELS else []
        found += [path / name for name in sorted(names) if (path / name).is_file()]
        if len(found) > _MOST_FILES:
            break
    return found


def path_of(card: DatasetCard, file: FileCard, folder: Path) -> Path:
    """Return where a dataset's file is to be put."""
    return folder / card.name / file.name


def how_to_get(card: DatasetCard, file: FileCard, folder: Path) -> str:
    """Return where a file comes from and where to put it."""
    way = (
        f"run `python -m bench data fetch {card.name}`, or get it by hand" if file.urls else "get it by hand"
    )
    return f"{file.name} comes from {file.origin}: {way} and put it at {path_of(card, file, folder)}"
