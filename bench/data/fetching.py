"""Fetches a dataset's public files: checked, resumable, and under the final name only when whole."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from bench.contract import DataError, DatasetCard, FileCard
from bench.data.download import Patience, Refused, discard, download
from bench.data.published import mismatch
from bench.data.source import data_folder, find_file, how_to_get, place_of


def fetch(
    card: DatasetCard,
    data_dir: str | Path | None = None,
    *,
    patience: Patience | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> list[Path]:
    """Fetch the files of a dataset that have public addresses.

    Each is downloaded beside its final name, checked against size and checksum as far as its card
    knows them, flushed to disk and then renamed. A file that is there and right is left alone.

    Args:
        card: names the files and their addresses.
        data_dir: data folder; None for the default one.
        patience: how long to keep trying.
        progress: told the bytes at hand and the whole size, if known, of the file in transfer.

    Returns:
        Where each file lies, in the card's order; nothing for embedded data.

    Raises:
        DataError: if a file has no public address, or none of its addresses gives it.
    """
    folder = data_folder(data_dir)
    return [_fetch_file(card, file, folder, patience, progress) for file in card.files]


def _fetch_file(
    card: DatasetCard,
    file: FileCard,
    folder: Path,
    patience: Patience | None,
    progress: Callable[[int, int | None], None] | None,
) -> Path:
    present = find_file(card, file, folder)
    if present is not None:
        problem = mismatch(file, present)
        if problem is None:
            return present
        raise DataError(f"{present} is there but wrong: {problem}. Move it away and fetch again")
    if not file.urls:
        raise DataError(f"{card.name} cannot be fetched: {how_to_get(card, file, folder)}")
    target = place_of(card, file, folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {target.parent} cannot be made: {error.strerror}") from error
    with _alone(target):
        reasons = []
        for url in file.urls:
            try:
                _fetch_from(url, file, target, patience, progress)
            except Refused as refusal:
                reasons.append(f"{url}: {refusal}")
            else:
                return target
    raise DataError(
        f"{file.name} of {card.name} could not be fetched from {'; from '.join(reasons)}. "
        f"{how_to_get(card, file, folder)}"
    )


class _alone:  # noqa: N801 - a context manager, used as a word
    """Keeps a second fetch of the same file out while the body runs."""

    def __init__(self, target: Path) -> None:
        from filelock import FileLock

        self._target = target
        self._lock = FileLock(target.with_name(f".{target.name}.lock"), timeout=0)

    def __enter__(self) -> None:
        from filelock import Timeout

        try:
            self._lock.acquire()
        except Timeout as error:
            raise DataError(f"{self._target} is being fetched by another process; wait for it") from error

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _fetch_from(
    url: str,
    file: FileCard,
    target: Path,
    patience: Patience | None,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    part = target.with_name(target.name + ".part")
    download(url, part, file.size if file.member is None else None, patience, progress)
    unpacked = target.with_name(target.name + ".unpacked")
    ready = part if file.member is None else unpacked
    try:
        if file.member is not None:
            _unpack(part, file.member, file.size, unpacked)
        problem = mismatch(file, ready)
        if problem is not None:
            raise Refused(f"what came is not the published file: {problem}")
        _settle(ready, target)
    except OSError as error:
        raise Refused(f"{ready} cannot be written ({error.strerror or error})") from error
    finally:
        # Whole but wrong bytes are of no use to a later try; `ready` itself has its final name by now.
        discard(part)
        unpacked.unlink(missing_ok=True)


def _unpack(archive: Path, member: str, size: int | None, target: Path) -> None:
    """Write one member of a zip file to ``target``; the archive's own paths are never used."""
    try:
        with zipfile.ZipFile(archive) as packed:
            entry = _entry(packed, member)
            if size is not None and entry.file_size != size:
                raise Refused(f"{member} in the archive has {entry.file_size} bytes, expected {size}")
            if entry.file_size > shutil.disk_usage(target.parent).free:
                raise Refused(f"{entry.file_size} bytes are needed to unpack {member}: too little space left")
            with packed.open(entry) as source, target.open("wb") as stream:
                shutil.copyfileobj(source, stream, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise Refused(f"what came is no whole zip archive ({error})") from error


def _entry(packed: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    """Find a member by its path, or by its file name where that is unique."""
    entries = [entry for entry in packed.infolist() if not entry.is_dir()]
    exact = [entry for entry in entries if entry.filename == member]
    alike = exact or [
        entry for entry in entries if PurePosixPath(entry.filename).name == PurePosixPath(member).name
    ]
    if len(alike) != 1:
        names = ", ".join(entry.filename for entry in entries[:8])
        found = "several files" if alike else "no file"
        raise Refused(f"the archive has {found} called {member}; it has {names or 'nothing'}")
    return alike[0]


def _settle(ready: Path, target: Path) -> None:
    """Put a whole file under its final name, so that a power cut leaves all of it or nothing."""
    with ready.open("rb") as stream:
        os.fsync(stream.fileno())
    ready.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
