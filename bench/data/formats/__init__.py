"""Readers of files of arrays: recognised by their first bytes where these tell, else by their name.

One interface, `ArrayFile`, for MAT (v4, v5 and v7.3), HDF5, .npz, .npy, pickles, PyTorch files, tables, and
folders of such files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from bench.contract import DataError
from bench.data.formats.array_file import ArrayFile, blamed, is_folder, require_regular
from bench.data.formats.folder import Folder
from bench.data.formats.hdf5 import Hdf5
from bench.data.formats.json_files import Json
from bench.data.formats.matlab import Mat5
from bench.data.formats.matlab4 import Mat4, is_mat4
from bench.data.formats.nested import Pickle
from bench.data.formats.numpy_files import Npz, npy
from bench.data.formats.probe import require_harmless
from bench.data.formats.safe_tensors import Safetensors
from bench.data.formats.tables import TEXTS, Table, arrow, parquet
from bench.data.formats.torch_files import Torch

__all__ = [
    "SUFFIXES",
    "ArrayFile",
    "Container",
    "container_of",
    "files_of",
    "is_folder",
    "open_arrays",
    "open_unprobed",
    "require_readable",
    "require_regular",
    "telltale",
]

Container = Literal[
    "mat4",
    "mat5",
    "mat7.3",
    "hdf5",
    "npz",
    "npy",
    "pickle",
    "torch",
    "table",
    "parquet",
    "arrow",
    "json",
    "safetensors",
]

SUFFIXES: Final = (
    *(".npz", ".npy", ".mat", ".h5", ".hdf5", ".h5py"),
    *(
        ".pkl",
        ".pickle",
        ".pt",
        ".pth",
        ".safetensors",
        ".csv",
        ".tsv",
        ".parquet",
        ".feather",
        ".arrow",
        ".json",
        ".jsonl",
        *TEXTS,
    ),
)
"""Endings of the names of files that are read."""

_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_HEAD: Final = 1024
_BY_NAME: Final[Mapping[str, Container]] = {
    ".pkl": "pickle", ".pickle": "pickle", ".pt": "torch", ".pth": "torch", ".csv": "table", ".tsv": "table",
    **dict.fromkeys(TEXTS, "table"), ".json": "json", ".jsonl": "json", ".safetensors": "safetensors",
    ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip
_READERS: Final[Mapping[Container, Callable[[Path], ArrayFile]]] = {
    "mat4": Mat4,
    "mat5": Mat5,
    "mat7.3": lambda path: Hdf5(path, matlab=True),
    "hdf5": lambda path: Hdf5(path, matlab=False),
    "npz": Npz,
    "npy": npy,
    "json": Json,
    "safetensors": Safetensors,
    "pickle": Pickle,
    "torch": Torch,
    "table": Table,
    "parquet": lambda path: Table(path, parquet),
    "arrow": lambda path: Table(path, arrow),
}
_PROBED: Final = ("mat7.3", "hdf5", "parquet", "arrow")
"""Formats whose library can crash or hang on a damaged file."""

_TELLTALES: Final = (
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML document"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file that it stands for"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"rar!", "a RAR archive; unpack it first"),
    (b"%pdf", "a PDF document"),
)


@contextmanager
def open_arrays(path: Path) -> Iterator[ArrayFile]:
    """Open a file of arrays, or a folder of such files.

    Raises:
        DataError: if it cannot be opened, is damaged, or is in no known format.
    """
    if not is_folder(path) and container_of(path) in _PROBED:
        with blamed(str(path)):
            require_harmless(path)
    with open_unprobed(path) as source:
        yield source


@contextmanager
def open_unprobed(path: Path) -> Iterator[ArrayFile]:
    """Open a file of arrays in this process, whatever a damaged one does to it; else as `open_arrays`."""
    if is_folder(path):
        with blamed(str(path)):
            source: ArrayFile = Folder(path, files_of(path), open_arrays)
    else:
        source = _READERS[container_of(path)](path)
    try:
        yield source
    finally:
        source.close()


def files_of(folder: Path) -> list[Path]:
    """Return the files of arrays in a folder and in its folders, in the order of their names.

    Raises:
        DataError: if there is none, or too many.
        OSError: if the folder cannot be read.
    """
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    inner = [path for entry in entries if entry.is_dir() for path in sorted(entry.iterdir())]
    shown = [path for path in (*entries, *inner) if not path.name.startswith(".")]  # of macOS: ._mine.npz
    found = [path for path in shown if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise DataError(
            f"{folder}: no file of arrays is in this folder; their names end in {', '.join(SUFFIXES)}"
        )
    if len(found) > 1000:
        raise DataError(f"{folder}: {len(found)} files of arrays; one for each array is expected")
    return found


def container_of(path: Path) -> Container:
    """Tell a file's container by its first bytes; pickles, PyTorch files and tables by their name.

    Raises:
        DataError: if the file cannot be opened or is none of the known ones.
    """
    with blamed(str(path)):
        require_regular(path)
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    named = _BY_NAME.get(path.suffix.lower())
    if head.startswith(_HDF5):
        return "hdf5"
    if head.startswith(b"PK\x03\x04"):
        return "torch" if named == "torch" else "npz"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"FEA1")) or (named == "arrow" and head.startswith(b"\xff" * 4)):
        return "arrow"
    if (version := _matlab_version(path, head)) is not None:
        return version
    meaning = telltale(head)
    if named is not None and meaning == "not a file of arrays":
        return named
    raise DataError(
        f"{path} is {meaning}; expected a MAT, HDF5, NumPy, PyTorch, safetensors or Parquet "
        "file, a pickle, a table (.csv, .tsv), JSON or a text. Get it again from its dataset's source"
    )


def _matlab_version(path: Path, head: bytes) -> Container | None:
    """Return which MAT format a file that begins with ``head`` has; None if none."""
    if len(head) >= 128 and head[126:128] in (b"IM", b"MI"):
        major = head[125] if head[126:128] == b"IM" else head[124]
        if major == 1:
            return "mat5"
    if head[512:520] == _HDF5:
        return "mat7.3"
    return "mat4" if path.suffix.lower() == ".mat" and is_mat4(head) else None


def telltale(head: bytes) -> str:
    """Say in words what a file that begins with ``head`` seems to be."""
    if not head:
        return "an empty file"
    if head[257:262] == b"ustar":
        return "a TAR archive; unpack it first"
    start = head.lstrip().lower()
    for sign, meaning in _TELLTALES:
        if start.startswith(sign):
            return meaning
    return "not a file of arrays"


def require_readable(path: Path) -> None:
    """Check that a file's container is known and whole, without reading its arrays.

    Raises:
        DataError: if it is not.
    """
    with open_arrays(path) as source:
        source.keys()
