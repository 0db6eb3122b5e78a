"""Files written whole or not at all, and read without waiting for ever."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

_LARGEST: Final = 1 << 28
_OPEN: Final = Path("/proc/self/fd")


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


def write_output(path: Path, content: bytes | str) -> None:
    """Write the file that a user names, whole or not at all; a link stays a link to the same file.

    What is there and no file, such as a pipe or ``/dev/null``, is written into and not replaced; so is an
    open file under a name such as ``/dev/stdout`` or ``/dev/fd/3``. A pipe waits for its reader.

    Raises:
        OSError: if it cannot be written, or is a folder or a disk.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    if (descriptor := _descriptor(path)) is not None:
        sys.stdout.flush()  # what was printed before comes first
        with os.fdopen(_duplicate(descriptor, path), "wb") as file:
            file.write(data)
    elif not is_stream(path):
        write_whole(path.resolve(), data)
    elif path.is_block_device():
        raise OSError(errno.EINVAL, "it is a disk", str(path))
    else:
        path.write_bytes(data)


def is_stream(path: Path) -> bool:
    """Return whether a path leads to a pipe, a device or an open file, which nothing replaces."""
    return _descriptor(path) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def _descriptor(path: Path) -> int | None:
    """Return the number of the open file of this process that a path names; None if it names none.

    Shells pass the substitution of a process as such a path, and a file under it must not be renamed.
    """
    if path.parent == Path("/dev") and path.is_symlink():  # /dev/stdout
        path = path.parent / path.readlink()
    if not path.name.isdecimal():
        return None
    folder = path.parent
    return int(path.name) if folder == Path("/dev/fd") or folder.resolve() == _OPEN.resolve() else None


def _duplicate(descriptor: int, path: Path) -> int:
    """Return another descriptor of an open file; raises OSError that names its path if it is closed."""
    try:
        return os.dup(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


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
