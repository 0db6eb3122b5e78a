"""Opens a dataset: real files, embedded data, a feature bundle, or a look-alike that says it is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.contract import Array, Dataset, DatasetCard, DatasetLoader, Items, Split
from bench.data.bundle import bundle_card, read_bundle
from bench.data.caps import PARTS, caps_of
from bench.data.checks import check_splits
from bench.data.fingerprint import fingerprint
from bench.data.look_alike import look_alike
from bench.data.partition import capped, capped_rows
from bench.data.source import Source, is_bundle, source_of, source_of_loader


def load_dataset(
    name_or_path: str | Path, data_dir: str | Path | None = None, *, profile: str = "quick"
) -> Dataset:
    """Load a dataset by its name, or a feature bundle by its path.

    Real data is never altered but for the profile's row limits, which are a stratified draw with a
    fixed seed. Where a benchmark's files are absent a look-alike stands in, and ``kind`` says so; a
    file that is there but damaged is an error, never replaced.

    Args:
        name_or_path: such as ``"emoji"``, ``"wikipedia"`` or ``"my/features.npz"``.
        data_dir: data folder; None for that of BENCH_DATA, or ``data`` in the working folder.
        profile: ``quick`` caps rows (and a look-alike's width), ``paper`` takes everything.

    Raises:
        UsageError: if there is no such dataset, bundle or profile.
        DataError: if a file is missing with nothing to stand in, or is damaged.
    """
    return _load(source_of(name_or_path, data_dir), profile)


def load_from(
    loader: type[DatasetLoader], data_dir: str | Path | None = None, profile: str = "quick"
) -> Dataset:
    """Load a dataset by its loader's class; everything else as in `load_dataset`."""
    return _load(source_of_loader(loader, data_dir), profile)


def card_of(name_or_path: str | Path) -> DatasetCard:
    """Return a dataset's card without reading features.

    Raises:
        UsageError: if there is no such dataset or bundle.
        DataError: if a bundle's labels or shapes are wrong.
    """
    if is_bundle(name_or_path):
        return bundle_card(source_of(name_or_path).files[Path(name_or_path).name])
    from bench.registry import dataset_loader

    return dataset_loader(str(name_or_path)).card


def read_source(source: Source) -> tuple[DatasetCard, dict[str, Split]]:
    """Read and check a source's real files, without any limit.

    Returns:
        The card, with notes on what differs from its suppositions, and the three splits.

    Raises:
        DataError: if a file is damaged or not what the card is sure of.
    """
    if source.loader is None:
        return read_bundle(next(iter(source.files.values())))
    card = source.loader.card
    splits = source.loader().read(dict(source.files))
    notes = check_splits(card, splits, ", ".join(str(path) for path in source.files.values()))
    return replace(card, notes=card.notes + notes), splits


def _load(source: Source, profile: str) -> Dataset:
    caps = caps_of(profile, source.kind)
    digest = fingerprint(source, caps)
    open_items: Callable[[], Items] = Items
    if source.kind == "look-alike" and source.loader is not None:
        card: DatasetCard = source.loader.card
        splits: Mapping[str, Split] = look_alike(card, caps)
    else:
        card, splits = read_source(source)
        whole, kept = splits["test"], None
        if caps is not None:
            limits = caps.rows(card.n_classes.value)
            kept = capped_rows(whole, "test", limits["test"])
            splits = {part: capped(splits[part], part, limits[part]) for part in PARTS}
        counts = {name: len(modality) for name, modality in whole.items()}
        open_items = partial(_items, source, counts, whole.n_classes, kept)
    test = splits["test"]
    return Dataset(
        name=source.name,
        card=card,
        train=splits["train"],
        validation=splits["validation"],
        kind=source.kind,
        fingerprint=digest,
        split=card.split,
        open_test=lambda: test,
        open_items=open_items,
    )


def _items(
    source: Source, counts: Mapping[str, int], n_classes: int, kept: Mapping[str, Array] | None
) -> Items:
    """Return what a dataset shows of its test rows.

    Args:
        source: real files.
        counts: test rows by modality, before any limit.
        n_classes: number of classes.
        kept: the rows that a limit left of each modality; None for all.

    Raises:
        PluginError: if they are not of these rows.
    """
    if source.loader is None:
        return Items()
    items = source.loader().items(dict(source.files))
    items.check(counts, n_classes)
    return items if kept is None else items.take(kept)
