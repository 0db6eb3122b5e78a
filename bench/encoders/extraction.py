"""Extraction: a table of raw items becomes a feature bundle, batch by batch, resumable after a kill."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.atomic import write_output
from bench.contract import DataError, UsageError
from bench.data.formats.folder import Renamed
from bench.data.roles import roles_of
from bench.encoders.contract import Encoder, Features, Kind
from bench.encoders.reading import read_picture, read_sound
from bench.encoders.table import PARTS, Rows, Table, is_absent

FORMAT: Final = 1
CARD_KEY: Final = "card"
CLASSES_KEY: Final = "class_names"
_LIBRARIES: Final = ("numpy", "pillow", "scikit-learn", "scipy", "torch", "transformers", "tokenizers")

Report = Callable[[str, int, int], None]
"""Called with the modality, the items done, and the items of the modality."""


@dataclass(frozen=True)
class Wanted:
    """A modality to make.

    Attributes:
        name: of the modality.
        column: of the table, with paths (below the table's folder) or texts.
        encoder: ready to use.
        given: the encoder as it was named, with its settings.
    """

    name: str
    column: str
    encoder: Encoder[Any]
    given: str


@dataclass(frozen=True)
class Options:
    """How items are read and encoded.

    Attributes:
        batch: items that are encoded at once; part of what decides the last bits of features.
        skip_broken: leave out items that cannot be read, and count them, instead of stopping at the first.
        allow_outside: take absolute paths and paths that lead out of the table's folder.
    """

    batch: int = 32
    skip_broken: bool = False
    allow_outside: bool = False


@dataclass(frozen=True)
class Extracted:
    """What was made.

    Attributes:
        rows: by part and modality.
        skipped: broken items by modality, with the first reason.
        card: as in the bundle.
    """

    rows: dict[str, dict[str, int]]
    skipped: dict[str, tuple[int, str]]
    card: dict[str, Any]


@dataclass(frozen=True)
class _Made:
    """A modality: features of the rows of the table that have it, each item once for each id."""

    features: Features
    rows: NDArray[np.intp]
    skipped: int = 0
    reason: str = ""


@dataclass(frozen=True)
class _Items:
    """The items of a modality: their rows in the table, cells, and paths (none of texts)."""

    table: Table
    kind: Kind
    rows: Sequence[int]
    cells: Sequence[Any]
    paths: Sequence[Path]

    def state(self, i: int) -> str:
        """Return what changes when an item changes: a text itself, or path, size and time of a file."""
        return _state(self.paths[i]) if self.paths else str(self.cells[i])

    def read_all(self, at: Sequence[int], *, skip_broken: bool) -> tuple[list[Any], NDArray[np.bool_], str]:
        """Return the items that can be read, which of all ``at`` these are, and the first reason why not all.

        Raises:
            DataError: if one cannot be read and is not to be skipped.
        """
        read: list[Any] = []
        kept = np.ones(len(at), dtype=bool)
        reason = ""
        for index, i in enumerate(at):
            try:
                read.append(self._read(i))
            except DataError as error:
                if not skip_broken:
                    raise DataError(
                        f"{error}; repair it, or leave such items out with --skip-broken"
                    ) from error
                kept[index] = False
                reason = reason or str(error)
        return read, kept, reason

    def _read(self, i: int) -> Any:
        """Return an item: a text, picture or sound; raises DataError with its row."""
        if self.kind == "text":
            return str(self.cells[i])
        try:
            return read_picture(self.paths[i]) if self.kind == "image" else read_sound(self.paths[i])
        except DataError as error:
            noun = "picture" if self.kind == "image" else "sound"
            where = f"{self.table.where(self.rows[i])}: {noun} {str(self.cells[i])[:80]!r}"
            raise DataError(f"{where}: {error}") from error


def extract(
    table: Table, rows: Rows, wanted: Sequence[Wanted], output: Path, options: Options, report: Report
) -> Extracted:
    """Encode all items of a table and write the features as a bundle.

    Finished batches are kept in a folder beside the output until the bundle is whole; the same call continues
    there. The same input gives the same bytes.

    Raises:
        DataError: if an item cannot be read and is not to be skipped, a modality has no item in a part, or
            another process makes the same bundle.
        UsageError: if a path leads out of the table's folder, or no bundle can have a modality of some name.
    """
    from filelock import FileLock, Timeout

    if output.suffix != ".npz":
        raise UsageError(f"{output}: the output must be an .npz file")
    _require_names([one.name for one in wanted], table.path)
    folder = output.with_name(f"{output.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            made = {one.name: _modality(table, rows, one, folder, options, report) for one in wanted}
            arrays, counts = _arrays(table, rows, made)
            card = _card(table, rows, wanted, made, options)
            arrays[CARD_KEY] = np.array(json.dumps(card, indent=1, ensure_ascii=False))
            _write(output, arrays)
            shutil.rmtree(folder)
    except Timeout as error:
        raise DataError(f"{output} is being made by another process; wait for it") from error
    skipped = {name: (found.skipped, found.reason) for name, found in made.items() if found.skipped}
    return Extracted(counts, skipped, card)


def _require_names(names: Sequence[str], path: Path) -> None:
    """Refuse names of modalities that the keys of a bundle cannot have, before anything is encoded."""
    ends = ("", "_labels", "_ids")
    keys = {f"{part}_{name}{end}": np.zeros((2, 2)) for part in PARTS for name in names for end in ends}
    try:
        if {*roles_of(Renamed(path, {}, keys)).features("train")} == {*names}:
            return
    except DataError:
        pass
    raise UsageError(
        f"{path}: the columns {', '.join(map(repr, names))} name the modalities; such a name has letters, "
        "digits and the signs of 'photo_2.b', and no other meaning, as 'labels' has; rename the column"
    )


def _arrays(
    table: Table, rows: Rows, made: dict[str, _Made]
) -> tuple[dict[str, NDArray[Any]], dict[str, dict[str, int]]]:
    """Return the arrays of the bundle, and the numbers of rows by part and modality."""
    arrays: dict[str, NDArray[Any]] = {}
    counts: dict[str, dict[str, int]] = {}
    for part in [part for part in PARTS if part in rows.parts]:
        for name, found in made.items():
            chosen = np.array([rows.parts[row] == part for row in found.rows], dtype=bool)
            if not chosen.any():
                raise DataError(f"{table.path}: modality {name!r} has no item in {part}")
            at = found.rows[chosen]
            arrays[f"{part}_{name}"] = found.features[chosen]
            arrays[f"{part}_{name}_labels"] = rows.labels[at]
            arrays[f"{part}_{name}_ids"] = rows.ids[at]
            counts.setdefault(part, {})[name] = len(at)
    arrays[CLASSES_KEY] = np.array(rows.classes)
    if rows.labels.ndim == 2:
        arrays["multi_label"] = np.array(True)
    return arrays, counts


def read_card(path: Path) -> dict[str, Any] | None:
    """Return the card of a bundle's features; None if it has none.

    Raises:
        DataError: if the file is no bundle.
    """
    try:
        with np.load(path, allow_pickle=False) as bundle:
            card = json.loads(str(bundle[CARD_KEY])) if CARD_KEY in bundle.files else None
    except (OSError, ValueError, KeyError, EOFError, RecursionError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: no feature bundle with a card that can be read ({error})") from error
    return card if isinstance(card, dict) else None


def summary_lines(card: dict[str, Any]) -> list[str]:
    """Return a card in lines of text: one for each modality, and the split."""
    modalities = card.get("modalities")
    lines = [
        f"{name}: {made.get('title')} ({made.get('encoder')}; weights {made.get('weights')}; "
        f"{made.get('width')} values)"
        for name, made in (modalities.items() if isinstance(modalities, dict) else ())
        if isinstance(made, dict)
    ]
    return [*lines, f"split: {card.get('split')}"]


def _modality(
    table: Table, rows: Rows, wanted: Wanted, folder: Path, options: Options, report: Report
) -> _Made:
    """Return the features of a modality, from stored batches as far as these are of the same items."""
    items = _items(table, rows, wanted, options)
    identity = [wanted.given, wanted.encoder.checksum(), wanted.encoder.device, str(options.batch)]
    identity += [json.dumps(_versions()), _source_of(wanted.encoder)]
    if wanted.encoder.card.fitted:
        training = [i for i, row in enumerate(items.rows) if rows.parts[row] == "train"]
        wanted.encoder.fit(items.read_all(training, skip_broken=options.skip_broken)[0])
        identity.append(_digest([items.state(i) for i in training]))
    batches: list[dict[str, NDArray[Any]]] = []
    report(wanted.name, 0, len(items.rows))
    for start in range(0, len(items.rows), options.batch):
        at = range(start, min(start + options.batch, len(items.rows)))
        content = map(items.state, at)
        path = folder / f"{wanted.name}-{start:08d}-{_digest([*identity, *content])[:16]}.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                batch = {key: stored[key] for key in ("features", "kept", "reason")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # missing or damaged
            batch = _encoded(items, at, wanted, skip_broken=options.skip_broken)
            _write(path, batch)
        batches.append(batch)
        report(wanted.name, at.stop, len(items.rows))
    filled = [batch["features"] for batch in batches if len(batch["features"])]
    if not filled:
        raise DataError(f"{table.path}: column {wanted.column!r} has no item that can be read")
    if len(widths := {part.shape[1] for part in filled}) > 1:
        raise DataError(f"encoder {wanted.given!r} gave features of different widths: {sorted(widths)}")
    kept = np.concatenate([batch["kept"] for batch in batches])
    reason = next(filter(None, (str(batch["reason"]) for batch in batches)), "")
    return _Made(np.concatenate(filled), np.array(items.rows, np.intp)[kept], int((~kept).sum()), reason)


def _items(table: Table, rows: Rows, wanted: Wanted, options: Options) -> _Items:
    """Return the items of a modality, without those that repeat a previous row of the same id."""
    first: dict[tuple[str, int, str], int] = {}
    cells, kind = table.column(wanted.column), wanted.encoder.card.kind
    for row, value in enumerate(cells):
        if is_absent(value):
            continue
        kept = first.setdefault((rows.parts[row], int(rows.ids[row]), str(value)), row)
        if not np.array_equal(rows.labels[kept], rows.labels[row]):
            raise DataError(
                f"{table.where(row)}: the same id and {wanted.column} as row {kept + 1}, with another label"
            )
    chosen = list(first.values())
    paths = [] if kind == "text" else [_path(table, row, wanted.column, options) for row in chosen]
    if kind == "text" and (wrong := [row for row in chosen if not isinstance(cells[row], str)]):
        raise DataError(
            f"{table.where(wrong[0])}: column {wanted.column!r} has {cells[wrong[0]]!r}, not a text"
        )
    return _Items(table, kind, chosen, [cells[row] for row in chosen], paths)


def _path(table: Table, row: int, column: str, options: Options) -> Path:
    """Return the path in a cell.

    Raises:
        UsageError: if it leads out of the table's folder, by itself or by links, and this is not allowed.
        DataError: if it is no path.
    """
    value = table.column(column)[row]
    folder = table.path.resolve().parent
    try:
        path: Path = folder / value
        resolved = path.resolve()
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        raise DataError(f"{table.where(row)}: {str(value)[:80]!r} is no path ({error})") from error
    if not (options.allow_outside or resolved.is_relative_to(folder)):
        raise UsageError(
            f"{table.where(row)}: {str(value)[:80]!r} leads out of {folder}; put the files below the table's "
            "folder, or give --allow-outside"
        )
    return path


def _state(path: Path) -> str:
    """Return what changes when a file changes: its path, size and time of change."""
    try:
        status = path.stat()
        return f"{path} {status.st_size} {status.st_mtime_ns}"
    except (OSError, ValueError):
        return f"{path} missing"


def _encoded(items: _Items, at: range, wanted: Wanted, *, skip_broken: bool) -> dict[str, NDArray[Any]]:
    """Return the ``features`` of the items that are ``kept``, and the ``reason`` why another is not."""
    read, kept, reason = items.read_all(at, skip_broken=skip_broken)
    encoded = wanted.encoder.encode(read) if read else np.zeros((0, 0))
    features = np.ascontiguousarray(encoded, dtype=np.float32)
    if features.ndim != 2 or len(features) != len(read) or not np.isfinite(features).all():
        raise DataError(
            f"encoder {wanted.given!r} gave {features.shape} for {len(read)} items from "
            f"{items.table.where(items.rows[at[0]])} on, or values that are not finite"
        )
    return {"features": features, "kept": kept, "reason": np.array(reason)}


def _card(
    table: Table, rows: Rows, wanted: Sequence[Wanted], made: dict[str, _Made], options: Options
) -> dict[str, Any]:
    """Return how the features were made, as the bundle states it."""
    modalities = {}
    for one in wanted:
        stated = {key: value for key, value in asdict(one.encoder.card).items() if key != "name"}
        found = made[one.name]
        modalities[one.name] = stated | {
            "encoder": one.given,
            "column": one.column,
            "width": int(found.features.shape[1]),
            "sha256": one.encoder.checksum(),
            "device": one.encoder.device.partition(":")[0],
            "skipped": found.skipped,
        }
    return {
        "format": FORMAT,
        "table": table.path.name,
        "table_sha256": table.sha256,
        "split": rows.rule,
        "batch": options.batch,
        "modalities": modalities,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    """Return the versions of the installed libraries that features depend on."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _source_of(encoder: Encoder[Any]) -> str:
    """Return the digest of the file that defines an encoder; empty where there is none, as in a notebook."""
    try:
        return hashlib.sha256(Path(inspect.getfile(type(encoder))).read_bytes()).hexdigest()
    except (TypeError, OSError):
        return ""


def _digest(parts: Sequence[str]) -> str:
    """Return the SHA-256 of texts in hexadecimal."""
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write an .npz file whole or not at all."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_output(path, content.getvalue())
