"""Writing report files: whole or not at all, the same bytes on every system."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.atomic import read_state, write_whole
from bench.contract import UsageError

LIST: Final = ".generated"
"""File with the names of what the last report wrote into a folder; the next report removes these alone."""


def write_file(path: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Write a file under a temporary name, then rename it; an existing file keeps its permissions.

    One that has this content already is left alone.

    Args:
        path: of the file.
        content: all of it.
        durable: whether it must outlive a crash right after; a report can be made again.

    Raises:
        UsageError: if it cannot be written there.
    """
    # what UTF-8 cannot encode, such as half of a surrogate pair, is written as its code
    whole = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        same = path.is_file() and path.stat().st_size == len(whole) and path.read_bytes() == whole
        if not same:
            write_whole(path.resolve(), whole, durable=durable)  # a link stays a link to the same file
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error


def fill_folder(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files into a folder and remove those that an earlier call wrote and this one does not.

    Other files in the folder, which are the user's, stay. No folder is made for no files.

    Raises:
        UsageError: if it cannot be written.
    """
    written = _listed(folder)
    if not files and not written:
        return
    for name, content in files.items():
        write_file(folder / name, content)
    for name in written - files.keys():
        with contextlib.suppress(OSError):  # gone already, or made something else by the user
            (folder / name).unlink()
    write_file(folder / LIST, "".join(f"{name}\n" for name in sorted(files)))


def _listed(folder: Path) -> set[str]:
    try:
        names = read_state(folder / LIST).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    return {name for name in names if Path(name).name == name and not name.startswith(".")}
