"""HDF5, plain or written by MATLAB 7.3, which stores every matrix transposed and cells by reference.

Nothing outside of the file is read: external links, external storage and virtual datasets are refused. As the
library itself can crash or hang on a damaged file, another process reads through it first (`probe`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from bench.contract import Array, DataError
from bench.data.formats.array_file import (
    MOST_VIEWS,
    STATEMENTS,
    ArrayFile,
    as_data_error,
    not_numeric,
    require_distinct,
    require_memory,
    sparse_matrix,
    texts,
)
from bench.data.formats.nested import Nested
from bench.data.formats.records import fields_of
from bench.data.formats.samples import FEWEST, MOST_ROWS, single
from bench.data.formats.stored import BLOCK, Stored

_FILTERS: Final = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
_OBJECT: Final = "MATLAB_object_decode"
"""Attribute of what holds an object of MATLAB's."""
_DEEPEST: Final = 12
_MOST_OBJECTS: Final = 100_000
_MOST_TEXTS: Final = 10_000_000


class Hdf5(ArrayFile):
    """An open HDF5 file."""

    _nested: Nested

    def __init__(self, path: Path, matlab: bool) -> None:
        """List the file's datasets; ``matlab``: whether MATLAB 7.3 wrote it."""
        super().__init__(path)
        self._matlab = matlab
        with as_data_error(str(path)):
            self._file: Any = h5py.File(path, "r")
            self._seen: set[Any] = set()
            self._cells: dict[str, Any] = {}
            listed: dict[str, Any] = {}
            self._keys = list(self._walk(self._file, "", 0, listed))
            require_distinct(self._keys, path)
            for key in sorted({*STATEMENTS} & {*self._file.attrs} - {*self._keys}):
                values = np.asarray(self._file.attrs[key])
                listed[key] = values.reshape(-1).tolist() if values.dtype.kind in "SO" else values
        self._nested = Nested(path, listed)

    def keys(self) -> list[str]:
        """Return the names of datasets (in groups as ``group/name``), and attributes that state something."""
        return [*self._keys, *self._nested.keys()]

    def _samples(self, node: Any, key: str) -> Iterator[Any]:
        """Yield the cells of a cell array: a sample each: a structure, a vector or a matrix of few rows."""
        many, where, taken = node.size >= FEWEST, self.where(key), 0
        for cell in self._referenced(node, where):
            if isinstance(cell, h5py.Dataset):
                taken += cell.size * cell.dtype.itemsize  # many cells may be one and the same
                require_memory(taken, where, self.path.stat().st_size)
                numbers = many and cell.dtype.kind in "biuf" and not self._is_text(cell)
                if not numbers or min(cell.shape) > MOST_ROWS:
                    raise ValueError("no sample")
                yield single(self._value(cell, where), matrix=True)
                continue
            names = [*cell]
            if not names or not all(isinstance(cell.get(n, getlink=True), h5py.HardLink) for n in names):
                raise ValueError("no structure")
            yield {name: single(self._value(cell[name], where), matrix=many) for name in names}

    def _array_of_structures(self, node: Any, key: str) -> list[dict[str, Any]]:
        """Return an array of structures, a sample each; MATLAB stores a cell array of each field."""
        fields = [node[name] for name in node if isinstance(node.get(name, getlink=True), h5py.HardLink)]
        cells = [isinstance(one, h5py.Dataset) and h5py.check_ref_dtype(one.dtype) for one in fields]
        shapes = {one.shape for one, kind in zip(fields, cells, strict=True) if kind is h5py.Reference}
        if len(fields) < max(2, len(node)) or {*cells} != {h5py.Reference} or len(shapes) > 1:
            return []
        where = self.where(key)
        found = {
            name: [
                single(self._value(cell, where), matrix=one.size >= FEWEST)
                for cell in self._referenced(one, where)
            ]
            for name, one in zip(node, fields, strict=True)
        }
        rows = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
        return rows if len(rows) > 1 else []

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _walk(self, group: Any, prefix: str, depth: int, listed: dict[str, Any]) -> Iterator[str]:
        """Yield the keys of arrays; samples in cell arrays go to ``listed``."""
        if depth > _DEEPEST:
            raise DataError(f"{self.path}: groups are nested more than {_DEEPEST} deep")
        for raw in group.id:
            name = raw.decode("utf-8", errors="surrogateescape")
            if name.startswith("#"):  # where MATLAB keeps the cells
                continue
            if len(self._seen) > _MOST_OBJECTS:
                raise DataError(f"{self.path}: more than {_MOST_OBJECTS} objects")
            key = prefix + name.encode("utf-8", errors="replace").decode("utf-8")
            link = group.get(name, getlink=True)
            kind = group.get(name, getclass=True) if isinstance(link, h5py.HardLink) else None
            if kind is h5py.Group:
                yield from self._walk_group(group[name], key, depth, listed)
                continue
            self._seen.add((key, len(self._seen)))
            yield from self._walk_dataset(group[name] if kind is h5py.Dataset else None, key, listed)

    def _walk_group(self, node: Any, key: str, depth: int, listed: dict[str, Any]) -> Iterator[str]:
        """Yield the keys of a group: its own of a sparse or an empty one, else those in it."""
        if "MATLAB_sparse" in node.attrs or {*node} >= {"data", "ir", "jc"}:
            yield key
            return
        about = h5py.h5o.get_info(node.id)
        if (about.fileno, about.addr) in self._seen:
            raise DataError(f"{self.path}: the group {key!r} contains itself")
        self._seen.add((about.fileno, about.addr))
        with suppress(ValueError, DataError):  # reported when it is read
            if rows := self._array_of_structures(node, key):
                listed[key] = rows
                return
        before = len(self._seen)
        inner = list(self._walk(node, f"{key}/", depth + 1, listed))
        yield from inner or ([key] if before == len(self._seen) else [])

    def _walk_dataset(self, node: Any, key: str, listed: dict[str, Any]) -> Iterator[str]:
        """Yield the keys of a dataset; samples and records go to ``listed`` instead."""
        cells = node is not None and h5py.check_ref_dtype(node.dtype) is h5py.Reference and node.size
        with suppress(ValueError, DataError):  # reported when it is read
            if cells:
                listed[key] = [*self._samples(node, key)]
                return
            if node is not None and node.dtype.names and not _has_references(node.dtype):
                self._check(node, self.where(key), node.dtype.itemsize)
                records = np.asarray(node[()]).reshape(-1)
                listed[key] = fields_of(records, key.rpartition("/")[2], self.where(key))
                return
        yield key
        if cells and cells <= MOST_VIEWS:
            yield from self._views(node, key)

    def _views(self, node: Any, key: str) -> Iterator[str]:
        """Yield keys of the matrices in a cell array of few."""
        for index, cell in enumerate(self._referenced(node, self.where(key))):
            number = isinstance(cell, h5py.Dataset) and cell.dtype.kind in "biuf" and cell.size > 1
            if number and not self._is_text(cell) and _OBJECT not in cell.attrs:
                self._cells[f"{key}/{index + 1}"] = cell
                yield f"{key}/{index + 1}"

    def _node(self, key: str) -> Any:
        """Return a dataset or group by its key; no link is ever followed."""
        if key in self._cells:
            return self._cells[key]
        node = self._file
        for name in key.split("/"):
            link = node.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise DataError(
                    f"{self.where(key)}: is a link to something else, and links in HDF5 files are not "
                    "followed; copy the array into the file"
                )
            node = node[name]
        return node

    def _shape(self, key: str) -> tuple[int, ...]:
        """Return a dataset's shape as its author saw it."""
        node = self._node(key)
        if not isinstance(node, h5py.Dataset):
            return self._read(key).shape
        shape = tuple(int(length) for length in node.shape or ())
        if self._is_text(node):
            return shape[-1:]
        return shape[::-1] if self._transposed(node) else shape

    def _read(self, key: str) -> Array:
        """Return an array."""
        return self._value(self._node(key), self.where(key))

    def _stored(self, key: str) -> Stored | None:
        """Return a matrix of numbers to be read in blocks of whole chunks."""
        node = self._node(key)
        if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "biuf" or node.ndim != 2:
            return None
        if _OBJECT in node.attrs:
            raise not_numeric(self.where(key), is_object=True)
        self._check(node, self.where(key), 4)
        length, width = node.shape
        step = max(1, BLOCK // max(1, width * node.dtype.itemsize))
        chunk = node.chunks[0] if node.chunks else 16
        step = max(chunk, step // chunk * chunk)
        turned = self._transposed(node)
        blocks = (node[start : start + step] for start in range(0, length, step))
        return Stored((width, length) if turned else (length, width), turned, blocks)

    def _read_cells(self, key: str) -> list[Array]:
        """Return the arrays that a cell array refers to."""
        node = self._node(key)
        if not isinstance(node, h5py.Dataset) or h5py.check_ref_dtype(node.dtype) is not h5py.Reference:
            raise DataError(f"{self.where(key)}: expected a cell array, found something else")
        return [self._value(cell, self.where(key)) for cell in self._referenced(node, self.where(key))]

    def visit_pieces(self, key: str) -> None:
        """Go through the index of a dataset's pieces; the library stumbles here if it is damaged."""
        if key in self._nested:  # and so read already
            return
        node = self._node(key)
        with as_data_error(self.where(key)):
            if not isinstance(node, h5py.Dataset) or node.chunks is None:
                return
            self._check(node, self.where(key), 0)
            size = self.path.stat().st_size
            for index in range(node.id.get_num_chunks()):
                piece = node.id.get_chunk_info(index)
                if piece.byte_offset is None or piece.byte_offset + piece.size > size:
                    raise ValueError("a piece of it is outside of the file")

    def _referenced(self, node: Any, where: str) -> Iterator[Any]:
        """Yield what the cells of a cell array refer to, in MATLAB's order."""
        self._check(node, where, 64)
        for reference in np.asarray(node[()]).T.reshape(-1):
            if not reference:
                raise ValueError("a cell that refers to nothing")
            yield self._file[reference]

    def _transposed(self, node: Any) -> bool:
        """Whether a dataset is stored transposed, as MATLAB does."""
        return self._matlab or "MATLAB_class" in node.attrs

    def _is_text(self, node: Any) -> bool:
        """Whether a dataset holds the letters of MATLAB's texts."""
        return node.dtype.kind == "u" and _matlab_class(node) == "char"

    def _value(self, node: Any, where: str) -> Array:
        """Return the array that a dataset or a group holds; raises DataError if it is none."""
        if not isinstance(node, h5py.Dataset):
            return self._sparse(node, where)
        if node.attrs.get("MATLAB_empty"):
            return np.empty(0)
        if _OBJECT in node.attrs:
            raise not_numeric(where, is_object=True)
        if h5py.check_ref_dtype(node.dtype) is h5py.Reference:
            return self._cell_texts(node, where)
        if node.dtype.kind in "SO":
            return self._texts(node, where)
        if node.dtype.kind not in "biuf":
            raise DataError(f"{where}: expected a numeric matrix, found values of type {node.dtype}")
        self._check(node, where, node.dtype.itemsize)
        value = np.asarray(node[()])
        if self._is_text(node):
            return _letters(value)
        return value.T if self._transposed(node) else value

    def _check(self, node: Any, where: str, itemsize: int) -> None:
        """Refuse a dataset that is stored elsewhere, has an unknown filter, or is larger than its bytes."""
        if node.shape is None:
            raise DataError(f"{where}: is empty")
        if node.is_virtual or node.external:
            raise DataError(
                f"{where}: its numbers are in another file, which is not opened; copy them into this one"
            )
        about = node.id.get_create_plist()
        filters = [about.get_filter(index)[0] for index in range(about.get_nfilters())]
        unknown = [number for number in filters if number not in _FILTERS]
        if unknown:
            raise DataError(f"{where}: packed by the filter {unknown[0]}; store it with gzip or none")
        stored, declared = node.id.get_storage_size(), math.prod(node.shape) * node.dtype.itemsize
        if node.chunks is None and stored < declared:
            raise DataError(f"{where}: declares {declared} bytes, and {stored} are in the file")
        if node.chunks is not None:
            chunk = math.prod(node.chunks) * node.dtype.itemsize
            require_memory(chunk, where, max(stored, 1))
        if stored > self.path.stat().st_size:
            raise ValueError(f"it claims {stored} bytes, more than the file has")
        require_memory(math.prod(node.shape) * itemsize, where, stored)

    def _texts(self, node: Any, where: str) -> Array:
        """Return a dataset of texts."""
        if node.dtype.kind == "O" and h5py.check_string_dtype(node.dtype) is None:
            raise DataError(f"{where}: a list of neither numbers nor texts")
        self._check(node, where, node.dtype.itemsize)
        if node.size > _MOST_TEXTS:
            raise DataError(f"{where}: {node.size} texts are more than are read")
        return texts(np.asarray(node[()]).reshape(-1).tolist())

    def _cell_texts(self, node: Any, where: str) -> Array:
        """Return a cell array of texts."""
        found = []
        for cell in self._referenced(node, where):
            if not isinstance(cell, h5py.Dataset) or not self._is_text(cell):
                raise not_numeric(where, _OBJECT in cell.attrs)
            found.append("".join(self._value(cell, where).tolist()))
        return texts(found)

    def _sparse(self, node: Any, where: str) -> Array:
        """Return a sparse matrix of MATLAB's: a group of its values, rows and ends of columns."""
        if not {"data", "ir", "jc"} <= {*node} or "MATLAB_sparse" not in node.attrs:
            raise DataError(f"{where}: expected a numeric matrix, found a group")
        read: dict[str, Array] = {}
        for name in ("data", "ir", "jc"):
            part = node[name] if isinstance(node.get(name, getlink=True), h5py.HardLink) else None
            if not isinstance(part, h5py.Dataset) or part.dtype.kind not in "biuf":
                raise DataError(f"{where}: a sparse matrix without its numbers")
            self._check(part, where, part.dtype.itemsize)
            read[name] = np.asarray(part[()]).reshape(-1)
        shape = int(np.asarray(node.attrs["MATLAB_sparse"]).reshape(-1)[0]), len(read["jc"]) - 1
        pointers, rows = read["jc"].astype(np.int64), read["ir"].astype(np.int64)
        data = read["data"].astype(bool) if _matlab_class(node) == "logical" else read["data"]
        return sparse_matrix({"data": data, "indices": rows, "indptr": pointers}, "csc", shape, where)


def _has_references(kind: Any) -> bool:
    """Return whether a type with fields has one that is neither numbers nor texts."""
    inner = [kind[name].subdtype[0] if kind[name].subdtype else kind[name] for name in kind.names]
    return any(one.names or (one.kind == "O" and h5py.check_string_dtype(one) is None) for one in inner)


def _matlab_class(node: Any) -> str:
    """Return MATLAB's name of a dataset's type; empty if MATLAB did not write it."""
    value = node.attrs.get("MATLAB_class", b"")
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _letters(codes: Array) -> Array:
    """Return a matrix of UTF-16 codes, a column for each text, as texts."""
    columns = codes.reshape(codes.shape[0], -1).T
    return texts(column.astype("<u2").tobytes().decode("utf-16-le").rstrip() for column in columns)
