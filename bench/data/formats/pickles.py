"""Pickles of arrays, tensors and plain containers: read without executing anything.

A pickle is a program. Here it can build numbers, texts, lists, tuples, dicts, NumPy arrays, SciPy's sparse
matrices and PyTorch's tensors; these come from functions of this module that replace the libraries'
constructors. A pickle that needs anything else is refused. Large arrays stay in the file until they are read.

PyTorch does not read its tensors: ``torch.load(weights_only=True)`` executes crafted files before release 2.6
(CVE-2025-32434), and NumPy's types, once allowed there, make arrays of objects whose addresses are bytes of
the file.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import IO, Any, ClassVar, Final

import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import sparse_matrix
from bench.data.formats.file_arrays import Bounded, FileArray, Lazy, Piece, Storage, contiguous
from bench.data.formats.records import fields_of, grouped

_PLAIN_TYPE: Final = re.compile(r"[<>|=]?([biufSUV]\d{1,9}|\?|O8?|[bhilqBHILQefd])")
_SPARSE: Final = re.compile(r"scipy\.sparse\.(?:_?(csr|csc|coo)\.(?:csr|csc|coo)_(?:matrix|array))")
_STORAGE: Final = re.compile(r"torch\.(?:storage\.)?(\w+)Storage")
_TENSOR_TYPES: Final = {
    "Double": "<f8", "Float": "<f4", "Half": "<f2", "BFloat16": "<u2", "Bool": "?",
    "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "i1", "Byte": "u1",
}  # fmt: skip
_LARGE: Final = 1 << 16
"""From so many bytes on, an object's content stays in the file; pickles put smaller ones into frames."""
_OLDER_TORCH: Final = 0x1950A86A20F9469CFC6C


class _Type:
    """A NumPy type being unpickled."""

    def __init__(self, name: Any, *_: Any) -> None:
        if not isinstance(name, str) or not _PLAIN_TYPE.fullmatch(name):
            raise DataError(f"a pickled array of the type {str(name)[:40]!r}; store numbers or texts")
        self.dtype = np.dtype(name)

    def build(self, state: Any) -> None:
        """Take byte order and fields."""
        _, order, inner, names, fields, *more = state
        if inner is not None:  # a vector or a matrix in each record
            self.dtype = np.dtype((inner[0].dtype, inner[1]))
        elif names is not None:
            kinds, starts = zip(*(fields[name] for name in names), strict=True)
            formats = [kind.dtype for kind in kinds]
            if sum(kind.itemsize for kind in formats) > more[0]:
                raise DataError("a pickled array of records whose fields share bytes; store plain arrays")
            described: Any = {"names": names, "formats": formats, "offsets": starts, "itemsize": more[0]}
            self.dtype = np.dtype(described)
        elif order in ("<", ">") and self.dtype.kind != "O":
            self.dtype = self.dtype.newbyteorder(order)


class _Values:
    """A NumPy array being unpickled; its state is all of it."""

    def __init__(self, *_: Any) -> None:
        self.value: Any = None

    def build(self, state: Any) -> None:
        """Take shape, type and bytes."""
        _, shape, kind, fortran, raw = state
        self.value = _array(raw, kind, shape, "F" if fortran else "C")


class SparseParts(Lazy):
    """A sparse matrix being unpickled, given as the parts that SciPy stores."""

    def __init__(self, kind: str, parts: Any = ()) -> None:
        self.kind = kind
        self.build(parts)

    def build(self, state: Any) -> None:
        """Take the parts."""
        self._parts = dict(state)

    def matrix(self, where: str) -> Array:
        """Return the full matrix."""
        shape = self._parts.get("_shape", self._parts.get("shape"))
        if shape is None or len(shape) != 2 or not all(isinstance(length, int) for length in shape):
            raise ValueError("a sparse matrix without a shape")
        names = ("data", "indices", "indptr", "row", "col", "coords")
        parts = {name: _read(self._parts[name], where) for name in names if name in self._parts}
        if "coords" in parts:
            parts["row"], parts["col"] = (_read(one, where) for one in parts["coords"])
        return sparse_matrix(parts, self.kind, tuple(shape), where)


def _read(value: Any, where: str) -> Any:
    """Return a value that was unpickled, read from the file if it is still there."""
    value = opened(value)
    return value.matrix(where) if isinstance(value, Lazy) else value


def _size(content: Any) -> int:
    """Return the number of bytes, of those in the file, too."""
    return content.size if isinstance(content, Piece) else len(content)


def _array(raw: Any, kind: Any, shape: Any, order: Any) -> Any:
    """Return the array with these bytes; a list, nested by its shape, for an array of objects."""
    dtype: np.dtype[Any] = kind.dtype
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(length, int) and length >= 0 for length in shape) or order not in ("C", "F"):
        raise ValueError("an array of a wrong shape")
    count = math.prod(shape)
    if dtype.names is not None:
        return _records(raw, dtype, count)
    if dtype.kind == "O":
        if not isinstance(raw, list) or len(raw) != count or (order == "F" and len(shape) > 1):
            raise DataError("a pickled array of objects other than texts or arrays")
        for length in reversed(shape[1:]):
            raw = [raw[start : start + length] for start in range(0, len(raw), max(1, length))]
        return raw if shape else raw[0]
    raw = raw.encode("latin-1") if isinstance(raw, str) else raw  # written by Python 2
    size = _size(raw)
    if size != count * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} with {size} bytes")
    if isinstance(raw, Piece):
        return contiguous(Storage(dtype, count, raw), shape, order == "F")
    return np.frombuffer(raw, dtype).reshape(shape, order=order) if size else np.zeros(shape, dtype)


def _records(raw: Any, dtype: np.dtype[Any], count: int) -> dict[str, Any]:
    """Return the fields of a record array; pickles hold its bytes, or tuples if there are objects in it."""
    if not dtype.hasobject:
        raw = raw.content() if isinstance(raw, Piece) else raw
        raw = raw.encode("latin-1") if isinstance(raw, str) else raw
        return fields_of(np.frombuffer(raw, dtype, count), "records", "its records")
    names, rows = dtype.names or (), raw if isinstance(raw, list) else []
    if len(rows) != count or not all(isinstance(row, tuple) and len(row) == len(names) for row in rows):
        raise DataError("a pickled array of records that is not a list of records")
    if len({*map(id, rows)}) < count:
        raise DataError("a pickled array of records that holds a record many times over")
    columns: dict[str, Any] = {name: [row[index] for row in rows] for index, name in enumerate(names)}
    numeric = {name: dtype[name].kind in "biuf" for name in columns}
    return {
        name: columns[name] if listed == [name] else [*zip(*(columns[one] for one in listed), strict=True)]
        for name, listed in grouped(numeric, "records").items()
    }


def _latin(text: Any, encoding: str) -> bytes | Piece:
    """Return bytes that a pickle of protocol 2 stores as a text."""
    if encoding not in ("latin1", "latin-1"):
        raise DataError(f"bytes in the encoding {encoding[:20]!r}")
    return text if isinstance(text, Piece) and text.letters else bytes(text.encode("latin-1"))


def _bytes(content: Any) -> bytes | Piece:
    """Return bytes as they are."""
    if not isinstance(content, bytes | Piece):
        raise DataError("it makes bytes from something other than a text")
    return content


def _refused(*_: Any) -> Any:
    """Refuse a call."""
    raise DataError("it calls a function that does not construct an array; store arrays with numpy.save")


def _tensor(storage: Any, start: Any, shape: Any, steps: Any, *_: Any) -> FileArray:
    """Return a tensor, which keeps none of its numbers several times."""
    shape, steps = tuple(shape), tuple(steps)
    whole = all(isinstance(one, int) for one in (start, *shape, *steps))
    if not isinstance(storage, Storage) or not whole:
        raise ValueError("a tensor without numbers")
    if math.prod(shape) > storage.count:
        raise DataError("a tensor whose numbers are repeated by its strides; save a copy of it")
    return FileArray(storage, shape, steps, start)


def _sparse_tensor(layout: Any, parts: Sequence[Any]) -> SparseParts:
    """Return a sparse tensor as one of SciPy's matrices."""
    if layout == "torch.sparse_coo":
        coordinates, values, shape, *_ = parts
        return SparseParts("coo", {"coords": coordinates, "data": values, "shape": tuple(shape)})
    if layout not in ("torch.sparse_csr", "torch.sparse_csc"):
        raise DataError(f"a tensor in the layout {str(layout)[:40]!r}; save a dense one")
    named = dict(zip(("indptr", "indices", "data", "shape"), parts, strict=False))
    return SparseParts(layout[-3:], named | {"shape": tuple(named["shape"])})


def _embedded(content: Any) -> Any:
    """Return the storage in a pickle of a tensor, which PyTorch keeps as a file of its older format."""
    if isinstance(content, Piece) and not content.letters:
        return older_torch(content.opened, content.start, content.size)
    whole = content.content() if isinstance(content, Piece) else bytes(content)
    return older_torch(lambda: io.BytesIO(whole), 0, len(whole))


_ALLOWED: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    **{
        (f"numpy.{core}.{module}", name): make
        for core in ("core", "_core")
        for module, name, make in (
            ("multiarray", "_reconstruct", _Values),
            ("multiarray", "scalar", lambda kind, raw=b"": _array(raw, kind, (), "C")),
            ("numeric", "_frombuffer", _array),
        )
    },
    ("numpy", "ndarray"): _refused,
    **{(f"numpy{module}", "recarray"): _refused for module in ("", ".rec")},
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _latin,
    ("collections", "OrderedDict"): dict,
    ("collections", "defaultdict"): lambda *_: {},
    **{("builtins", name): _refused for name in ("dict", "list", "int", "float")},
    ("builtins", "bytearray"): _bytes,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    ("torch._utils", "_rebuild_sparse_tensor"): _sparse_tensor,
    ("torch.serialization", "_get_layout"): lambda name: name,
    ("torch.storage", "_load_from_bytes"): _embedded,
    ("torch", "Size"): tuple,
}
"""Replacements of the constructors of arrays and plain containers."""

_HINTS: Final[Mapping[str, str]] = {
    "joblib": "; save the arrays with numpy.savez",
    "pandas": "; save the table with to_csv or to_parquet",
    "torch": "; save tensors, or a dict of them, with torch.save",
}
"""What to do about a pickle that needs one of these libraries."""


def _loader(form: str, encoding: str) -> Callable[[Any], None]:
    """Return what reads bytes, or a text in an encoding, behind a length of the form ``form``."""

    def load(self: Unpickler) -> None:
        (length,) = struct.unpack(form, self.read(struct.calcsize(form)))
        if length >= _LARGE and self._unframer.current_frame is None:
            self.append(self.source.piece(length, encoding == "utf-8"))
            return
        content = self.read(length)
        if len(content) != length:  # the original makes room for what is declared before it reads
            raise ValueError(f"{length - len(content)} bytes are missing")
        self.append(str(content, encoding, "surrogatepass") if encoding else content)

    return load


class Unpickler(pickle._Unpickler):
    """Builds what is allowed and nothing else; in Python, as the C version trusts indices and sizes."""

    dispatch: ClassVar[dict[int, Callable[..., Any]]] = {
        **pickle._Unpickler.dispatch,
        **{
            code[0]: _loader(form, encoding)
            for code, form, encoding in (
                (pickle.BINBYTES, "<I", ""),
                (pickle.BINBYTES8, "<Q", ""),
                (pickle.BYTEARRAY8, "<Q", ""),
                (pickle.BINUNICODE, "<I", "utf-8"),
                (pickle.BINUNICODE8, "<Q", "utf-8"),
                (pickle.BINSTRING, "<I", "latin-1"),
            )
        },
    }
    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]
    _unframer: Any

    def __init__(self, source: Bounded, find: Callable[[str], Piece] | None = None) -> None:
        """Read the next pickle of a stream; ``find`` returns numbers outside of it by their key."""
        super().__init__(source, encoding="latin1")
        self.source, self._find, self.storages = source, find, dict[Any, Storage]()

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of a constructor, or the kind of a tensor's numbers."""
        if sparse := _SPARSE.fullmatch(f"{module}.{name}"):
            return SparseParts, sparse[1]
        if name == "record" and module in ("numpy", "numpy.rec"):
            return "V1"  # the type of a record array, whose fields follow
        if (storage := _STORAGE.fullmatch(f"{module}.{name}")) and storage[1] in _TENSOR_TYPES:
            return storage[1]
        if (module, name) not in _ALLOWED:
            raise DataError(
                f"it asks for {f'{module}.{name}'[:80]!r}, and only arrays, numbers, texts, lists and dicts "
                "are read from a pickle; nothing else is ever executed" + _HINTS.get(module.split(".")[0], "")
            )
        return _ALLOWED[module, name]

    def load_reduce(self) -> None:
        """Call an allowed function."""
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not any(function is allowed for allowed in _ALLOWED.values()):
            raise DataError("it calls a function that does not construct an array")
        if function is _embedded:
            self.source.embedded -= _size(arguments[0])
            if self.source.embedded < 0:
                raise DataError("its parts contain each other too often")
        self.stack[-1] = function(*arguments)

    def load_newobj(self) -> None:
        """Begin a sparse matrix."""
        arguments = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, tuple) or len(made) != 2 or made[0] is not SparseParts or arguments:
            raise DataError("it makes an object other than a sparse matrix")
        self.stack[-1] = SparseParts(made[1])

    def load_build(self) -> None:
        """Give an array or its type what it consists of."""
        state = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, _Type | _Values | SparseParts):
            raise DataError("it changes an object other than an array")
        made.build(state)

    def persistent_load(self, pid: Any) -> Storage:
        """Return the numbers of tensors by their description: kind, key, device and count."""
        what, kind, key, _, count, *view = pid
        if what != "storage" or kind not in _TENSOR_TYPES or not isinstance(count, int) or any(view):
            raise DataError("it refers to something other than the storage of a tensor")
        if key not in self.storages:
            dtype = np.dtype(_TENSOR_TYPES[kind])
            piece = self._find(key) if self._find else None
            count = piece.size // dtype.itemsize if piece else count
            self.storages[key] = Storage(dtype, count, piece, kind == "BFloat16")
        return self.storages[key]

    def _refuse(self) -> None:
        """Refuse an instruction that makes objects."""
        raise DataError("it holds objects, and only arrays, numbers, texts, lists and dicts are read")

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.BUILD[0]] = load_build
    for _code in (pickle.INST, pickle.OBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4):
        dispatch[_code[0]] = _refuse


def older_torch(opener: Callable[[], IO[bytes]], start: int, size: int) -> Any:
    """Return what PyTorch's format before version 1.6 holds: pickles, and the numbers of tensors behind them.

    The file is opened again when a tensor in it is read.
    """
    with closing(Bounded(opener, start, size)) as source:
        magic, _, system = (Unpickler(source).load() for _ in range(3))
        if magic != _OLDER_TORCH or system.get("little_endian") is not True:
            raise ValueError("it is no file of PyTorch's, or one of a big-endian machine")
        reader = Unpickler(source)
        root, keys = reader.load(), Unpickler(source).load()
        for key in keys:
            storage = reader.storages[key]
            (count,) = struct.unpack("<q", source.read(8))
            if count != storage.count:
                raise ValueError(f"{count} numbers of {storage.count} are stored")
            storage.piece = source.piece(count * storage.dtype.itemsize, letters=False)
        return root


def unpickled(opener: Callable[[], IO[bytes]], start: int, size: int) -> Any:
    """Return what a pickle in a part of a file holds: plain containers, numbers, texts and arrays.

    The file is opened again when a large array in it is read.

    Raises:
        DataError: if the pickle needs anything else.
    """
    with closing(Bounded(opener, start, size)) as source:
        return opened(Unpickler(source).load())


def opened(value: Any) -> Any:
    """Return the value that a placeholder holds."""
    if isinstance(value, Piece):
        content = value._replace(letters=False, size=value.stored).content()
        return content.decode("utf-8") if value.letters else content
    return value.value if isinstance(value, _Values) else value
