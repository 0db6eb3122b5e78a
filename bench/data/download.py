"""Downloads one address to a file beside its final name; resumes where the server can prove it may."""

from __future__ import annotations

import errno
import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 14  # what a broken connection can cost
_MOST_REQUESTS = 200
_LONGEST_PAUSE = 30.0
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class Refused(Exception):
    """This address will not give the file, however often it is asked."""


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
        timeout: seconds without a sign of the server before a try counts as failed.
    """

    attempts: int = 5
    pause: float = 1.0
    timeout: float = 30.0


@dataclass
class _Part:
    """The unfinished file and what is known about the one that it will be."""

    path: Path
    url: str

    @property
    def note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def resumable(self) -> tuple[int, str, int | None]:
        """Return bytes at hand, the validator of their origin, and the whole file's size."""
        try:
            known = json.loads(self.note.read_text(encoding="utf-8"))
            if known["url"] == self.url and known["validator"]:
                return self.path.stat().st_size, str(known["validator"]), known["total"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0, "", None

    def start(self, validator: str, total: int | None) -> None:
        text = json.dumps({"url": self.url, "validator": validator, "total": total})
        self.path.write_bytes(b"")
        self.note.write_text(text, encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove an unfinished download and the note beside it."""
    _Part(path, "").discard()


def download(
    url: str,
    path: Path,
    size: int | None = None,
    patience: Patience | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> None:
    """Download ``url`` to ``path``, which is complete only when this returns.

    A broken transfer goes on where it stopped if the server names the file's version (ETag or date of
    change) and still has that version; otherwise it starts again.

    Args:
        url: address to get.
        path: unfinished file; it stays after a broken transfer, so that a later call can go on.
        size: the size that the file must have, in bytes; None where not known.
        patience: how long to keep trying.
        progress: told the bytes at hand and the whole size, if known.

    Raises:
        Refused: with the reason, if the address does not give the file.
    """
    import requests

    patience = patience or Patience()
    part = _Part(path, url)
    best, idle = part.resumable()[0], 0
    with requests.Session() as session:
        for _ in range(_MOST_REQUESTS):
            try:
                _transfer(session, part, size, patience.timeout, progress)
            except _Interrupted as interruption:
                reached = path.stat().st_size if path.exists() else 0
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
    session: requests.Session,
    part: _Part,
    size: int | None,
    timeout: float,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    """Make one request and write what it brings."""
    import requests

    offset, validator, total = part.resumable()
    if offset and offset == total:
        return  # complete, but the process ended before it could say so
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    try:
        with session.get(part.url, headers=headers, stream=True, timeout=timeout) as response:
            offset, total = _begin(response, part, offset)
            if size is not None and total is not None and total != size:
                part.discard()
                raise Refused(f"the server offers {total} bytes, the published file has {size}: another file")
            _require_space(part.path, None if total is None else total - offset)
            _write(response, part.path, offset, size or total, progress)
    except requests.RequestException as error:
        if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
            raise Refused(f"the address cannot be used ({error})") from error
        raise _Interrupted(f"the connection failed or broke off ({type(error).__name__})") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Refused(
                f"the disk is full; free some space in {part.path.parent} and fetch again"
            ) from error
        raise Refused(f"{part.path} cannot be written ({error.strerror or error})") from error
    reached = part.path.stat().st_size
    if total is not None and reached != total:
        raise _Interrupted(f"the server announced {total} bytes but sent {reached}")


def _begin(response: requests.Response, part: _Part, offset: int) -> tuple[int, int | None]:
    """Read the status line and headers: where the body goes, and how large the whole file is."""
    status = response.status_code
    if status == 206 and offset:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is not None and int(found[1]) == offset:
            return offset, int(found[2])
        part.discard()
        raise _Interrupted("the server sent another range than was asked for")
    if status == 200:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        etag = response.headers.get("ETag", "")
        strong = etag if etag and not etag.startswith("W/") else ""
        part.start(strong or response.headers.get("Last-Modified", ""), total)
        return 0, total
    if status == 416:
        part.discard()
        raise _Interrupted("the server has no more of the file than is here already")
    if status in (408, 425, 429) or status >= 500:
        after = response.headers.get("Retry-After", "")
        raise _Interrupted(f"the server answers {status}", float(after) if after.isdecimal() else 0.0)
    raise Refused(f"the server answers {status} {response.reason or ''}".rstrip())


def _write(
    response: requests.Response,
    path: Path,
    offset: int,
    most: int | None,
    progress: Callable[[int, int | None], None] | None,
) -> None:
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


def _require_space(path: Path, needed: int | None) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed is not None and needed > free:
        raise Refused(f"{needed} bytes are needed, but the disk of {path.parent} has {free} left")
