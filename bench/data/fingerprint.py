"""Fingerprints: a digest of what decides a dataset's bytes, found without loading an array."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.atomic import write_whole
from bench.contract import DataError, DataKind
from bench.data import partition
from bench.data.caps import PARTS, Caps, caps_of
from bench.data.look_alike import rule_digest
from bench.data.source import Source, source_of

_DIGESTS: dict[str, str] = {}  # of files digested by this process: a worker opens the same data many times

CACHE_NAME: Final = "fingerprints.json"
"""Of the file in a results folder that remembers digests."""

_SAMPLES: Final = 16
_SAMPLE_BYTES: Final = 1 << 12
"""So many blocks of this size, from the first to the last byte, are read to recognise a file."""


class DataChanged(DataError):
    """The data is not what the cell was planned with."""


def fingerprint_of(
    name_or_path: str | Path,
    data_dir: str | Path | None = None,
    profile: str = "quick",
    cache: Path | None = None,
) -> tuple[DataKind, str]:
    """Return a dataset's kind and fingerprint, the same as `load_dataset` gives it.

    Args:
        name_or_path: registry name or path of a feature bundle.
        data_dir: data folder; None for the default one.
        profile: ``quick`` or ``paper``; its row limits are part of the fingerprint.
        cache: JSON file that remembers the digests of unchanged files.

    Raises:
        UsageError: if there is no such dataset, bundle or profile.
        DataError: if files are missing and nothing stands in, or one cannot be read.
    """
    source = source_of(name_or_path, data_dir)
    return source.kind, fingerprint(source, caps_of(profile, source.kind), cache)


def fingerprint(source: Source, caps: Caps | None, cache: Path | None = None) -> str:
    """Return the SHA-256 of the files' contents and the row limits, or of a look-alike's rule.

    Raises:
        DataError: if a file cannot be read.
    """
    if source.kind == "look-alike" and source.loader is not None:
        return rule_digest(source.loader.card, caps)
    # width and classes are limited in look-alikes only: real rows stay as they are
    limits = None if caps is None else {part: getattr(caps, part) for part in PARTS}
    facts = {
        "name": None if source.loader is None else source.loader.card.name,
        "split": None if source.loader is None else source.loader.card.split,
        "files": file_digests(source.files, cache),
        "rows": limits,
        "partition": partition.VERSION,
        **_loader_facts(source),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _loader_facts(source: Source) -> dict[str, str]:
    """Return which version of the loader reads the files; nothing for the first one."""
    from bench.registry import loader_version

    version = "" if source.loader is None else loader_version(source.loader.card.name)
    return {} if version in ("", f"{source.name} 1") else {"loader": version}


def file_digests(files: Mapping[str, Path], cache: Path | None = None) -> dict[str, str]:
    """Return each file's SHA-256, remembered while the file is unchanged, on disk where a cache is given.

    Unchanged means the same path, inode, size, times of content and of status, and the same bytes in a sample
    of blocks: two bundles may well have the same size, and a copy may carry over the other's time.

    Raises:
        DataError: if a file cannot be read.
    """
    known = _remembered(cache)
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
        _replace(cache, {**_remembered(cache), **fresh})
    return digests


def forget_digests(files: Iterable[Path], cache: Path | None = None) -> None:
    """Drop what is remembered of these files, so that the next question for their digests reads them.

    Args:
        files: whose remembered digests turned out wrong.
        cache: JSON file that remembers digests; None for this process's memory alone.
    """
    prefixes = tuple(_prefix(path) for path in files)
    for entry in [entry for entry in _DIGESTS if entry.startswith(prefixes)]:
        del _DIGESTS[entry]
    known = _remembered(cache)
    kept = {entry: digest for entry, digest in known.items() if not entry.startswith(prefixes)}
    if cache is not None and len(kept) < len(known):
        _replace(cache, kept)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    return hex_digest(path, hashlib.sha256())


def hex_digest(path: Path, digest: hashlib._Hash) -> str:
    """Return a digest in hexadecimal after it has taken in a file's content, a block at a time."""
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _remembered(cache: Path | None) -> dict[str, str]:
    if cache is None:
        return {}
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a lost or damaged cache only costs the time to digest again
    if not isinstance(known, dict):
        return {}
    return {key: value for key, value in known.items() if isinstance(value, str)}


def _replace(cache: Path, entries: Mapping[str, str]) -> None:
    """Replace the file at once; a process that does the same loses at most entries."""
    with suppress(OSError):
        write_whole(cache, json.dumps(entries, indent=0, sort_keys=True))


def _prefix(path: Path) -> str:
    return f"{path.resolve()}|"


def _state(path: Path) -> str:
    """Return what tells a file from every other that was ever at its path, without reading all of it."""
    with path.open("rb", buffering=0) as stream:
        status = os.fstat(stream.fileno())
        digest = hashlib.sha256()
        for block in range(_SAMPLES):
            stream.seek(max(0, status.st_size - _SAMPLE_BYTES) * block // (_SAMPLES - 1))
            digest.update(stream.read(_SAMPLE_BYTES))
    facts = (status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, digest.hexdigest()[:32])
    return "|".join(map(str, facts))
