"""Doctor: checks a dataset's files, compares their contents with its card, and states where to get them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench import registry
from bench.contract import BenchError, DataError, DatasetCard, DatasetLoader, FileCard
from bench.data.findings import findings
from bench.data.fingerprint import mismatch, sha256_of
from bench.data.loading import Source, What, is_bundle, offered_files, source_of
from bench.data.locations import data_folder, find_file, how_to_get
from bench.data.partition import PARTS

State = Literal["embedded", "complete", "damaged", "missing", "look-alike"]
"""``missing``: files are needed before it can be used; ``look-alike``: absent, and a stand-in is used."""

_SENTENCES = {
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
        path: of it; None if it is missing.
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
class Diagnosis:
    """The state of one dataset.

    Attributes:
        name: of the dataset.
        title: as printed.
        status: see `State`.
        files: what was found of each file.
        shapes: rows in train, validation and test, and width, of each modality that could be read.
        problem: what is wrong, in a sentence; empty where nothing is.
        advice: what to get from where and where to put it.
        notes: what a user should know, with every finding that departs from what the card supposes.
    """

    name: str
    title: str
    status: State
    files: tuple[FoundFile, ...] = ()
    shapes: Mapping[str, tuple[tuple[int, ...], int]] = field(default_factory=dict)
    problem: str = ""
    advice: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the state as a few lines of text."""
        lines = [f"{self.name}: {_SENTENCES[self.status]}"]
        lines += [f"  {self.problem}"] if self.problem else []
        lines += [f"  {file}" for file in self.files if file.path is not None]
        for name, (rows, width) in self.shapes.items():
            counts = "/".join(map(str, rows))
            lines.append(f"  {name}: {counts} rows (train/validation/test), {width} wide")
        lines += [f"  to do: {advice}" for advice in self.advice]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def diagnose(what: What, data_dir: str | Path | None = None) -> Diagnosis:
    """Find, digest, read and check a dataset's files; whatever goes wrong is part of the diagnosis."""
    name, card = str(what), None
    try:
        if isinstance(what, type):
            name, card = what.card.name, what.card
        elif not is_bundle(what):
            card = registry.dataset(name).card
        loader = what if isinstance(what, type) else None
        missing = None if card is None else _missing(card, loader, data_folder(data_dir))
        if missing is not None:
            return missing
        source = source_of(what, data_dir)
    except Exception as error:  # a dataset that cannot be diagnosed must not hinder the others
        status: State = "damaged" if card is not None or not isinstance(error, BenchError) else "missing"
        return Diagnosis(name, name if card is None else card.title, status, problem=_sentence(error))
    return _of_files(source, card)


def _missing(card: DatasetCard, loader: type[DatasetLoader] | None, folder: Path) -> Diagnosis | None:
    """Return the diagnosis of a dataset of which files are missing; None where none is."""
    found = {file.name: find_file(card, file, folder) for file in card.files}
    missing = [file for file in card.files if found[file.name] is None]
    if not missing:
        return None
    stands_in = card.has_look_alike and len(missing) == len(card.files)
    return Diagnosis(
        card.name,
        card.title,
        "look-alike" if stands_in else "missing",
        tuple(_file(file.name, found[file.name], file) for file in card.files),
        problem="" if stands_in else f"{', '.join(file.name for file in missing)} not found",
        advice=tuple(how_to_get(card, file, folder) for file in missing),
        notes=(*card.notes, *offered_files(card, loader, folder)),
    )


def _of_files(source: Source, card: DatasetCard | None) -> Diagnosis:
    """Return the diagnosis of a dataset whose files are all there."""
    title = source.name if card is None else card.title
    cards = {} if card is None else {file.name: file for file in card.files}
    files = tuple(_file(name, path, cards.get(name)) for name, path in source.files.items())
    remarks = tuple(f"{file.name}: {file.remark}" for file in files if file.remark)
    try:
        seen, splits, _ = source.read()
    except Exception as error:  # see `diagnose`
        origins = tuple(f"{file.name} comes from {file.origin}" for file in cards.values())
        return Diagnosis(
            source.name, title, "damaged", files, problem=_sentence(error), advice=origins, notes=remarks
        )
    shapes = {
        name: (tuple(len(splits[part][name]) for part in PARTS), one.dimension)
        for name, one in splits["train"].items()
    }
    status: State = "embedded" if card is not None and not cards else "complete"
    notes = (*seen.notes, *remarks, *map(str, findings(splits, source.path)))
    return Diagnosis(source.name, title, status, files, shapes, notes=notes)


def _file(name: str, path: Path | None, card: FileCard | None) -> FoundFile:
    """Return what is found of a file: its size, its digest, and how it differs from its card."""
    if path is None:
        return FoundFile(name, None)
    try:
        remark = mismatch(card, path) if card is not None else None
        return FoundFile(name, path, path.stat().st_size, sha256_of(path), remark or "")
    except DataError:  # no regular file, which is the problem that reading it states
        return FoundFile(name, path)
    except OSError as error:
        return FoundFile(name, path, remark=f"cannot be read ({error.strerror or error})")


def _sentence(error: Exception) -> str:
    """Return an error as a sentence; an unexpected one with its type."""
    if isinstance(error, BenchError):
        return str(error)
    return f"an unexpected {type(error).__name__} while reading it: {error}"
