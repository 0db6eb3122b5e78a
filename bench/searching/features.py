"""Reads files of features, and writes files of embeddings."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from bench.atomic import write_output
from bench.contract import Array, DataError, UsageError
from bench.data import open_arrays

_MOST_CLOSELY: Final = 6


def read_features(path: Path, modality: str, width: int, key: str | None = None) -> Array:
    """Return the features ``(n, width)`` of a modality from a file of any format in `bench.data.formats`.

    Without the ``key`` of an array it is that called like the modality, or the only one of this width.

    Raises:
        DataError: if there is no such array, or more than one may be meant.
    """
    with open_arrays(path) as source:
        if key is not None:
            return source.matrix(key)
        keys = source.keys()
        fitting = [one for one in keys if len(shape := source.shape(one)) == 2 and shape[1] == width]
        if modality in fitting or len(fitting) == 1:
            return source.matrix(modality if modality in fitting else fitting[0])
        shown = ", ".join(f"{one} {source.shape(one)}" for one in (fitting or keys)[:_MOST_CLOSELY]) or "none"
        how = "several arrays" if fitting else "no array"
        raise DataError(f"{source.path}: {how} of shape (n, {width}); name one with --key: {shown}")


def write_embeddings(path: Path, modality: str, rows: Array) -> None:
    """Write embeddings ``(n, d)`` whole or not at all, by the ending of the name.

    An .npy file holds the array, .npz and .h5 files hold it under the modality's name, as ``explain`` and
    ``run --embeddings`` read it.

    Raises:
        UsageError: for another ending.
        OSError: if the file cannot be written.
    """
    writers: dict[str, Callable[[io.BytesIO], None]] = {
        ".npy": lambda stream: np.save(stream, rows),
        ".npz": lambda stream: np.savez(stream, **{modality: rows}),  # type: ignore[arg-type]
        ".h5": lambda stream: _write_hdf5(stream, modality, rows),
    }
    writers[".hdf5"] = writers[".h5"]
    write = writers.get(path.suffix.lower())
    if write is None:
        raise UsageError(f"{path}: embeddings are written as {', '.join(writers)}; choose one of these")
    content = io.BytesIO()
    write(content)
    write_output(path, content.getvalue())


def _write_hdf5(stream: io.BytesIO, modality: str, rows: Array) -> None:
    import h5py

    with h5py.File(stream, "w") as file:
        file[modality] = rows
