"""Noise index files of released code: which item of one modality the rows of the others are paired with.

| layout | released by |
|---|---|
| an index for each item ``(m,)``: the rows of item i get item ``file[i]``; each item once | DECL, RCL |
| an index for each row ``(n,)`` of the other modality: row i gets item ``file[i]`` | NCR, L2RM |

Items are what the rows of a modality show, in the order in which they first come: a picture is one item,
whether it has one row or one beside each caption. Indices count from 0. Read in NCR data.py (60256ba), DECL
data.py (1b0a775), RCL RCL-SGRAF/data.py (1096a24) and L2RM data.py (a766c22), and in the files of the last
two: all put the indices of the right pairs in another order. Nothing of a file is executed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.conditions.base import Edit, edit_of, ids_of
from bench.contract import Array, DataError, Split, Unsupported
from bench.data.formats import open_arrays


def read_index_file(path: Path, split: Split, *, by_row: bool) -> dict[str, Edit]:
    """Return edits that give rows of all modalities but one the ids of other items of that one.

    That one is the first modality, or the one after which the file's array is named.

    Args:
        path: of the file.
        split: training rows.
        by_row: whether the file must have an index for each row.

    Raises:
        DataError: if it does not list the items of the right pairs in another order.
        Unsupported: if no rows correspond.
    """
    of, values, where = _indices(path, split)
    ids = ids_of(split)
    items = ids[of][np.sort(np.unique(ids[of], return_index=True)[1])]
    right = {name: _places(ids[name], items) for name in split if name != of}
    if not any((places >= 0).any() for places in right.values()):
        raise Unsupported(f"wrong-pairs needs rows that correspond to {of}, and there are none")
    other, rows = next(iter(right.items()))
    of_rows = len(right) == 1 and len(values) == len(rows) and (by_row or len(rows) != len(items))
    if not of_rows and (by_row or len(values) != len(items)):
        ways = [] if by_row else [f"the {len(items)} items of {of}"]
        ways += [f"the {len(rows)} training rows of {other}"] if len(right) == 1 else []
        raise DataError(
            f"{where}: {len(values)} indices, and an index file has one for each of "
            f"{' or '.join(ways) or 'the rows of the other one of two modalities'}, in the data's order"
        )
    _require_reordered(values, rows if of_rows else np.arange(len(items)), len(items), where)
    edits = {of: edit_of(split[of])}
    for name, places in right.items():
        paired, given = places >= 0, ids[name].copy()
        given[paired] = items[values if of_rows else values[places[paired]]]
        edits[name] = edit_of(split[name], ids=given)
    return {name: edits[name] for name in split}


def _indices(path: Path, split: Split) -> tuple[str, NDArray[np.int64], str]:
    """Return whose items a file lists, its indices ``(n,)``, and where they are, for messages."""
    with open_arrays(path) as source:
        keys = source.keys()
        named = [name for name in split if name in keys]
        if len(named or keys) != 1:
            raise DataError(
                f"{path}: of its arrays {', '.join(keys[:8])} one must be named after a modality: the one "
                "whose items it lists"
            )
        key = (named or keys)[0]
        values, where = source.array(key), source.where(key)
    if values.dtype.kind not in "iu" or max(values.shape, default=0) != values.size:
        raise DataError(
            f"{where}: indices must be whole numbers (n,), found {values.dtype} of {values.shape}"
        )
    return (named or [*split])[0], values.reshape(-1).astype(np.int64), where


def _places(ids: Array, items: Array) -> NDArray[np.intp]:
    """Return which item each row ``(n,)`` shows; -1 for none."""
    order = np.argsort(items)
    places = order[np.searchsorted(items, ids, sorter=order).clip(max=len(items) - 1)]
    return np.where(items[places] == ids, places, -1)


def _require_reordered(values: Array, right: Array, count: int, where: str) -> None:
    """Require that a file lists the items of the right pairs in another order.

    Raises:
        DataError: otherwise; says what was found.
    """
    if len(values) and not 0 <= values.min() <= values.max() < count:
        hint = (
            "; they seem to count from 1, subtract 1" if values.min() == 1 and values.max() == count else ""
        )
        raise DataError(
            f"{where}: indices reach from {values.min()} to {values.max()}, expected 0 to {count - 1}{hint}"
        )
    if lone := int((right < 0).sum()):
        raise DataError(f"{where}: {lone} of the rows that it lists have no partner; leave them out first")
    found, expected = (np.bincount(one, minlength=count) for one in (values, right))
    if len(odd := np.flatnonzero(found != expected)):
        raise DataError(
            f"{where}: it is no reordering of the right pairs: {len(odd)} items come more or less often than "
            f"there, such as {odd[0]}, {found[odd[0]]} times instead of {expected[odd[0]]}; it is of other "
            "data, or damaged"
        )
