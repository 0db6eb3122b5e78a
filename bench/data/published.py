"""Is a file the one that was published? Size, checksum and container against its card."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench.contract import DataError, FileCard
from bench.data.containers import require_readable
from bench.data.fingerprint import hex_digest, sha256_of

_ARRAYS = (".mat", ".npz", ".h5", ".h5py", ".hdf5")


def mismatch(file: FileCard, path: Path) -> str | None:
    """Say how a file differs from what its card states; None where it does not.

    Where the card states no checksum, a file of arrays must at least be whole.

    Raises:
        OSError: if the file cannot be read.
    """
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"it has {size} bytes, the published file has {file.size}"
    if file.sha256 is not None and sha256_of(path) != file.sha256:
        return f"its SHA-256 is not {file.sha256}: it is another file or damaged"
    if file.git_blob is not None and git_blob_of(path) != file.git_blob:
        return f"its git object name is not {file.git_blob}: it is another file or damaged"
    if file.sha256 is None and file.git_blob is None:
        return unreadable(file, path)
    return None


def unreadable(file: FileCard, path: Path) -> str | None:
    """Say why a file of arrays cannot be one; None where it can, or where it is of another sort."""
    if not file.name.lower().endswith(_ARRAYS):
        return None
    try:
        require_readable(path)
    except DataError as error:
        return str(error)
    return None


def git_blob_of(path: Path) -> str:
    """Return git's object name of a file's content."""
    header = f"blob {path.stat().st_size}\0".encode()
    return hex_digest(path, hashlib.sha1(header, usedforsecurity=False))
