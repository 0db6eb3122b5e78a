"""Checksums of files, and fingerprints that identify the content of a dataset."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bench import registry
from bench.atomic import read_cache, write_whole
from bench.contract import DataError, DatasetCard, FileCard
from bench.data import partition
from bench.data.formats import open_arrays, require_regular
from bench.data.partition import PARTS, RowLimits

_DIGESTS: dict[str, str] = {}  # of files, by this process: a worker opens the same data many times

CACHE_NAME: Final = "fingerprints.json"
"""Of the file in a results folder that remembers digests."""

_SAMPLES: Final = 16
_SAMPLE_BYTES: Final = 1 << 12
"""So many blocks of this size, from the first to the last byte, are read to recognise a file."""


_ARRAYS = (".mat", ".npz", ".npy", ".h5", ".h5py", ".hdf5")


class DataChanged(DataError):
    """The data is not what the cell was planned with."""


def content_fingerprint(
    card: DatasetCard | None,
    files: Mapping[str, Path],
    limits: RowLimits | None,
    cache: Path | None = None,
    layout: Mapping[str, int] | None = None,
) -> str:
    """Return the SHA-256 of the files' contents, the row limits and the version of the loader.

    ``card`` is None for a feature bundle; ``layout`` says how one that is not plain is read, which may hold a
    gallery. ``cache`` is a JSON file that remembers the digests of unchanged files.

    Raises:
        DataError: if a file cannot be read.
    """
    facts: dict[str, Any] = {
        "name": None if card is None else card.name,
        "split": None if card is None else card.split,
        "files": file_digests(files, cache),
        # width and classes are limited in look-alikes only: real rows stay as they are
        "rows": None if limits is None else {part: getattr(limits, part) for part in PARTS},
        "partition": partition.VERSION,
    }
    if layout:
        facts |= layout
        facts["gallery"] = None if limits is None else limits.gallery
    version = "" if card is None else registry.loader_version(card.name)
    if card is not None and version not in ("", f"{card.name} 1"):  # the first version is not named
        facts["loader"] = version
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def file_digests(files: Mapping[str, Path], cache: Path | None = None) -> dict[str, str]:
    """Return each file's SHA-256, remembered while the file is unchanged, on disk where a cache is given.

    Unchanged means the same path, inode, size, times of content and of status, and the same bytes in a sample
    of blocks: two bundles may well have the same size, and a copy may carry over the other's time.

    Raises:
        DataError: if a file cannot be read.
    """
    known = read_cache(cache) if cache else {}
    digests: dict[str, str] = {}
    fresh: dict[str, str] = {}
    for name, path in files.items():
        try:
            entry = f"{_prefix(path)}{_state(path)}"
            digests[name] = known.get(entry) or _DIGESTS.get(entry) or sha256_of(path)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
        _DIGESTS[entry] = digests[name]
        if entry not in known:
            fresh[entry] = digests[name]
    if cache is not None and fresh:
        _replace(cache, {**read_cache(cache), **fresh})
    return digests


def forget_digests(files: Iterable[Path], cache: Path | None = None) -> None:
    """Drop what is remembered of files, in this process and on disk, so that they are read again."""
    prefixes = tuple(_prefix(path) for path in files)
    for entry in [entry for entry in _DIGESTS if entry.startswith(prefixes)]:
        del _DIGESTS[entry]
    known = read_cache(cache) if cache else {}
    kept = {entry: digest for entry, digest in known.items() if not entry.startswith(prefixes)}
    if cache is not None and len(kept) < len(known):
        _replace(cache, kept)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    return hex_digest(path, hashlib.sha256())


def hex_digest(path: Path, digest: hashlib._Hash) -> str:
    """Return a digest in hexadecimal after it has taken in a file's content, a block at a time."""
    require_regular(path)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _replace(cache: Path, entries: Mapping[str, str]) -> None:
    """Replace the file at once; a process that does the same loses at most entries."""
    with suppress(OSError):
        write_whole(cache, json.dumps(entries, indent=0, sort_keys=True))


def _prefix(path: Path) -> str:
    """Return how the entries of a file begin."""
    return f"{path.resolve()}|"


def _state(path: Path) -> str:
    """Return what tells a file from every other that was ever at its path, without reading all of it."""
    require_regular(path)
    with path.open("rb", buffering=0) as stream:
        status = os.fstat(stream.fileno())
        digest = hashlib.sha256()
        for block in range(_SAMPLES):
            stream.seek(max(0, status.st_size - _SAMPLE_BYTES) * block // (_SAMPLES - 1))
            digest.update(stream.read(_SAMPLE_BYTES))
    facts = (status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, digest.hexdigest()[:32])
    return "|".join(map(str, facts))


def mismatch(file: FileCard, path: Path) -> str | None:
    """Return how a file differs from what its card states, as a sentence; None where it does not.

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
    if file.sha256 is None and file.git_blob is None and file.name.lower().endswith(_ARRAYS):
        try:
            with open_arrays(path) as source:
                source.keys()
        except DataError as error:
            return str(error)
    return None


def git_blob_of(path: Path) -> str:
    """Return git's object name of a file's content."""
    header = f"blob {path.stat().st_size}\0".encode()
    return hex_digest(path, hashlib.sha1(header, usedforsecurity=False))
