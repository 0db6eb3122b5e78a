"""Readers of files of arrays: recognised by their first bytes where these tell, else by their name.

One interface, `ArrayFile`, for MAT (v4, v5 and v7.3), HDF5, .npz, .npy, pickles, PyTorch files, tables, and
folders of such files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.contract import DataError
from bench.data.formats.array_file import (
    TEXTS,
    ArrayFile,
    as_data_error,
    is_file,
    is_folder,
    is_other,
    require_regular,
)
from bench.data.formats.folder import Folder
from bench.data.formats.json_files import Json
from bench.data.formats.matlab import Mat5
from bench.data.formats.matlab4 import Mat4, is_mat4
from bench.data.formats.nested import Pickle
from bench.data.formats.numpy_files import Npz, npy
from bench.data.formats.probe import require_harmless
from bench.data.formats.tensor_files import Safetensors, Torch

__all__ = [
    "ArrayFile",
    "container_of",
    "describe_head",
    "files_of",
    "is_file",
    "is_folder",
    "is_other",
    "open_arrays",
    "require_regular",
]

_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_READERS: Final[Mapping[str, Callable[[Path], ArrayFile]]] = {
    "mat4": Mat4, "mat5": Mat5, "npz": Npz, "npy": npy, "json": Json, "pickle": Pickle, "torch": Torch,
    "safetensors": Safetensors,
}  # fmt: skip
_PROBED: Final = ("mat7.3", "hdf5", "parquet", "arrow")
"""Formats whose library can crash or hang on a damaged file."""
_BY_NAME: Final = {
    ".pkl": "pickle", ".pickle": "pickle", ".pt": "torch", ".pth": "torch", ".csv": "table", ".tsv": "table",
    **dict.fromkeys(TEXTS, "table"), ".json": "json", ".jsonl": "json", ".safetensors": "safetensors",
    ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip
SUFFIXES: Final = (".npz", ".npy", ".mat", ".h5", ".hdf5", ".h5py", ".parquet", *_BY_NAME)
"""Endings of the names of files that are read."""
_SPREADSHEETS: Final = (".xlsx", ".xls", ".xlsm", ".ods")
_TELLTALES: Final = (
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML document"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"rar!", "a RAR archive; unpack it first"),
    (b"%pdf", "a PDF document"),
)


@contextmanager
def open_arrays(path: Path, *, probe: bool = True) -> Iterator[ArrayFile]:
    """Open a file of arrays, or a folder of such files.

    With ``probe`` another process reads it first, if a damaged one could crash the library that reads it.

    Raises:
        DataError: if it cannot be opened, is damaged, or is in no known format.
    """
    if is_folder(path):
        with as_data_error(str(path)):
            source: ArrayFile = Folder(path, files_of(path), open_arrays)
    else:
        container = container_of(path)
        if probe and container in _PROBED:
            with as_data_error(str(path)):
                require_harmless(path)
        source = _reader(container)(path)
    try:
        yield source
    finally:
        source.close()


def _reader(container: str) -> Callable[[Path], ArrayFile]:
    """Return what reads a container; libraries that few files need are imported here."""
    if container in ("mat7.3", "hdf5"):
        from bench.data.formats.hdf5 import Hdf5

        return partial(Hdf5, matlab=container == "mat7.3")
    if container in ("table", "parquet", "arrow"):
        from bench.data.formats.tables import Table

        return partial(Table, container=container)
    return _READERS[container]


def files_of(folder: Path) -> list[Path]:
    """Return the files of arrays in a folder and in its folders, in the order of their names."""
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    inner = [path for entry in entries if entry.is_dir() for path in sorted(entry.iterdir())]
    shown = [path for path in (*entries, *inner) if not path.name.startswith(".")]  # of macOS: ._mine.npz
    found = [path for path in shown if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise DataError(
            f"{folder}: no file of arrays is in this folder or a folder in it; give one that has some. Their "
            f"names end in {', '.join(SUFFIXES)}"
        )
    if len(found) > 1000:
        raise DataError(f"{folder}: {len(found)} files of arrays; one for each array is expected")
    return found


def container_of(path: Path) -> str:
    """Return a file's container by its first bytes; pickles, PyTorch files and tables by their name."""
    with as_data_error(str(path)):
        require_regular(path)
        with path.open("rb") as stream:
            head = stream.read(1024)
    suffix = path.suffix.lower()
    named = _BY_NAME.get(suffix)
    if suffix in _SPREADSHEETS:
        raise DataError(f"{path} is a spreadsheet; save it as a table (.csv)")
    if head.startswith(b"PK\x03\x04"):
        return "torch" if named == "torch" else "npz"
    if head.startswith((b"ARROW1", b"FEA1")) or (named == "arrow" and head.startswith(b"\xff" * 4)):
        return "arrow"
    for start, container in ((_HDF5, "hdf5"), (b"\x93NUMPY", "npy"), (b"PAR1", "parquet")):
        if head.startswith(start):
            return container
    order = head[126:128]
    if (order == b"IM" and head[125] == 1) or (order == b"MI" and head[124] == 1):
        return "mat5"
    if head[512:520] == _HDF5:
        return "mat7.3"
    if suffix == ".mat" and is_mat4(head):
        return "mat4"
    meaning = describe_head(head)
    if named is not None and meaning == "not a file of arrays":
        return named
    raise DataError(
        f"{path} is {meaning}; expected a MAT, HDF5, NumPy, PyTorch, safetensors or Parquet "
        "file, a pickle, a table (.csv, .tsv), JSON or a text. Get it again from its dataset's source"
    )


def describe_head(head: bytes) -> str:
    """Return in words what a file that begins with ``head`` seems to be."""
    if not head:
        return "an empty file"
    if head[257:262] == b"ustar":
        return "a TAR archive; unpack it first"
    start = head.lstrip().lower()
    return next((meaning for sign, meaning in _TELLTALES if start.startswith(sign)), "not a file of arrays")
