"""Feature bundles, other files of arrays, folders and recipes, read as datasets; bundles are also written.

The plain layout is one .npz file with ``{train,validation,test}_{modality}`` for features ``(n, d)`` and the
same with ``_labels``; ``keys`` and ``layout`` state what else is understood. Without validation rows, a
stratified 15 % of the training rows is cut off.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from bench.atomic import write_output
from bench.contract import (
    Array,
    DataError,
    DatasetCard,
    Encoding,
    Fact,
    Modality,
    ModalityCard,
    Split,
    UsageError,
)
from bench.data.findings import without
from bench.data.formats import SUFFIXES, ArrayFile, files_of, is_folder, open_arrays
from bench.data.formats.folder import Folder, Renamed
from bench.data.formats.stored import BLOCK
from bench.data.keys import Choices
from bench.data.layout import VERSION, Layout, is_plain, layout_of
from bench.data.partition import PARTS, validation_rows
from bench.data.recipes import RECIPES, opened, recipe_files

ENDINGS = (*SUFFIXES, *RECIPES)
"""Of the names of files that are datasets by themselves."""


LONGEST_NAME: Final = 200
"""Characters of a name that becomes part of file names and of records, which take no longer ones."""

_CARD: Final = "card"
"""Key of the JSON text in which `data extract` states how the features were made."""


class Bundle(NamedTuple):
    """A dataset that was read.

    Attributes:
        card: what was found.
        splits: train, validation, test, and gallery where there is one.
        classes: their names; empty where they are numbers from 0.
    """

    card: DatasetCard
    splits: dict[str, Split]
    classes: tuple[str, ...]


def read_bundle(path: Path, choices: Choices | None = None) -> Bundle:
    """Read and check a dataset that is a file, a folder of files or a recipe; ``choices`` precede guesses.

    Raises:
        DataError: if a key is missing, or an array cannot be understood, or in two ways.
    """
    with opened(path, choices) as (source, stated):
        found = layout_of(source, stated)
        made_by = _encodings(source)
    splits, notes = found.splits, found.notes
    if "validation" not in splits:
        splits["train"], splits["validation"] = _cut_validation(splits.pop("train"))
    order = [part for part in (*PARTS, "gallery") if part in splits]
    splits = {part: splits[part] for part in order}
    return Bundle(_card(path, splits, notes, made_by), splits, found.names)


def _cut_validation(train: Split) -> tuple[Split, Split]:
    """Cut a validation set off as `stratified_validation` does, without a second copy of the features."""
    kept, drawn = validation_rows(train)
    validation = train.take(drawn)
    bases = {name: modality.features.base for name, modality in train.items()}
    whole = {
        name: base
        for name, base in bases.items()
        if base is not None and base.flags.owndata and base.flags.writeable and base.ndim == 2
    }
    if len(whole) < len(bases):
        return train.take(kept), validation
    rest: dict[str, Modality] = {}
    for name, rows in kept.items():
        base, modality = whole[name], train[name]
        step = max(1, BLOCK // base[:1].nbytes)
        for start in range(0, len(rows), step):  # rows move forward only, so none is lost
            block = rows[start : start + step]
            base[start : start + len(block)] = base[block]
        ids = None if modality.ids is None else modality.ids[rows]
        rest[name] = Modality(base[: len(rows)], modality.labels[rows], ids)
    return Split(rest, train.n_classes, "none"), validation


def bundle_files(path: Path) -> dict[str, Path]:
    """Return all files that a dataset at a path consists of, by their names in it."""
    if is_folder(path):
        return {str(file.relative_to(path)): file for file in files_of(path)}
    if path.suffix.lower() in RECIPES:
        return {path.name: path, **recipe_files(path)}
    return {path.name: path}


def layout_facts(path: Path) -> dict[str, int]:
    """Return what a file's fingerprint contains besides its content: the version of the rules of reading.

    Empty for plain bundles, for which these rules do not count.
    """
    if path.suffix.lower() == ".npz" and path.is_file():
        try:
            with opened(path) as (source, _):
                if is_plain(source):
                    return {}
        except DataError:  # reported when it is read
            return {}
    return {"layout": VERSION}


def save_bundle(
    path: str | Path,
    *,
    train: Mapping[str, Any],
    test: Mapping[str, Any],
    validation: Mapping[str, Any] | None = None,
    gallery: Mapping[str, Any] | None = None,
    classes: Sequence[str] = (),
    paired: bool | None = None,
) -> Path:
    """Write a dataset as one .npz file, for `load_dataset` and ``--datasets``.

    Args:
        path: of the file; its name must end in ``.npz``.
        train: a split; or a mapping of ``image``, ``text`` and the like to features ``(n, d)``, with
            ``image_labels`` (or ``labels`` for all modalities) and, where known, ``image_ids`` or ``ids``.
        test: likewise.
        validation: likewise; without it, `load_dataset` takes a stratified 15 % of ``train``.
        gallery: likewise: rows that test rows are ranked against.
        classes: names of the classes, in the order of their numbers.
        paired: whether row i of all modalities shows the same thing; None if ids or splits state it, or to
            assume pairs where labels are equal.

    Returns:
        Its path.

    Raises:
        UsageError: if the path does not end in ``.npz``.
        DataError: if the arrays are not a valid dataset; nothing is written.
    """
    parts = {"train": train, "validation": validation, "test": test, "gallery": gallery}
    given = {part: split for part, split in parts.items() if split is not None}
    return _save(Path(path).expanduser(), given, classes, paired)


def _save(
    target: Path,
    given: Mapping[str, Mapping[str, Any]],
    classes: Sequence[str],
    paired: bool | None = None,
    card: Mapping[str, Array] | None = None,
) -> Path:
    """Write a bundle, with the ``card`` of `data extract` if there is one; see `save_bundle`."""
    if target.suffix.lower() != ".npz":
        raise UsageError(f"the name of a feature bundle must end in .npz, not {target.name!r}")
    arrays = {
        f"{part}_{key}": values for part, split in given.items() for key, values in _arrays(split).items()
    }
    if splits := [split for split in given.values() if isinstance(split, Split)]:
        arrays["multi_label"] = np.array(splits[0].multi_label)
    arrays |= {} if paired is None else {"paired": np.array(paired)}
    arrays |= {"class_names": np.array([*classes], dtype=np.str_)} if classes else {}
    if objects := [key for key, values in arrays.items() if values.dtype == object]:
        raise DataError(f"{target}, key {objects[0]!r}: an array of objects; give numbers or texts")
    layout_of(Renamed(target, {}, arrays))  # refuses what would not be read
    content = io.BytesIO()
    np.savez_compressed(content, **arrays, **(card or {}))  # type: ignore[arg-type]
    write_output(target, content.getvalue())
    return target


def import_files(
    files: Sequence[Path], output: Path, choices: Choices, leave_out: Sequence[str] = ()
) -> Layout:
    """Read files as one dataset and write it as a feature bundle.

    Several files are those of the arrays of one dataset. ``leave_out`` are kinds of findings whose rows are
    left out; see `bench.data.findings.without`.

    Returns:
        What was understood, with the splits as written.

    Raises:
        UsageError: if no file is given, or ``output`` does not end in ``.npz``.
        DataError: if they are no dataset, or can be read in two ways.
    """
    if not files:
        raise UsageError("give the files that hold the arrays")
    card: dict[str, Array] = {}
    if len(files) == 1:
        with opened(files[0], choices) as (source, stated):
            found = layout_of(source, stated)
            card = {_CARD: source.array(_CARD)} if _encodings(source) else {}
    else:
        with closing(Folder(files[0].parent, files, open_arrays)) as folder:
            found = layout_of(folder, choices)
    require_short_names(output, found.splits["train"])
    for kind in leave_out:
        found = replace(found, splits=without(found.splits, kind))
    _save(output, found.splits, found.names, card=card)
    return found


def require_short_names(where: Path | str, modalities: Iterable[str]) -> None:
    """Refuse modalities whose names no record can hold; raises `DataError`."""
    for name in modalities:
        if len(name) > LONGEST_NAME:
            longest = f"longer than {LONGEST_NAME} characters"
            raise DataError(f"{where}: modality {name[:20]}... has a name {longest}; shorten it")


def _arrays(split: Mapping[str, Any]) -> dict[str, Array]:
    """Return a split's arrays by their keys without the part."""
    found: dict[str, Array] = {}
    for name, value in split.items():
        if isinstance(value, Modality):
            found |= {name: value.features, f"{name}_labels": value.labels}
            found |= {} if value.ids is None else {f"{name}_ids": value.ids}
        else:
            found[name] = np.asarray(value)
    if isinstance(split, Split) and split.pairing != "partial":  # else the ids state which rows correspond
        found = {key: values for key, values in found.items() if not key.endswith("_ids")}
        found["paired"] = np.array(split.pairing == "natural")
    return found


def _encodings(source: ArrayFile) -> dict[str, Encoding]:
    """Return by which encoders the features were made, where ``data extract`` has written that down."""
    if _CARD not in source:
        return {}
    try:
        stated = json.loads(str(source.array(_CARD)))["modalities"]
        return {
            name: msgspec.convert({key: one[key] for key in ("kind", "encoder", "sha256")}, Encoding)
            for name, one in stated.items()
        }
    except (
        DataError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ):  # it is an array of another kind
        return {}


def _card(
    path: Path, splits: Mapping[str, Split], notes: list[str], made_by: Mapping[str, Encoding]
) -> DatasetCard:
    """Return the card of a feature bundle: what its arrays show, and its encoders."""
    train = splits["train"]
    modalities = tuple(
        ModalityCard(
            name,
            Fact("as given in the bundle", "confirmed"),
            Fact(train[name].dimension, "confirmed"),
            Fact((len(train[name]), len(splits["validation"][name]), len(splits["test"][name])), "confirmed"),
            "dense",
            made_by.get(name),
        )
        for name in train
    )
    return DatasetCard(
        name=path.stem,
        title=path.stem,
        modalities=modalities,
        n_classes=Fact(train.n_classes, "confirmed"),
        licence="the user's own",
        source=f"feature bundle {path.name}",
        multi_label=train.multi_label,
        paired=Fact(all(split.paired for split in splits.values()), "confirmed"),
        split="bundle",
        notes=tuple(notes),
    )
