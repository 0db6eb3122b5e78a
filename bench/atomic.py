"""Files written whole or not at all, and read without waiting for ever."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

_LARGEST: Final = 1 << 28


def write_whole(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Write under a temporary name beside ``path``, flush to the disk, rename.

    Readers see the old file or the new one, also after a crash. Text is encoded as UTF-8 without changes of
    line ends; an existing file keeps its permissions. Without ``durable`` this does not wait for the disk:
    the content may be lost if the machine crashes. A device is written as it is, and never replaced.

    Raises:
        OSError: if the folder cannot be written or the disk is full; then the old file stays.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_char_device():
        path.write_bytes(data)
        return
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:  # which names the temporary file
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def read_state(path: Path, largest: int = _LARGEST) -> bytes:
    """Return the content of a file that this program keeps, such as a cache.

    Raises:
        OSError: if it cannot be read, is no regular file, or has more than ``largest`` bytes.
    """

    def without_waiting(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NONBLOCK)  # a pipe would wait for its writer

    with open(path, "rb", opener=without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if status.st_size > largest:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return file.read()


def read_cache(path: Path) -> dict[str, str]:
    """Return the texts by key in a JSON file; none if it is lost or damaged, which costs time only."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if isinstance(content := json.loads(read_state(path)), dict):
            return {key: value for key, value in content.items() if isinstance(value, str)}
    return {}
