"""Examines a dataset: what is there, whether it is whole, and what to get from where if not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.contract import BenchError, DatasetCard, DatasetLoader, FileCard, Split
from bench.data.caps import PARTS
from bench.data.fingerprint import sha256_of
from bench.data.loading import read_source
from bench.data.published import mismatch
from bench.data.source import Source, data_folder, find_file, how_to_get, source_of, source_of_loader

Condition = Literal["embedded", "complete", "damaged", "missing", "look-alike"]
"""``missing``: files are needed before it can be used; ``look-alike``: absent, and a stand-in is used."""


_WORDS = {
    "embedded": "embedded, complete",
    "complete": "complete",
    "damaged": "DAMAGED",
    "missing": "missing",
    "look-alike": "its files are not here, a LOOK-ALIKE stands in",
}


@dataclass(frozen=True)
class FoundFile:
    """One file of a dataset.

    Attributes:
        name: as its card calls it.
        path: where it lies; None if it does not.
        size: in bytes.
        sha256: of its content.
        remark: how it differs from the published file; empty where it does not or that is not known.
    """

    name: str
    path: Path | None
    size: int | None = None
    sha256: str | None = None
    remark: str = ""

    def __str__(self) -> str:
        """Return path, size and digest on a line."""
        size = "" if self.size is None else f", {self.size} bytes"
        return f"{self.path}{size}" + (f", SHA-256 {self.sha256}" if self.sha256 else "")


@dataclass(frozen=True)
class FoundShape:
    """Rows and width of one modality in one split, against the card.

    Attributes:
        part: ``train``, ``validation`` or ``test``.
        modality: its name.
        shape: rows and width found.
        expected: rows and width by the card; None where it does not say.
    """

    part: str
    modality: str
    shape: tuple[int, int]
    expected: tuple[int | None, int | None]


@dataclass(frozen=True)
class Finding:
    """What an examination brought to light.

    Attributes:
        name: of the dataset.
        title: as printed.
        status: see `Condition`.
        files: what was found of each file.
        shapes: what was found in them, where they could be read.
        problem: what is wrong, in a sentence; empty where nothing is.
        advice: what to get from where and where to put it.
        notes: what a user should know, with every finding that departs from what the card supposes.
    """

    name: str
    title: str
    status: Condition
    files: tuple[FoundFile, ...] = ()
    shapes: tuple[FoundShape, ...] = ()
    problem: str = ""
    advice: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the finding as a few lines of text."""
        lines = [f"{self.name}: {_WORDS[self.status]}"]
        lines += [f"  {self.problem}"] if self.problem else []
        lines += [f"  {file}" for file in self.files if file.path is not None]
        by_modality: dict[str, list[FoundShape]] = {}
        for shape in self.shapes:
            by_modality.setdefault(shape.modality, []).append(shape)
        for name, shapes in by_modality.items():
            rows = "/".join(str(shape.shape[0]) for shape in shapes)
            lines.append(f"  {name}: {rows} rows (train/validation/test), {shapes[0].shape[1]} wide")
        lines += [f"  to do: {advice}" for advice in self.advice]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def examine(what: type[DatasetLoader] | str | Path, data_dir: str | Path | None = None) -> Finding:
    """Examine a dataset's files thoroughly: they are found, digested, read and checked. Never raises.

    Args:
        what: a loader's class, a registry name, or the path of a feature bundle.
        data_dir: data folder; None for the default one.
    """
    try:
        if isinstance(what, type):
            return _examine_loader(what, data_folder(data_dir))
        source = source_of(what, data_dir)
    except BenchError as error:
        if isinstance(what, (str, Path)):
            return _examine_named(what, data_dir, str(error))
        return Finding(what.card.name, what.card.title, "damaged", problem=str(error))
    except Exception as error:  # a doctor that dies of a patient is of no use to the others
        return Finding(_name(what), _name(what), "damaged", problem=_unexpected(error))
    if source.loader is not None:
        return examine(source.loader, data_dir)
    return _examine_source(source, None, ())


def _examine_named(what: str | Path, data_dir: str | Path | None, problem: str) -> Finding:
    """Examine a registered dataset whose files are not all there; anything else does not exist."""
    try:
        from bench.registry import dataset_loader

        return examine(dataset_loader(str(what)), data_dir)
    except Exception:  # the name itself is wrong: the first problem says so
        return Finding(_name(what), _name(what), "missing", problem=problem)


def _examine_loader(loader: type[DatasetLoader], folder: Path) -> Finding:
    card = loader.card
    found = {file.name: find_file(card, file, folder) for file in card.files}
    missing = [file for file in card.files if found[file.name] is None]
    if missing:
        advice = tuple(how_to_get(card, file, folder) for file in missing)
        stands_in = card.has_look_alike and len(missing) == len(card.files)
        return Finding(
            card.name,
            card.title,
            "look-alike" if stands_in else "missing",
            tuple(_file(found[file.name], file) for file in card.files),
            problem="" if stands_in else f"{', '.join(file.name for file in missing)} not found",
            advice=advice,
            notes=card.notes,
        )
    return _examine_source(source_of_loader(loader, folder), card, card.files)


def _examine_source(source: Source, card: DatasetCard | None, cards: tuple[FileCard, ...]) -> Finding:
    title = source.name if card is None else card.title
    by_name = {file.name: file for file in cards}
    files = tuple(_file(path, by_name.get(name), name) for name, path in source.files.items())
    remarks = tuple(f"{file.name}: {file.remark}" for file in files if file.remark)
    try:
        seen, splits = read_source(source)
    except Exception as error:  # see `examine`
        problem = str(error) if isinstance(error, BenchError) else _unexpected(error)
        origins = tuple(f"{file.name} comes from {file.origin}" for file in cards)
        return Finding(source.name, title, "damaged", files, problem=problem, advice=origins, notes=remarks)
    status: Condition = "embedded" if card is not None and not cards else "complete"
    return Finding(
        source.name, title, status, files, shapes=_shapes(seen, splits), notes=seen.notes + remarks
    )


def _file(path: Path | None, card: FileCard | None, name: str = "") -> FoundFile:
    name = name or (card.name if card is not None else "")
    if path is None:
        return FoundFile(name, None)
    try:
        remark = mismatch(card, path) if card is not None else None
        return FoundFile(name, path, path.stat().st_size, sha256_of(path), remark or "")
    except OSError as error:
        return FoundFile(name, path, remark=f"cannot be read ({error.strerror or error})")


def _shapes(card: DatasetCard, splits: Mapping[str, Split]) -> tuple[FoundShape, ...]:
    shapes: list[FoundShape] = []
    for modality in card.modalities:
        for index, part in enumerate(PARTS):
            found = splits[part][modality.name]
            rows = None if modality.rows.value is None else modality.rows.value[index]
            expected = (rows, modality.dimension.value)
            shapes.append(FoundShape(part, modality.name, (len(found), found.dimension), expected))
    return tuple(shapes)


def _name(what: type[DatasetLoader] | str | Path) -> str:
    return what.__name__ if isinstance(what, type) else str(what)


def _unexpected(error: Exception) -> str:
    return f"an unexpected {type(error).__name__} while reading it: {error}"
