"""Datasets by name or path: their files, embedded data or look-alike; opened, checked and summarised."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench import registry
from bench.contract import (
    Array,
    BenchError,
    DataError,
    DataKind,
    Dataset,
    DatasetCard,
    DatasetLoader,
    Items,
    Split,
    UsageError,
)
from bench.contract.errors import words_of
from bench.data.bundle import (
    ENDINGS,
    LONGEST_NAME,
    Bundle,
    bundle_files,
    layout_facts,
    read_bundle,
    require_short_names,
)
from bench.data.checks import check_splits
from bench.data.findings import findings
from bench.data.fingerprint import content_fingerprint
from bench.data.formats import is_file, is_folder, is_other, require_regular
from bench.data.locations import data_folder, files_below, find_file, how_to_get, path_of, similar_files
from bench.data.look_alike import look_alike, rule_digest
from bench.data.partition import RowLimits, capped, capped_rows, row_limits

What = type[DatasetLoader] | str | Path
"""A dataset: its loader's class, its registry name, or the path of a feature bundle."""


@dataclass(frozen=True)
class Source:
    """The files that a dataset's name or path denotes; nothing of them is read yet.

    Attributes:
        name: of the dataset: registry name, or a bundle's stem.
        kind: ``real`` where there are files, ``look-alike`` where a generating rule replaces them.
        files: the files to read, by the card's name for them; empty for a look-alike.
        card: of a registered dataset; None for a feature bundle.
        loader: class that reads the files, if it is at hand; else the registry imports it.
        path: of a feature bundle: a file, a folder or a recipe; None for a registered dataset.
    """

    name: str
    kind: DataKind
    files: Mapping[str, Path]
    card: DatasetCard | None
    loader: type[DatasetLoader] | None = None
    path: Path | None = None

    def new_loader(self) -> DatasetLoader:
        """Return a loader of a registered dataset.

        Raises:
            PluginError: if its file cannot be imported.
        """
        return (self.loader or registry.dataset_loader(self.name))()

    def fingerprint(self, limits: RowLimits | None, cache: Path | None = None) -> str:
        """Return the SHA-256 of what decides the rows: contents of the files, or a look-alike's rule.

        Raises:
            DataError: if a file cannot be read.
        """
        if self.kind == "look-alike" and self.card is not None:
            return rule_digest(self.card, limits)
        layout = None if self.path is None else layout_facts(self.path)
        return content_fingerprint(self.card, self.files, limits, cache, layout)

    def read(self) -> Bundle:
        """Read and check real files, without any limit; the card has notes on what differs from it.

        Raises:
            DataError: if a file is damaged or not what the card is sure of, or the loader fails in any way.
        """
        if self.card is None:
            assert self.path is not None  # as it is a bundle
            return read_bundle(self.path)
        where = ", ".join(str(path) for path in self.files.values())
        try:
            splits = self.new_loader().read(dict(self.files))
            notes = check_splits(self.card, splits, where)
        except Exception as error:  # a fault of a dataset's plug-in costs its cells alone
            if isinstance(error, (BenchError, MemoryError)) and not isinstance(error, UsageError):
                raise
            reason = f"its loader fails with {type(error).__name__}: {words_of(error)}"
            raise DataError(f"{self.name}: {reason}; correct the loader, or the file {where}") from error
        return Bundle(replace(self.card, notes=self.card.notes + notes), splits, ())

    def items(
        self, test: Split, kept: Mapping[str, Array] | None, classes: tuple[str, ...]
    ) -> Callable[[], Items]:
        """Return what opens the pictures and texts of the test rows, of which a limit left those ``kept``."""
        if self.card is None:
            return lambda: Items(classes=classes)
        counts, n_classes = {name: len(modality) for name, modality in test.items()}, test.n_classes

        def opened() -> Items:
            items = self.new_loader().items(dict(self.files))
            items.check(counts, n_classes)
            return items if kept is None else items.take(kept)

        return opened


@dataclass(frozen=True)
class DatasetSummary:
    """What planning needs of a dataset that was opened and checked; plain data for another process.

    Attributes:
        given: name or path as given.
        name: registry name, or a bundle's stem.
        kind: ``real`` or ``look-alike``.
        fingerprint: digest of the content, or of the generating rule.
        modalities: names, in the dataset's order.
        n_classes: number of classes.
        rows: by part and modality, under the profile's limits; empty for a look-alike, which is not made.
        notes: of the card, with what differs from its suppositions.
        findings: what changes the meaning of numbers, a sentence each; see `bench.data.findings`.
    """

    given: str
    name: str
    kind: DataKind
    fingerprint: str
    modalities: tuple[str, ...]
    n_classes: int
    rows: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...]
    findings: tuple[str, ...] = ()


def open_and_check(
    name_or_path: str | Path,
    data_dir: str | Path | None = None,
    profile: str = "quick",
    cache: Path | None = None,
) -> DatasetSummary:
    """Open a dataset, check all of it, and return its fingerprint and a summary: the task of a worker.

    Arguments are those of `fingerprint_of`.

    Raises:
        UsageError: if there is no such dataset, bundle or profile.
        DataError: if a file is missing or damaged, or its loader fails in any way.
        PluginError: if the loader's file cannot be imported.
    """
    source = source_of(name_or_path, data_dir)
    limits = row_limits(profile, source.kind)
    digest = source.fingerprint(limits, cache)
    rows: dict[str, dict[str, int]] = {}
    if source.kind == "look-alike" and source.card is not None:
        card = source.card
        severe = offered_files(card, source.loader, data_folder(data_dir))
    else:
        card, splits, _ = source.read()
        severe = [str(finding) for finding in findings(splits, source.path) if finding.severe]
        most = None if limits is None else limits.rows(card.n_classes.value)
        for part, split in splits.items():
            rows[part] = {
                name: min(len(one), most[part] if most else len(one)) for name, one in split.items()
            }
    modalities = tuple(modality.name for modality in card.modalities)
    require_short_names(name_or_path, modalities)
    return DatasetSummary(
        *(str(name_or_path), source.name, source.kind, digest),
        modalities,
        *(card.n_classes.value, rows, card.notes, tuple(severe)),
    )


def load_dataset(what: What, data_dir: str | Path | None = None, *, profile: str = "quick") -> Dataset:
    """Load a dataset by its name, or a feature bundle by its path.

    Real data is not changed, except for the profile's row limits, which are a stratified draw with a
    fixed seed. If a benchmark's files are absent, a look-alike replaces it, and ``kind`` states it; a
    damaged file is an error and is never replaced.

    Args:
        what: such as ``"emoji"``, ``"wikipedia"`` or ``"my/features.npz"``; or a loader's class.
        data_dir: data folder; None for that of BENCH_DATA, or ``data`` in the working folder.
        profile: ``quick`` limits rows (and a look-alike's width), ``paper`` takes everything.

    Raises:
        UsageError: if there is no such dataset, bundle or profile.
        DataError: if a file is damaged, or is missing and there is no look-alike.
    """
    source = source_of(what, data_dir)
    limits = row_limits(profile, source.kind)
    digest = source.fingerprint(limits)
    open_items: Callable[[], Items] = Items
    if source.kind == "look-alike" and source.card is not None:
        card = source.card
        splits: Mapping[str, Split] = look_alike(card, limits)
    else:
        card, splits, classes = source.read()
        whole, kept = splits["test"], None
        if limits is not None:
            most = limits.rows(card.n_classes.value)
            kept = capped_rows(whole, "test", most["test"])
            splits = {part: capped(split, part, most[part]) for part, split in splits.items()}
        open_items = source.items(whole, kept, classes)
    test, gallery = splits["test"], splits.get("gallery")
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
        open_gallery=None if gallery is None else lambda: gallery,
    )


def card_of(name_or_path: str | Path) -> DatasetCard:
    """Return a dataset's card.

    Raises:
        UsageError: if there is no such dataset or bundle.
        DataError: if a bundle cannot be read.
    """
    if is_bundle(name_or_path):
        return source_of(name_or_path).read().card
    return registry.dataset(str(name_or_path)).card


def fingerprint_of(
    name_or_path: str | Path,
    data_dir: str | Path | None = None,
    profile: str = "quick",
    cache: Path | None = None,
) -> tuple[DataKind, str]:
    """Return a dataset's kind and fingerprint, the same as `load_dataset` gives it, without loading an array.

    The row limits of the profile are part of it. ``cache`` is a JSON file that remembers digests.

    Raises:
        UsageError: if there is no such dataset, bundle or profile.
        DataError: if files are missing and nothing replaces them, or one cannot be read.
    """
    source = source_of(name_or_path, data_dir)
    return source.kind, source.fingerprint(row_limits(profile, source.kind), cache)


def offered_files(card: DatasetCard, loader: type[DatasetLoader] | None, folder: Path) -> list[str]:
    """Return a sentence for each file below the data folder that may be a missing one, by name or content.

    Contents are looked at where no name is alike: the loader reads a file of another name without an error.
    """
    named = similar_files(card, folder)
    if named or len(card.files) != 1:
        return named
    (file,) = card.files
    endings = (*ENDINGS, Path(file.name).suffix)
    for path in files_below(folder):
        if path.name.lower().endswith(endings):
            try:
                Source(card.name, "real", {file.name: path}, card, loader).read()
            except (BenchError, MemoryError):
                continue
            where = path_of(card, file, folder)
            return [f"{path} has the arrays of {file.name}; if it is that file, move it to {where}"]
    return []


def source_of(what: What, data_dir: str | Path | None = None) -> Source:
    """Find a dataset's files; nothing is imported.

    Raises:
        UsageError: if there is no such dataset or bundle.
        DataError: if its files are missing and nothing replaces them.
    """
    loader = what if isinstance(what, type) else None
    if isinstance(what, str | Path) and is_bundle(what):
        return _source_of_bundle(bundle_path(what))
    found = loader or registry.dataset(str(what))
    card, folder = found.card, data_folder(data_dir)
    paths = {file.name: find_file(card, file, folder) for file in card.files}
    present = {name: path for name, path in paths.items() if path is not None}
    missing = [file for file in card.files if paths[file.name] is None]
    if not missing:
        files = {**present, **{name: Path(path) for name, path in found.embedded.items()}}
        if not files:
            raise DataError(f"{card.name}: its loader names neither files nor embedded data")
        return Source(card.name, "real", files, card, loader)
    if card.has_look_alike and not present:
        return Source(card.name, "look-alike", {}, card, loader)
    raise DataError(
        f"{card.name} needs {', '.join(file.name for file in missing)}, which is in neither "
        f"{folder / card.name} nor {folder}. {how_to_get(card, missing[0], folder)}"
    )


def _source_of_bundle(path: Path) -> Source:
    """Return the source of a feature bundle; raises UsageError or DataError if it cannot be one."""
    if len(path.stem) > LONGEST_NAME:
        longest = f"longer than {LONGEST_NAME} characters"
        raise UsageError(f"the name of {path} is {longest}; give the file a shorter one")
    if is_other(path):
        require_regular(path)
    return Source(path.stem, "real", bundle_files(path), None, path=path)


def bundle_path(text: str | Path) -> Path:
    """Return the path of a feature bundle, with ``~`` expanded, whether or not it can be read.

    Raises:
        UsageError: if nothing is there; suggests files with similar names.
    """
    path = Path(text).expanduser()
    if os.path.exists(path):  # noqa: PTH110 - `Path.exists` raises an error for a long path
        return path
    beside = path.parent.glob("*") if is_folder(path.parent) else ()
    files = [file for file in beside if file.suffix.lower() in ENDINGS and is_file(file)]
    near = registry.suggestion(path.name, [file.name for file in files])
    raise UsageError(
        f"there is no file or folder {path}{near}; give the path of a file of arrays, such as .npz, or of a "
        "folder of them"
    )


def is_bundle(name_or_path: str | Path) -> bool:
    """Tell a bundle's path from a registry name."""
    text = str(name_or_path)
    return (
        isinstance(name_or_path, Path)
        or text.lower().endswith(ENDINGS)
        or os.sep in text
        or "/" in text
        or (bool(text) and text not in registry.dataset_names() and os.path.exists(text))  # noqa: PTH110
    )
