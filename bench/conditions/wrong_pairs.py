"""Wrong pairs: a share of the rows gets the partners of other rows, drawn or from an index file.

Noise index files of released code list the items of one modality that the rows of the others are paired with:

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

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import conditions as t
from bench.contract import Array, DataError, Split, Unsupported
from bench.data.formats import open_arrays


class WrongPairs(t.Condition):
    """Ids of one modality are exchanged among themselves; rows and labels stay."""

    card = t.ConditionCard(
        name="wrong-pairs",
        title="wrong pairs",
        group="pairs",
        changes="a share r of the ids of all modalities but the first is permuted cyclically",
        levels=(0.2, 0.4, 0.6, 0.8),
        variants={
            "by-id": "all rows of an id move together, such as all captions of a picture (DECL, RCL, L2RM)",
            "by-row": "every row of the modality moves alone, such as each caption (NCR)",
        },
        sources="DECL data.py; NCR data.py",
        departures=("the publications draw permutations, in which some pairs stay right",),
    )

    def edit(self, split: Split, level: t.Level, draws: t.Draws) -> t.Edited:
        """Exchange ids in every modality but the first."""
        ids = t.ids_of(split)
        first, *others = split
        if all(len(split.pairs(first, name)[0]) == 0 for name in others):
            raise Unsupported("wrong-pairs needs rows that correspond, and there are none")
        edits = {first: t.edit_of(split[first])}
        for name in others:
            given = ids[name].copy()
            units = np.unique(given) if self.variant == "by-id" else np.arange(len(given))
            circle = units[draws.first(name, float(level), len(units))]
            if len(circle) > 1:
                partner = dict(zip(circle.tolist(), np.roll(circle, -1).tolist(), strict=True))
                if self.variant == "by-id":
                    given = np.array([partner.get(number, number) for number in given.tolist()])
                else:
                    given[circle] = ids[name][np.roll(circle, -1)]
            edits[name] = t.edit_of(split[name], ids=given)
        return t.Edited(edits, self.reached(split, edits))

    def read_indices(self, path: Path, split: Split) -> t.Edited:
        """Return the pairs of a noise index file of DECL, RCL, NCR or L2RM."""
        edits = read_index_file(path, split, by_row=self.variant == "by-row")
        return t.Edited(edits, self.reached(split, edits))

    def reached(self, split: Split, edits: Mapping[str, t.Edit]) -> t.Level:
        """Return the share of the rows that have another id, of all modalities but the first.

        Where a file moves ids of the first, it is that of the modalities whose ids it moves.
        """
        ids, (first, *others) = t.ids_of(split), split
        wrong = {name: np.count_nonzero(edit.ids != ids[name][edit.rows]) for name, edit in edits.items()}
        counted = [name for name in split if wrong[name]] if wrong[first] else others
        return sum(wrong[name] for name in counted) / sum(len(split[name]) for name in counted)


def read_index_file(path: Path, split: Split, *, by_row: bool) -> dict[str, t.Edit]:
    """Return edits that give rows of all modalities but one the ids of other items of that one.

    That one is the first modality, or the one after which the file's array is named. With ``by_row`` the file
    must have an index for each row.

    Raises:
        DataError: if it does not list the items of the right pairs in another order.
        Unsupported: if no rows correspond.
    """
    of, values, where = _indices(path, split)
    ids = t.ids_of(split)
    items = ids[of][np.sort(np.unique(ids[of], return_index=True)[1])]
    by_number, right = np.argsort(items), {}
    for name in (name for name in split if name != of):
        index = by_number[np.searchsorted(items, ids[name], sorter=by_number).clip(max=len(items) - 1)]
        right[name] = np.where(items[index] == ids[name], index, -1)  # item of each row; -1 for none
    if not any((index >= 0).any() for index in right.values()):
        raise Unsupported(f"wrong-pairs needs rows that correspond to {of}, and there are none")
    modality, rows = next(iter(right.items()))
    of_rows = len(right) == 1 and len(values) == len(rows) and (by_row or len(rows) != len(items))
    if not of_rows and (by_row or len(values) != len(items)):
        ways = [] if by_row else [f"the {len(items)} items of {of}"]
        ways += [f"the {len(rows)} training rows of {modality}"] if len(right) == 1 else []
        raise DataError(
            f"{where}: {len(values)} indices, and an index file has one for each of "
            f"{' or '.join(ways) or 'the rows of the other one of two modalities'}, in the data's order (the "
            "paper profile leaves no row out)"
        )
    _require_reordered(values, rows if of_rows else np.arange(len(items)), len(items), where)
    edits = {of: t.edit_of(split[of])}
    for name, index in right.items():
        paired, given = index >= 0, ids[name].copy()
        given[paired] = items[values if of_rows else values[index[paired]]]
        edits[name] = t.edit_of(split[name], ids=given)
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


def _require_reordered(values: Array, right: Array, count: int, where: str) -> None:
    """Require that a file lists the items of the right pairs in another order."""
    if len(values) and not 0 <= values.min() <= values.max() < count:
        low, high = values.min(), values.max()
        hint = "; they seem to count from 1, subtract 1" if (low, high) == (1, count) else ""
        raise DataError(f"{where}: indices reach from {low} to {high}, expected 0 to {count - 1}{hint}")
    if lone := int((right < 0).sum()):
        raise DataError(f"{where}: {lone} of the rows that it lists have no partner; leave them out first")
    found, expected = (np.bincount(one, minlength=count) for one in (values, right))
    if len(odd := np.flatnonzero(found != expected)):
        raise DataError(
            f"{where}: it is no reordering of the right pairs: {len(odd)} items come more or less often than "
            f"there, such as {odd[0]}, {found[odd[0]]} times instead of {expected[odd[0]]}; it is of other "
            "data, or damaged"
        )
