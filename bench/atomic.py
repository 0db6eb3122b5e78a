"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Write under a temporary name beside ``path``, flush to the disk, rename.

    Readers see the old file or the new one, also after a crash. Text is encoded as UTF-8 without changes of
    line ends; an existing file keeps its permissions. Without ``durable`` this does not wait for the disk:
    the content may be lost if the machine crashes. A device or pipe is written as it is, and never replaced.

    Raises:
        OSError: if the folder cannot be written or the disk is full; then the old file stays.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not (path.is_file() or path.is_dir()):
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
