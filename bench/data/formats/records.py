"""Fields of record arrays and columns of tables as arrays: numbered ones are the columns of one matrix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from bench.contract import Array
from bench.data.formats.array_file import require_memory

_NUMBERED: Final = re.compile(r"(.*?)[_.\-\[ ]?(\d{1,6})\]?")


def fields_of(records: Array, stem: str, where: str) -> dict[str, Any]:
    """Return the fields of a record array ``(n,)`` as arrays, those that have fields themselves as dicts.

    Fields ``name_0``, ``name_1``, ... of numbers are the columns of one matrix ``name``.

    Raises:
        DataError: if such a matrix does not fit into memory; ``where`` begins the message.
    """
    kinds: Any = records.dtype
    numeric = {name: kinds[name].kind in "biuf" for name in kinds.names}
    found: dict[str, Any] = {}
    for name, columns in grouped(numeric, stem).items():
        if columns != [name]:
            parts = [records[column] for column in columns]
            size = sum(part.size for part in parts) * np.result_type(*parts).itemsize
            require_memory(size, where)
            found[name] = np.stack(parts, axis=-1)
        elif kinds[name].names:
            found[name] = fields_of(records[name], name, where)
        else:
            found[name] = records[name].tolist() if kinds[name].hasobject else np.asarray(records[name])
    return found


def grouped(numeric: Mapping[str, bool], stem: str) -> dict[str, list[str]]:
    """Return the columns of each array of a table: ``name_0``, ``name_1``, ... are one matrix ``name``.

    ``numeric`` tells which columns hold numbers; ``stem`` is the name of a matrix whose columns have none.
    """
    names = [*numeric]
    if names and all(name.isdigit() for name in names):  # without a header
        return {stem: names} if all(numeric.values()) else {name: [name] for name in names}
    numbered: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            numbered.setdefault(match[1] or stem, []).append((int(match[2]), name))
    prefix_of: dict[str, str] = {}
    for prefix, columns in numbered.items():
        columns.sort()
        first = columns[0][0]
        whole = [number for number, _ in columns] == [*range(first, first + len(columns))]
        if whole and first <= 1 < len(columns) and prefix not in numeric:
            prefix_of |= {name: prefix for _, name in columns}
    found: dict[str, list[str]] = {}
    for name in names:
        prefix = prefix_of.get(name, name)
        if prefix not in found:
            found[prefix] = [column for _, column in numbered[prefix]] if name in prefix_of else [name]
    return found
