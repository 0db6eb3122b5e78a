"""Fields of record arrays and columns of tables as arrays: numbered ones are the columns of one matrix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from bench.contract import Array

_NUMBERED: Final = re.compile(r"(.*?)[_.\-\[ ]?(\d{1,6})\]?")


def fields_of(records: Array, stem: str) -> dict[str, Any]:
    """Return the fields of a record array ``(n,)`` as arrays, those that have fields themselves as dicts.

    Fields ``name_0``, ``name_1``, ... of numbers are the columns of one matrix ``name``.
    """
    kinds: Any = records.dtype
    numeric = {name: kinds[name].kind in "biuf" for name in kinds.names}
    found: dict[str, Any] = {}
    for name, columns in grouped(numeric, stem).items():
        if columns != [name]:
            found[name] = np.stack([records[column] for column in columns], axis=-1)
        elif kinds[name].names:
            found[name] = fields_of(records[name], name)
        else:
            found[name] = records[name].tolist() if kinds[name].hasobject else np.asarray(records[name])
    return found


def grouped(numeric: Mapping[str, bool], stem: str) -> dict[str, list[str]]:
    """Return the columns of each array of a table: ``name_0``, ``name_1``, ... are one matrix ``name``.

    Args:
        numeric: whether a column holds numbers, by its name.
        stem: name of a matrix whose columns have none.
    """
    names = [*numeric]
    if names and all(name.isdigit() for name in names):  # without a header
        return {stem: names} if all(numeric.values()) else {name: [name] for name in names}
    numbered: dict[str, dict[int, str]] = {}
    for name in names:
        if (match := _NUMBERED.fullmatch(name)) is not None:
            numbered.setdefault(match[1] or stem, {})[int(match[2])] = name
    found: dict[str, list[str]] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name)
        prefix = (match[1] or stem) if match else name
        run = numbered.get(prefix, {})
        whole = len(run) > 1 and sorted(run) == [*range(min(run), min(run) + len(run))] and min(run) <= 1
        if match and whole and prefix not in names:
            found[prefix] = [run[number] for number in sorted(run)]
        else:
            found[name] = [name]
    return found
