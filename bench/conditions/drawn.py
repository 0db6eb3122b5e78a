"""Files of drawn conditions: which training rows stay, with labels and ids before and after."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.atomic import write_output
from bench.conditions.base import ConditionCard, Edit, Edited, Group
from bench.contract import Array, DataError, Modality, Split, UsageError
from bench.data.formats import open_arrays, require_regular
from bench.data.formats.array_file import as_data_error, require_memory

FIELDS: Final = ("modality", "row", "kept", "label", "new_label", "id", "new_id")
"""Columns of a CSV file: a line per training row, in the dataset's order; several classes with spaces."""

_CHANGES: Final[Mapping[Group, frozenset[str]]] = {
    "noise": frozenset({"labels"}),
    "pairs": frozenset({"ids", "rows"}),
    "labels": frozenset({"removed labels", "rows"}),
    "modalities": frozenset({"rows"}),
    "classes": frozenset({"rows"}),
}
"""What a file of a condition of each group may change."""


def write_drawn(path: Path, split: Split, edited: Edited, about: dict[str, Any]) -> None:
    """Write the changes of training rows as ``.csv``, or as ``.npz`` with the arrays of every modality.

    The latter holds ``about`` as well: dataset, condition and seed.

    Raises:
        UsageError: for another ending, what such a file cannot hold, or one that cannot be written.
    """
    if path.suffix not in (".csv", ".npz"):
        raise UsageError(f"{path} is neither .csv nor .npz; choose one of these endings")
    if any(edit.features is not None for edit in edited.edits.values()):
        raise UsageError("this condition changes features, and such a file holds rows, labels and ids alone")
    if path.suffix == ".csv" and any((np.diff(edit.rows) <= 0).any() for edit in edited.edits.values()):
        raise UsageError("this condition changes the order of rows, which a .csv does not hold; write .npz")
    arrays: dict[str, Any] = {**about, **_arrays(split, edited)}
    try:
        if path.suffix == ".npz":
            content = io.BytesIO()
            np.savez(content, **arrays)
            write_output(path, content.getvalue())
        else:
            lines = [",".join(FIELDS), *(",".join(map(str, line)) for line in _lines(split, edited))]
            write_output(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _arrays(split: Split, edited: Edited) -> dict[str, Array]:
    """Return the arrays of an archive, by modality and part."""
    arrays: dict[str, Array] = {}
    for name, old in split.items():
        new = edited.edits[name]
        parts = {"rows": new.rows, "labels": old.labels, "new_labels": new.labels}
        parts |= {part: ids for part, ids in (("ids", old.ids), ("new_ids", new.ids)) if ids is not None}
        arrays |= {f"{name}_{part}": values for part, values in parts.items()}
    return arrays


def _lines(split: Split, edited: Edited) -> Iterator[tuple[object, ...]]:
    """Yield the lines of a table, one for each training row."""
    for name, old in split.items():
        new = edited.edits[name]
        indices = {int(row): index for index, row in enumerate(new.rows)}
        for row in range(len(old)):
            index = indices.get(row)
            columns = zip((old.labels, new.labels, old.ids, new.ids), (row, index, row, index), strict=True)
            yield name, row, int(index is not None), *(_word(values, at) for values, at in columns)


def _word(values: Array | None, row: int | None) -> str:
    """Return an id, a class, or the classes of a row of a label matrix; -1 is no label."""
    if values is None or row is None:
        return ""
    if values.ndim == 1:
        return str(int(values[row]))
    return "-1" if (values[row] < 0).any() else " ".join(map(str, np.flatnonzero(values[row])))


def is_drawn(path: Path) -> bool:
    """Return whether a file is one that `write_drawn` wrote, by its columns or the names of its arrays.

    Raises:
        DataError: if it cannot be opened.
    """
    if path.suffix.lower() == ".csv":
        with as_data_error(str(path)), path.open(encoding="utf-8-sig", newline="") as file:
            return tuple(file.readline(1000).strip().split(",")) == FIELDS
    if path.suffix.lower() != ".npz":
        return False
    with open_arrays(path) as source:
        keys = source.keys()
        return "condition" in keys and any(key.endswith("_rows") for key in keys)


def read_drawn(path: Path, split: Split, condition: str) -> dict[str, Edit]:
    """Return the changes of training rows, from a file that `write_drawn` wrote for these rows.

    ``condition`` is its name, with any variant; both must match those in an ``.npz``.

    Raises:
        DataError: if it is of other rows, or not as it was written.
    """
    tables = _from_csv(path) if path.suffix.lower() == ".csv" else _from_npz(path, split, condition)
    if missing := [name for name in split if name not in tables]:
        raise DataError(
            f"{path} has no rows of {', '.join(missing)}; write the file again with these modalities"
        )
    return {
        name: _edit(f"{path}, {name}", modality, tables[name], split.n_classes)
        for name, modality in split.items()
    }


def require_changes_of(card: ConditionCard, path: Path, split: Split, edits: Mapping[str, Edit]) -> None:
    """Refuse a file that changes something, but nothing that a condition changes.

    Raises:
        DataError: saying what it changes.
    """
    changed: set[str] = set()
    for name, edit in edits.items():
        old = split[name].take(edit.rows)
        taken = (edit.labels != old.labels) & (edit.labels < 0)
        changed |= {"rows"} if not np.array_equal(edit.rows, np.arange(len(split[name]))) else set()
        changed |= {"removed labels"} if taken.any() else set()
        changed |= {"labels"} if ((edit.labels != old.labels) & ~taken).any() else set()
        same = edit.ids is None or (old.ids is not None and np.array_equal(edit.ids, old.ids))
        changed |= set() if same else {"ids"}
    if changed and not changed & _CHANGES[card.group]:
        raise DataError(
            f"{path} changes {', '.join(sorted(changed))}, and {card.name} changes "
            f"{' or '.join(sorted(_CHANGES[card.group]))}; was it drawn by another condition?"
        )


def _from_npz(path: Path, split: Split, condition: str) -> dict[str, Mapping[str, Array]]:
    """Return the arrays of each modality; raises DataError if another condition drew them."""
    parts = ("rows", "labels", "new_labels", "ids", "new_ids")
    with open_arrays(path) as source:
        written = str(source.array("condition"))
        name, _, variant = condition.partition("/")
        head = written.partition("@")[0].partition("=")[0].split("/")
        if head[0] != name or (variant and variant not in head):
            raise DataError(
                f"{path} was drawn by {written}, not by {condition}; write {written.split('@')[0]}=FILE"
            )
        return {
            name: {part: source.array(f"{name}_{part}") for part in parts if f"{name}_{part}" in source}
            for name in split
            if f"{name}_rows" in source
        }


def _from_csv(path: Path) -> dict[str, Mapping[str, Array]]:
    """Read the lines of a table, in the order of the rows."""
    columns: dict[str, dict[str, list[str]]] = {}
    with as_data_error(str(path)):
        require_regular(path)
        require_memory(100 * path.stat().st_size, str(path))
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line in csv.DictReader(file, strict=True):
                if set(line) != set(FIELDS) or None in line.values():
                    raise ValueError(f"a line with other columns than {', '.join(FIELDS)}")
                into = columns.setdefault(line["modality"], {field: [] for field in FIELDS[1:]})
                for field, words in into.items():
                    words.append(line[field])
        return {name: _arrays_of(part) for name, part in columns.items()}


def _arrays_of(columns: Mapping[str, list[str]]) -> dict[str, Array]:
    """Return the columns of a modality as an archive has them; labels as texts."""
    if columns["row"] != [str(row) for row in range(len(columns["row"]))]:
        raise ValueError("rows that are not numbered from 0 in their order")
    if not set(columns["kept"]) <= {"0", "1"}:
        raise ValueError("a row whose column 'kept' is neither 0 nor 1")
    rows = np.flatnonzero(np.array(columns["kept"]) == "1")
    new_labels, new_ids = ([columns[field][row] for row in rows] for field in ("new_label", "new_id"))
    arrays = {"rows": rows, "labels": np.array(columns["label"]), "new_labels": np.array(new_labels)}
    for field, ids in (("ids", columns["id"]), ("new_ids", new_ids)):
        arrays |= {field: np.array(ids, dtype=np.int64)} if any(ids) else {}
    return arrays


def _edit(where: str, modality: Modality, table: Mapping[str, Array], n_classes: int) -> Edit:
    """Return the edit of a modality, held against the rows that it was drawn of."""
    count = len(modality)
    if missing := {"rows", "labels", "new_labels"} - set(table):
        raise DataError(f"{where}: {', '.join(sorted(missing))} are missing; write the file again")
    old, rows, ids = table["labels"], table["rows"], table.get("new_ids")
    if len(old) != count:
        raise DataError(f"{where}: the file has {len(old)} training rows, the dataset {count}")
    wide = modality.labels.shape[1] if modality.multi_label else None
    before, same_ids = _labels_of(old, wide, where), table.get("ids")
    if not np.array_equal(before, modality.labels) or (
        same_ids is not None and modality.ids is not None and not np.array_equal(same_ids, modality.ids)
    ):
        raise DataError(
            f"{where}: labels or ids before the change are not those of the dataset; was the file written "
            "for other data?"
        )
    if rows.dtype.kind not in "iu" or rows.ndim != 1 or len(np.unique(rows)) != len(rows):
        raise DataError(f"{where}: numbers of kept rows must be distinct whole numbers")
    if len(rows) and not 0 <= rows.min() <= rows.max() < count:
        raise DataError(f"{where}: numbers of kept rows must be from 0 to {count - 1}")
    if ids is None and modality.ids is not None:
        raise DataError(f"{where}: the file has no ids, but the rows of the dataset have some")
    if ids is not None and (ids.shape != rows.shape or ids.dtype.kind not in "iu"):
        raise DataError(f"{where}: ids must be {len(rows)} whole numbers, found {ids.dtype} of {ids.shape}")
    labels = _labels_of(table["new_labels"], wide, where)
    if len(labels) != len(rows):
        raise DataError(f"{where}: {len(labels)} new labels for {len(rows)} rows")
    most = n_classes - 1 if wide is None else 1
    if labels.size and not -1 <= labels.min() <= labels.max() <= most:
        raise DataError(f"{where}: new labels reach from {labels.min()} to {labels.max()}, not -1 to {most}")
    kind = modality.labels.dtype if not (labels < 0).any() else np.dtype(np.int64)
    return Edit(rows.astype(np.intp), labels.astype(kind), ids)


def _labels_of(values: Array, width: int | None, where: str) -> NDArray[np.int64]:
    """Return labels ``(n,)`` or ``(n, width)`` from numbers, or from texts with spaces between classes."""
    if values.dtype.kind == "U":
        try:
            classes = [[int(word) for word in text.split()] for text in values.tolist()]
        except ValueError as error:
            raise DataError(f"{where}: labels must be whole numbers") from error
        if width is None:
            if any(len(listed) != 1 for listed in classes):
                raise DataError(
                    f"{where}: rows have several classes or none, but those of the dataset have one each"
                )
            values = np.array([listed[0] for listed in classes], dtype=np.int64)
        else:
            values = np.zeros((len(classes), width), dtype=np.int64)
            for row, listed in enumerate(classes):
                if listed == [-1]:
                    values[row] = -1
                elif all(0 <= label < width for label in listed):
                    values[row, listed] = 1
                else:
                    raise DataError(f"{where}: classes must be numbers from 0 to {width - 1}")
    if values.dtype.kind not in "iu" or values.shape[1:] != (() if width is None else (width,)):
        raise DataError(f"{where}: labels are {values.dtype} of {values.shape}, unlike those of these rows")
    return values.astype(np.int64)
