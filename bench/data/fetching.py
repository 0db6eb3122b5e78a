"""Fetching of a dataset's public files: resumable, checked, and under the final name only when whole.

A broken transfer goes on where it stopped if the server names the file's version (ETag or date of change) and
still has that version; otherwise it starts again.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.atomic import read_state
from bench.contract import DataError, DatasetCard, FileCard
from bench.data.fingerprint import mismatch
from bench.data.locations import data_folder, find_file, how_to_get, path_of

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 14  # what a broken connection can cost
_MOST_REQUESTS = 200
_LONGEST_PAUSE = 30.0
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes at hand and the whole size, None where that is not known."""


class Refused(Exception):
    """This address does not give the file, however often it is requested."""


class _Interrupted(Exception):
    """The transfer broke off; another try may get further."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Patience:
    """How long to keep trying.

    Attributes:
        attempts: tries in a row without a single new byte before giving up.
        pause: seconds before the second try; doubled each time, at most 30.
        timeout: seconds without an answer of the server before a try counts as failed.
    """

    attempts: int = 5
    pause: float = 1.0
    timeout: float = 30.0


def fetch(
    card: DatasetCard,
    data_dir: str | Path | None = None,
    *,
    patience: Patience | None = None,
    progress: OnBytes | None = None,
) -> list[Path]:
    """Fetch the files of a dataset that have public addresses.

    Each is downloaded beside its final name, checked against size and checksum as far as its card
    states them, flushed to disk and then renamed. A file that is present and right is not fetched.

    Returns:
        The path of each file, in the card's order; nothing for embedded data.

    Raises:
        DataError: if a file has no public address, or none of its addresses gives it.
    """
    folder = data_folder(data_dir)
    return [_fetch_file(card, file, folder, patience or Patience(), progress) for file in card.files]


def _fetch_file(
    card: DatasetCard, file: FileCard, folder: Path, patience: Patience, progress: OnBytes | None
) -> Path:
    """Return the path of a file, fetched from the first of its addresses that gives it; raises DataError."""
    from filelock import FileLock, Timeout

    present = find_file(card, file, folder)
    if present is not None:
        problem = mismatch(file, present)
        if problem is None:
            return present
        raise DataError(
            f"{present} exists, but is not the published file: {problem}. Move it away and fetch again"
        )
    if not file.urls:
        raise DataError(f"{card.name} cannot be fetched: {how_to_get(card, file, folder)}")
    target = path_of(card, file, folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {target.parent} cannot be made: {error.strerror}") from error
    reasons = []
    try:
        with FileLock(target.with_name(f".{target.name}.lock"), timeout=0):
            for url in file.urls:
                try:
                    _fetch_from(url, file, target, patience, progress)
                except Refused as refusal:
                    reasons.append(f"{url}: {refusal}")
                else:
                    return target
    except Timeout as error:
        raise DataError(f"{target} is being fetched by another process; wait for it") from error
    raise DataError(
        f"{file.name} of {card.name} could not be fetched from {'; from '.join(reasons)}. "
        f"{how_to_get(card, file, folder)}"
    )


def _fetch_from(url: str, file: FileCard, target: Path, patience: Patience, progress: OnBytes | None) -> None:
    """Fetch a file from one address, check it, and give it its final name; raises `Refused`."""
    part = _Part(target.with_name(target.name + ".part"), url)
    # The same file may be published in an archive at one address and by itself at another.
    member = file.member if urlsplit(url).path.lower().endswith(".zip") else None
    _download(part, file.size if member is None else None, patience, progress)
    unpacked = target.with_name(target.name + ".unpacked")
    ready = part.path if member is None else unpacked
    try:
        if member is not None:
            _unpack(part.path, member, file.size, unpacked)
        problem = mismatch(file, ready)
        if problem is not None:
            raise Refused(f"the downloaded file is not the published one: {problem}")
        _settle(ready, target)
    except OSError as error:
        raise Refused(f"{ready} cannot be written ({error.strerror or error})") from error
    finally:
        # Whole but wrong bytes are of no use to a later try; `ready` itself has its final name by now.
        part.discard()
        unpacked.unlink(missing_ok=True)


@dataclass
class _Part:
    """The unfinished file, and a note beside it with the version of the whole file."""

    path: Path
    url: str

    @property
    def note(self) -> Path:
        """Path of the note."""
        return self.path.with_name(self.path.name + ".json")

    def resumable(self) -> tuple[int, str, int | None]:
        """Return bytes at hand, the validator of their origin, and the whole file's size."""
        try:
            known = json.loads(read_state(self.note))
            if known["url"] == self.url and known["validator"]:
                return self.path.stat().st_size, str(known["validator"]), known["total"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        return 0, "", None

    def start(self, validator: str, total: int | None) -> None:
        """Begin the file anew, of a version with a validator and so many bytes in all."""
        text = json.dumps({"url": self.url, "validator": validator, "total": total})
        self.path.write_bytes(b"")
        self.note.write_text(text, encoding="utf-8")

    def discard(self) -> None:
        """Remove the file and its note."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _download(part: _Part, size: int | None, patience: Patience, progress: OnBytes | None) -> None:
    """Download to the part's path, which is complete only when this returns, and kept if it fails."""
    import requests

    best, idle = part.resumable()[0], 0
    with requests.Session() as session:
        for _ in range(_MOST_REQUESTS):
            try:
                _transfer(session, part, size, patience.timeout, progress)
            except _Interrupted as interruption:
                reached = part.path.stat().st_size if part.path.exists() else 0
                idle = 0 if reached > best else idle + 1
                best = max(best, reached)
                if idle >= patience.attempts:
                    raise Refused(f"{interruption}, {idle} times in a row without progress") from interruption
                pause = min(patience.pause * 2 ** max(idle - 1, 0), _LONGEST_PAUSE)
                time.sleep(max(pause, min(interruption.wait, _LONGEST_PAUSE)))
            else:
                part.note.unlink(missing_ok=True)
                return
    raise Refused(f"the transfer broke off {_MOST_REQUESTS} times")


def _transfer(
    session: requests.Session, part: _Part, size: int | None, timeout: float, progress: OnBytes | None
) -> None:
    """Make one request and write what it brings."""
    import requests

    offset, validator, total = part.resumable()
    if offset and offset == total:
        return  # complete, but the process ended before it deleted the note
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    try:
        with session.get(part.url, headers=headers, stream=True, timeout=timeout) as response:
            offset, total = _begin(response, part, offset)
            if size is not None and total is not None and total != size:
                part.discard()
                raise Refused(f"the server offers {total} bytes, the published file has {size}: another file")
            free = shutil.disk_usage(part.path.parent).free
            if total is not None and total - offset > free:
                needed = f"{total - offset} bytes are needed"
                raise Refused(f"{needed}, but the disk of {part.path.parent} has {free} left")
            _write(response, part.path, offset, size or total, progress)
    except requests.RequestException as error:
        if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
            raise Refused(f"the address cannot be used ({error})") from error
        raise _Interrupted(f"the connection failed or broke off ({type(error).__name__})") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            advice = f"free some space in {part.path.parent} and fetch again"
            raise Refused(f"the disk is full; {advice}") from error
        raise Refused(f"{part.path} cannot be written ({error.strerror or error})") from error
    reached = part.path.stat().st_size
    if total is not None and reached != total:
        raise _Interrupted(f"the server announced {total} bytes but sent {reached}")


def _begin(response: requests.Response, part: _Part, offset: int) -> tuple[int, int | None]:
    """Read the status line and headers: where the body goes, and how large the whole file is."""
    status, headers = response.status_code, response.headers
    if status == 206 and offset:
        found = _RANGE.fullmatch(headers.get("Content-Range", ""))
        if found is not None and int(found[1]) == offset:
            return offset, int(found[2])
        part.discard()
        raise _Interrupted("the server sent another range than the requested one")
    if status == 200:
        length, etag = headers.get("Content-Length", ""), headers.get("ETag", "")
        total = int(length) if length.isdecimal() else None
        strong = "" if etag.startswith("W/") else etag
        part.start(strong or headers.get("Last-Modified", ""), total)
        return 0, total
    if status == 416:
        part.discard()
        raise _Interrupted("the server has no more of the file than is here already")
    if status in (408, 425, 429) or status >= 500:
        after = headers.get("Retry-After", "")
        raise _Interrupted(f"the server answers {status}", float(after) if after.isdecimal() else 0.0)
    raise Refused(f"the server answers {status} {response.reason or ''}".rstrip())


def _write(
    response: requests.Response, path: Path, offset: int, most: int | None, progress: OnBytes | None
) -> None:
    """Write the body of an answer from an offset on; raises `Refused` if it exceeds ``most`` bytes."""
    with path.open("r+b") as stream:
        stream.truncate(offset)
        stream.seek(offset)
        for chunk in response.iter_content(_CHUNK):
            stream.write(chunk)
            offset += len(chunk)
            if most is not None and offset > most:
                raise Refused(f"the server sends more than the {most} bytes that the file has")
            if progress is not None:
                progress(offset, most)


def _unpack(archive: Path, member: str, size: int | None, target: Path) -> None:
    """Write one member of a zip file, named by its path or its unique file name, to ``target``.

    The archive's own paths are never used.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            found = [entry for entry in entries if entry.filename == member] or [
                entry for entry in entries if PurePosixPath(entry.filename).name == PurePosixPath(member).name
            ]
            if len(found) != 1:
                names = ", ".join(entry.filename for entry in entries[:8]) or "nothing"
                count = "several files" if found else "no file"
                raise Refused(f"the archive has {count} called {member}; it has {names}")
            unpacked = found[0].file_size
            if size is not None and unpacked != size:
                raise Refused(f"{member} in the archive has {unpacked} bytes, expected {size}")
            if unpacked > shutil.disk_usage(target.parent).free:
                raise Refused(f"{unpacked} bytes are needed to unpack {member}: too little space left")
            with packed.open(found[0]) as source, target.open("wb") as stream:
                shutil.copyfileobj(source, stream, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise Refused(f"the downloaded file is not a complete zip archive ({error})") from error


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
