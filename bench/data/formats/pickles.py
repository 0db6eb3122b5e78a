"""Pickles of arrays and plain containers: read without executing anything.

A pickle is a program. Here it can build numbers, texts, lists, tuples, dicts, NumPy arrays and SciPy's sparse
matrices; these come from functions of this module that stand in for the libraries' constructors. A pickle
that asks for anything else is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import IO, Any, ClassVar, Final

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import (
    sparse_matrix,
)

_PLAIN_TYPE: Final = re.compile(r"[<>|=]?([biufSU]\d{1,9}|\?|O8?|[bhilqBHILQefd])")
_SPARSE: Final = re.compile(r"scipy\.sparse\.(?:_?(csr|csc|coo)\.(?:csr|csc|coo)_(?:matrix|array))")
_DEEPEST: Final = 12
_MOST_NESTED: Final = 100_000


class _Type:
    """A NumPy type being unpickled."""

    def __init__(self, name: Any, *_: Any) -> None:
        if not isinstance(name, str) or not _PLAIN_TYPE.fullmatch(name):
            raise DataError(f"a pickled array of the type {str(name)[:40]!r}; store numbers or texts")
        self.dtype = np.dtype(name)

    def build(self, state: Any) -> None:
        if state[3] is not None or state[4] is not None:
            raise DataError("a pickled array with fields; store a plain array")
        if state[1] in ("<", ">") and self.dtype.kind != "O":
            self.dtype = self.dtype.newbyteorder(state[1])


class _Values:
    """A NumPy array being unpickled; its state says all of it."""

    def __init__(self, *_: Any) -> None:
        self.value: Any = None

    def build(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        self.value = _filled(raw, kind, shape, "F" if fortran else "C")


class Lazy(ABC):
    """What becomes an array when it is asked for."""

    @abstractmethod
    def matrix(self, where: str) -> Array:
        """Return the array.

        Args:
            where: file and key, for messages.

        Raises:
            DataError: if it would not fit into memory.
            ValueError: if its parts do not fit together.
        """


class SparseParts(Lazy):
    """A sparse matrix being unpickled."""

    def __init__(self, kind: str) -> None:
        self.kind, self.parts = kind, dict[str, Any]()

    def build(self, state: Any) -> None:
        """Take the parts that SciPy stores."""
        self.parts = dict(state)

    def matrix(self, where: str) -> Array:
        """Return the full matrix."""
        shape = self.parts.get("_shape", self.parts.get("shape"))
        if shape is None or len(shape) != 2 or not all(isinstance(length, int) for length in shape):
            raise ValueError("a sparse matrix without a shape")
        parts = {name: opened(value) for name, value in self.parts.items() if not name.startswith("_")}
        if "coords" in self.parts:
            parts["row"], parts["col"] = (opened(value) for value in self.parts["coords"])
        return sparse_matrix(parts, self.kind, tuple(shape), where)


def _filled(raw: Any, kind: Any, shape: Any, order: Any) -> Any:
    """Return the array with these bytes; a list, nested as its shape says, for an array of objects."""
    dtype = kind.dtype
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(length, int) and length >= 0 for length in shape) or order not in ("C", "F"):
        raise ValueError("an array of a wrong shape")
    if dtype.kind == "O":
        if not isinstance(raw, list) or len(raw) != math.prod(shape) or (order == "F" and len(shape) > 1):
            raise DataError("a pickled array of objects that is no list of texts or arrays")
        for length in reversed(shape[1:]):
            raw = [raw[start : start + length] for start in range(0, len(raw), max(1, length))]
        return raw if shape else raw[0]
    if isinstance(raw, str):  # written by Python 2
        raw = raw.encode("latin-1")
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} with {len(raw)} bytes")
    if not dtype.itemsize:
        return np.zeros(shape, dtype)
    return np.frombuffer(raw, dtype).reshape(shape, order=order)


def _scalar(kind: Any, raw: Any = b"") -> Any:
    return _filled(raw, kind, (), "C")


def _latin(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise DataError(f"bytes in the encoding {encoding[:20]!r}")
    return text.encode("latin-1")


def _array_class(*_: Any) -> Any:
    raise DataError("an array that is pickled in an unknown way; store it with numpy.save")


def _from_buffer(raw: Any, kind: Any, shape: Any, order: Any) -> Any:
    return _filled(raw, kind, shape, order)


def _default_dict(*_: Any) -> dict[Any, Any]:
    return {}


def _factory(*_: Any) -> Any:
    raise DataError("it calls what is no constructor of arrays")


ALLOWED: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    **{
        (f"numpy.{core}.{module}", name): make
        for core in ("core", "_core")
        for module, name, make in (
            ("multiarray", "_reconstruct", _Values),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    ("numpy", "ndarray"): _array_class,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _latin,
    ("collections", "OrderedDict"): dict,
    ("collections", "defaultdict"): _default_dict,
    **{("builtins", name): _factory for name in ("dict", "list", "int", "float")},
    ("builtins", "bytearray"): bytearray,
}
"""What stands in for the constructors of arrays and plain containers."""

_HINTS: Final[Mapping[str, str]] = {
    "pandas": "; save the table with to_csv or to_parquet",
    "torch": "; save tensors with torch.save, or as arrays",
}
"""What to do about a pickle that asks for one of these libraries."""


class Bounded:
    """A stream that reads no more than its file has, however much is asked for."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, count: int) -> bytes:
        """Return so many bytes, or those that are left."""
        return self._taken(self._stream.read(min(count, self._left)))

    def readline(self) -> bytes:
        """Return a line, or what is left."""
        return self._taken(self._stream.readline(self._left))

    def _taken(self, content: bytes) -> bytes:
        self._left -= len(content)
        return content


class Unpickler(pickle._Unpickler):
    """Builds what `allowed` names and nothing else; in Python, as the C version trusts indices and sizes."""

    allowed: ClassVar[Mapping[tuple[str, str], Callable[..., Any]]] = ALLOWED
    dispatch: ClassVar[dict[int, Callable[..., Any]]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]

    def find_class(self, module: str, name: str) -> Any:
        """Return the function that stands in for a constructor."""
        sparse = _SPARSE.fullmatch(f"{module}.{name}")
        if sparse:
            return SparseParts, sparse[1]
        if (module, name) not in self.allowed:
            raise DataError(
                f"it asks for {f'{module}.{name}'[:80]!r}, and only arrays, numbers, texts, lists and dicts "
                "are read from a pickle; nothing else is ever executed" + _HINTS.get(module.split(".")[0], "")
            )
        return self.allowed[module, name]

    def load_bytearray8(self) -> None:
        """Read bytes: the original makes room for as many as the file declares before it reads them."""
        (length,) = struct.unpack("<Q", self.read(8))
        content = self.read(length)
        if len(content) != length:
            raise ValueError(f"{length - len(content)} bytes are missing")
        self.append(content)

    def load_reduce(self) -> None:
        """Call an allowed function."""
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not any(function is allowed for allowed in self.allowed.values()):
            raise DataError("it calls what is no constructor of arrays")
        if function is bytearray and not (len(arguments) == 1 and isinstance(arguments[0], bytes)):
            raise DataError("it makes bytes out of something else")
        self.stack[-1] = function(*arguments)

    def load_newobj(self) -> None:
        """Begin a sparse matrix."""
        arguments = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, tuple) or len(made) != 2 or made[0] is not SparseParts or arguments:
            raise DataError("it makes an object that is no sparse matrix")
        self.stack[-1] = SparseParts(made[1])

    def load_build(self) -> None:
        """Give an array or its type what it consists of."""
        state = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, _Type | _Values | SparseParts):
            raise DataError("it changes an object that is no array")
        made.build(state)

    def _refuse(self) -> None:
        raise DataError("it holds objects, and only arrays, numbers, texts, lists and dicts are read")

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.BUILD[0]] = load_build
    for _code in (pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4):
        dispatch[_code[0]] = _refuse


def object_from_pickle(content: bytes) -> Any:
    """Return what a pickled array of objects holds: plain containers, numbers, texts and arrays.

    Raises:
        DataError: if it asks for anything else.
    """
    return opened(Unpickler(Bounded(io.BytesIO(content), len(content)), encoding="latin1").load())


def opened(value: Any) -> Any:
    """Return what a stand-in holds."""
    return value.value if isinstance(value, _Values) else value
