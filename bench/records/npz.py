"""Arrays in one .npz file: its bytes depend on its content alone, and nothing in it is ever unpickled."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_EPOCH_OF_ZIP: Final = (1980, 1, 1, 0, 0, 0)
_READING_ERRORS: Final = (
    ValueError,
    TypeError,
    OSError,
    EOFError,
    MemoryError,  # a shape beyond all measure
    NotImplementedError,  # a way to compress that this Python does not know
    RuntimeError,  # an encrypted member
    zipfile.BadZipFile,
    zlib.error,
)
_VECTOR: Final = re.compile(
    rb"\x93NUMPY\x01\x00(?P<length>..)"
    rb"\{'descr': '<f8', 'fortran_order': False, 'shape': \((?P<count>[0-9]{1,12}),\), \} *\n",
    re.DOTALL,
)
"""The head of a vector of doubles as NumPy writes it. Nearly all arrays of a record are such, and NumPy reads
every head as a piece of Python, which takes ten times as long as to take the numbers behind it."""


def pack(arrays: Mapping[str, NDArray[Any]], *, compressed: bool) -> bytes:
    """Return the arrays as an .npz, in the order of the mapping."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for key, values in arrays.items():
            # A fixed date and system keep the bytes from depending on when and where they were written.
            entry = zipfile.ZipInfo(key + ".npy", _EPOCH_OF_ZIP)
            entry.create_system = 3
            entry.compress_type = archive.compression
            member = io.BytesIO()
            np.save(member, np.ascontiguousarray(values), allow_pickle=False)
            archive.writestr(entry, member.getvalue())
    return buffer.getvalue()


def unpack(
    content: bytes, largest: int | None = None, wanted: Callable[[str], bool] = lambda _: True
) -> dict[str, NDArray[Any]]:
    """Return the arrays of `pack`.

    Args:
        content: of the file.
        largest: bytes that the arrays may take together; None for any number.
        wanted: whether an array is to be read, by its name.

    Raises:
        ValueError: if this is no such archive, one that would need pickle, or one that is larger.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if largest is not None and size > largest:
                raise ValueError(f"it would take {size:,} bytes, more than the {largest:,} allowed")
            named = ((member.filename.removesuffix(".npy"), member) for member in members)
            return {name: _array(archive, member) for name, member in named if wanted(name)}
    except _READING_ERRORS as error:
        raise ValueError(str(error)) from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    content = archive.read(member)
    vector = _VECTOR.match(content)
    if vector is not None:
        start = len(b"\x93NUMPY....") + int.from_bytes(vector["length"], "little")
        if start == vector.end() and len(content) == start + 8 * int(vector["count"]):
            return np.frombuffer(content, "<f8", offset=start).astype(np.float64)
    return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
