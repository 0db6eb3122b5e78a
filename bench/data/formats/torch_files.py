"""PyTorch files: tensors, arrays and plain containers, read without PyTorch, and never executed."""

from __future__ import annotations

import struct
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.contract import DataError
from bench.data.formats.array_file import blamed
from bench.data.formats.file_arrays import Bounded, Piece
from bench.data.formats.nested import Nested
from bench.data.formats.pickles import Unpickler, older_torch


class Torch(Nested):
    """A PyTorch file of tensors, arrays, numbers, texts, lists and dicts."""

    def __init__(self, path: Path) -> None:
        """Read all but the numbers of tensors and large arrays."""
        with blamed(str(path)):
            try:
                size, newer = path.stat().st_size, zipfile.is_zipfile(path)
                root = _root(path, size) if newer else older_torch(lambda: path.open("rb"), 0, size)
            except DataError as error:
                raise DataError(f"{path}: {error}") from None
        super().__init__(path, root)


def _root(path: Path, size: int) -> Any:
    """Check an archive and return what its pickle holds."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                raise ValueError(f"a member of {info.file_size} bytes in a file of {size}")
        if archive.testzip() is not None:
            raise ValueError("a member's checksum is wrong")
        names = archive.namelist()
        folder = next(name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl"))
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise DataError("numbers in the order of big-endian machines")

        def piece(key: str) -> Piece:
            info = archive.getinfo(f"{folder}{key}")
            stream.seek(info.header_offset + 26)
            start = info.header_offset + 30 + sum(struct.unpack("<HH", stream.read(4)))
            if start + info.file_size > size:
                raise ValueError(f"{key} needs more bytes than there are")
            return Piece(lambda: path.open("rb"), start, info.file_size, info.file_size)

        whole = piece("data.pkl")
        with closing(Bounded(whole.opened, whole.start, whole.size)) as source:
            return Unpickler(source, lambda key: piece(f"data/{key}")).load()
