"""Feature bundles: a user's dataset as one .npz file, without code.

Keys are ``{train,validation,test}_{modality}`` for features ``(n, d)`` and the same with ``_labels`` for
class numbers ``(n,)`` or 0/1 matrices ``(n, C)``. Without validation keys, a stratified 15 % of the
training rows is cut off. Rows are pairs where all modalities have equally many and equal labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.contract import Array, DataError, DatasetCard, Fact, Modality, ModalityCard, Split
from bench.data.checks import class_numbers, feature_matrix, label_matrix
from bench.data.containers import Npz, container_of
from bench.data.partition import PARTS, stratified_validation

_LABELS = "_labels"
_MOST_CLASSES = 100_000
_NEAR_MISSES = ("valid_", "val_", "dev_", "eval_", "training_", "testing_", "tr_", "te_")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

Labels = dict[str, dict[str, Array]]


def read_bundle(path: Path) -> tuple[DatasetCard, dict[str, Split]]:
    """Read and check a feature bundle.

    Returns:
        A card with what was found, and the splits train, validation and test.

    Raises:
        DataError: if a key is missing or unknown, or an array is not as described above.
    """
    with _opened(path) as bundle:
        parts = _layout(bundle)
        labels, n_classes = _read_labels(bundle, parts)
        splits = {part: _read_split(bundle, part, labels[part], n_classes) for part in parts}
    _require_equal_widths(path, splits)
    if "validation" not in splits:
        splits["train"], splits["validation"] = stratified_validation(splits["train"])
    return _card(path, splits), {part: splits[part] for part in PARTS}


def bundle_card(path: Path) -> DatasetCard:
    """Return a bundle's card from its labels and the headers of its features alone.

    Raises:
        DataError: as for `read_bundle`, as far as labels and shapes tell.
    """
    with _opened(path) as bundle:
        parts = _layout(bundle)
        labels, n_classes = _read_labels(bundle, parts)
        widths = {name: bundle.shape(f"train_{name}")[-1] for name in labels["train"]}
    # Rows of width 0 stand in for the features: only counts and labels matter for a card.
    splits = {
        part: _split(
            {name: Modality(np.empty((len(rows), 0)), rows) for name, rows in found.items()}, n_classes
        )
        for part, found in labels.items()
    }
    if "validation" not in splits:
        splits["train"], splits["validation"] = stratified_validation(splits["train"])
    return _card(path, splits, widths)


def bundle_modalities(path: Path) -> tuple[str, ...]:
    """Return the names of a bundle's modalities, in the file's order.

    Raises:
        DataError: if its keys are not as described above.
    """
    with _opened(path) as bundle:
        return tuple(_layout(bundle)["train"])


def _opened(path: Path) -> _Closing:
    if container_of(path) != "npz":
        raise DataError(f"{path}: a feature bundle must be an .npz file, as numpy.savez writes it")
    return _Closing(path)


class _Closing(Npz):
    """An open bundle that closes at the end of a ``with`` block."""

    def __enter__(self) -> _Closing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _layout(bundle: Npz) -> dict[str, list[str]]:
    """Return the modalities of each part that the bundle has."""
    found: dict[str, list[str]] = {}
    keys = bundle.keys()
    for key in keys:
        part, _, name = key.partition("_")
        if key.startswith(_NEAR_MISSES):
            raise DataError(f"{bundle.where(key)}: unknown; parts are called {', '.join(PARTS)}")
        if part not in PARTS or key.endswith(_LABELS):
            continue
        if not _NAME.fullmatch(name):
            raise DataError(
                f"{bundle.where(key)}: {name!r} is no name for a modality; use letters and digits"
            )
        found.setdefault(part, []).append(name)
    for part in ("train", "test"):
        if part not in found:
            raise DataError(
                f"{bundle.path}: no {part} features; a feature bundle has keys such as '{part}_image' and "
                f"'{part}_image_labels', this file has {', '.join(keys[:8]) or 'none'}"
            )
    names = found["train"]
    for part in [part for part in PARTS if part in found]:
        if set(found[part]) != set(names):
            raise DataError(f"{bundle.path}: train has the modalities {names}, {part} has {found[part]}")
    if len(names) < 2:
        raise DataError(
            f"{bundle.path}: only the modality {names[0]!r}; retrieval across modalities needs two"
        )
    return {part: names for part in PARTS if part in found}


def _read_labels(bundle: Npz, parts: Mapping[str, list[str]]) -> tuple[Labels, int]:
    raw = {
        (part, name): bundle.array(f"{part}_{name}{_LABELS}")
        for part, names in parts.items()
        for name in names
    }
    shapes = {values.ndim for values in raw.values()}
    if shapes == {2}:
        labels, n_classes = _multi_label(bundle, raw)
    elif shapes == {1}:
        labels, n_classes = _single_label(bundle, raw)
    else:
        found = ", ".join(f"{part}_{name}{_LABELS} {values.shape}" for (part, name), values in raw.items())
        raise DataError(
            f"{bundle.path}: labels must all be class numbers (n,) or all 0/1 matrices (n, C), found {found}"
        )
    nested: Labels = {part: {} for part in parts}
    for (part, name), values in labels.items():
        nested[part][name] = values
    return nested, n_classes


def _single_label(
    bundle: Npz, raw: Mapping[tuple[str, str], Array]
) -> tuple[dict[tuple[str, str], Array], int]:
    labels: dict[tuple[str, str], Array] = {}
    for (part, name), values in raw.items():
        where = bundle.where(f"{part}_{name}{_LABELS}")
        labels[part, name] = class_numbers(values, where, _MOST_CLASSES, whole_floats=False)
    present = np.unique(np.concatenate(list(labels.values())))
    n_classes = int(present[-1]) + 1
    if len(present) != n_classes:
        absent = int(np.setdiff1d(np.arange(n_classes), present)[0])
        advice = "are they counted from 1? Subtract 1" if absent == 0 else "number the classes without gaps"
        raise DataError(
            f"{bundle.path}: labels reach from {present[0]} to {present[-1]}, but no row is of class "
            f"{absent}; {advice}"
        )
    return labels, n_classes


def _multi_label(
    bundle: Npz, raw: Mapping[tuple[str, str], Array]
) -> tuple[dict[tuple[str, str], Array], int]:
    labels: dict[tuple[str, str], Array] = {
        (part, name): label_matrix(values, bundle.where(f"{part}_{name}{_LABELS}"))
        for (part, name), values in raw.items()
    }
    widths = {values.shape[1] for values in labels.values()}
    if len(widths) != 1:
        raise DataError(
            f"{bundle.path}: label matrices have {sorted(widths)} columns; all need one per class"
        )
    return labels, widths.pop()


def _read_split(bundle: Npz, part: str, labels: Mapping[str, Array], n_classes: int) -> Split:
    modalities: dict[str, Modality] = {}
    for name, targets in labels.items():
        key = f"{part}_{name}"
        features = feature_matrix(bundle.array(key), bundle.where(key))
        if len(features) != len(targets):
            raise DataError(
                f"{bundle.where(key)}: {len(features)} rows, but {len(targets)} labels in '{key}{_LABELS}'"
            )
        modalities[name] = Modality(features, targets)
    return _split(modalities, n_classes)


def _split(modalities: dict[str, Modality], n_classes: int) -> Split:
    first, *others = [modality.labels for modality in modalities.values()]
    paired = all(np.array_equal(first, labels) for labels in others)
    return Split(modalities, n_classes, "natural" if paired else "none")


def _require_equal_widths(path: Path, splits: Mapping[str, Split]) -> None:
    for name in splits["train"]:
        widths = {part: split[name].dimension for part, split in splits.items()}
        if len(set(widths.values())) != 1:
            raise DataError(f"{path}: features of {name!r} have different widths: {widths}")


def _card(path: Path, splits: Mapping[str, Split], widths: Mapping[str, int] | None = None) -> DatasetCard:
    train = splits["train"]
    modalities = tuple(
        ModalityCard(
            name,
            Fact("as given in the bundle", "confirmed"),
            Fact(train[name].dimension if widths is None else widths[name], "confirmed"),
            Fact((len(train[name]), len(splits["validation"][name]), len(splits["test"][name])), "confirmed"),
            "dense",
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
    )
