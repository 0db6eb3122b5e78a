"""Cells of embeddings or similarities that another program computed: planned, and evaluated as a method's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from bench import registry
from bench.contract import (
    Array,
    Context,
    Method,
    MethodCard,
    Similarity,
    Split,
    UsageError,
    opened_by_harness,
)
from bench.data.fingerprint import DataChanged, sha256_of
from bench.data.given_results import GivenResults, dataset_of_file, read_given
from bench.evaluation.retrieval import Retrieval
from bench.experiment.cell import CellRun, Selection
from bench.experiment.grid import Cell, DataSource, GivenFile
from bench.experiment.isolation import opened_test
from bench.records.schema import FILE, GIVEN, Identity, MethodSnapshot, Result

UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class GivenSource:
    """Files as planning needs them: their row, paths and digests by seed, and their common content."""

    name: str
    paths: tuple[str, ...]
    sha256: tuple[str, ...]
    modalities: tuple[str, ...]
    similarities: bool


def parse_given(words: Sequence[str]) -> dict[str, list[Path]]:
    """Return the files of each row, from words such as ``CLIP=clip.npz``; several are of seeds 0, 1, ...

    Raises:
        UsageError: for a word of another form, or the name of a method.
    """
    found: dict[str, list[Path]] = {}
    for word in words:
        name, equals, path = (part.strip() for part in word.partition("="))
        if not equals or not name or not path or len(name) > 60 or "/" in name or not name.isprintable():
            raise UsageError(f"--embeddings {word!r} is not of the form NAME=FILE, such as CLIP=clip.npz")
        if name in registry.method_names():
            raise UsageError(f"--embeddings {word!r}: {name} is the name of a method; choose another one")
        found.setdefault(name, []).append(Path(path).expanduser())
    return found


def given_cells(
    given: GivenSource,
    data: DataSource | None,
    similarity: Similarity,
    profile: str,
    threads: int,
    harness: str,
) -> list[Cell]:
    """Return the cells of files on a dataset, a seed each; without one a file is a dataset by itself."""
    settings = {
        FILE: " ".join(given.sha256),
        "similarity": "in the file" if given.similarities else similarity,
    }
    card = MethodCard(
        name=given.name,
        title=f"{given.name} ({GIVEN})",
        family=GIVEN,
        similarity=similarity,
        selects_by="none",
        pairs="unused",
        any_modalities=True,
        multi_label=True,
        parity=f"none: {GIVEN}",
    )
    identity = Identity(
        method=given.name,
        variant="full",
        dataset=Path(given.paths[0]).stem if data is None else data.name,
        data_kind="real" if data is None else data.kind,
        fingerprint=given.sha256[0] if data is None else data.fingerprint,
        modalities=given.modalities,
        seed=0,
        profile=profile,
        threads=threads,
        settings=settings,
        device="cpu",
        harness=harness,
        code=GIVEN,
    )
    snapshot = MethodSnapshot(
        card=registry.plain(asdict(card)), usual=settings, origins=dict.fromkeys(settings, "given")
    )
    source, file = "" if data is None else data.given, GivenFile(given.paths, similarity)
    identities = (msgspec.structs.replace(identity, seed=seed) for seed in range(len(given.paths)))
    return [Cell(numbered, source, method=snapshot, file=file) for numbered in identities]


class GivenRun(CellRun):
    """Evaluation of a file: nothing is fitted; training data and selection are unknown."""

    def selection(self) -> Selection:
        """Read the file and check it against the test split; there is nothing to select.

        Raises:
            DataError: if the file is not of these rows.
            DataChanged: if it is not the file that the cell was planned with.
        """
        file, identity = self._cell.file, self._cell.identity
        assert file is not None
        path = Path(file.paths[identity.seed])
        with self._stage("load", limited=False), opened_by_harness():
            sha256 = sha256_of(path)
            if sha256 != identity.settings[FILE].split()[identity.seed]:
                raise DataChanged(f"{path} changed after this cell was planned; run again")
            dataset = self.dataset() if self._cell.source else dataset_of_file(path, sha256)
            dataset = dataset.select(identity.modalities)
            test, gallery = opened_test(dataset)
            given = read_given(path, test, gallery)
        queries = {name: len(test[name]) for name in test}
        numbered = _numbered(test)
        items = None if gallery is None else _numbered(gallery, queries)
        shown = replace(
            dataset,
            train=numbered,
            validation=numbered,
            open_test=lambda: numbered,
            open_gallery=None if items is None else lambda: items,
        )
        assert self._cell.method is not None
        card = msgspec.convert(dict(self._cell.method.card), MethodCard)
        method = _method(given, card, {} if gallery is None else queries)
        self._given = queries
        self.widths = {name: given.width(name) for name in test}
        audit = (
            f"{GIVEN}: {'embeddings' if given.rows else 'similarities'} of test rows, read from {path.name} "
            f"(SHA-256 {sha256}); on what they were trained and by what they were selected is {UNKNOWN}"
        )
        print(audit, file=self.log)
        return Selection(method, shown, numbered, audit, notes=method.notes())

    def result(self) -> Result:
        """Return the numbers; sizes of training data, pairs and selection are not known."""
        found = super().result()
        unknown = {"train": 0, "validation": 0, "given": 0, "unlabelled": 0}
        rows = {
            name: msgspec.structs.replace(sizes, **unknown, dimension=self.widths[name])
            for name, sizes in found.rows.items()
        }
        return msgspec.structs.replace(found, rows=rows, pairing=UNKNOWN)


def retrieval_of_similarities(path: Path) -> tuple[GivenResults, Retrieval]:
    """Return the similarities of a file with labels, and the retrieval that ranks by them.

    Raises:
        DataError: if the file is not as `read_given` describes.
    """
    dataset, given = dataset_of_file(path, ""), read_given(path)
    card = MethodCard(name=path.stem, title=path.stem)
    return given, Retrieval.of_method(_method(given, card, {}), opened_test(dataset)[0])


class _Given(Method):
    """Method of the embeddings in a file: a row's feature is its number."""

    Settings = dict
    given: GivenResults
    queries: Mapping[str, int]

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        """Do nothing."""

    def embed(self, modality: str, features: Array) -> Array:
        """Return the rows of these numbers."""
        return np.asarray(self.given.rows[modality][features[:, 0].astype(np.int64)])

    def notes(self) -> Mapping[str, Any]:
        """Return the unknown facts."""
        return {"training data": UNKNOWN, "selection": UNKNOWN}


class _GivenSimilarities(_Given):
    """Method of the similarities in a file."""

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        """Return the similarities of rows and columns of these numbers."""
        rows, columns = (numbers[:, 0].astype(np.int64) for numbers in (queries, gallery))
        columns = columns - self.queries.get(gallery_modality, 0)
        return np.asarray(self.given.matrices[query_modality, gallery_modality][np.ix_(rows, columns)])


def _method(given: GivenResults, card: MethodCard, queries: Mapping[str, int]) -> Method:
    kind = _Given if given.rows else _GivenSimilarities
    made: Method = type("Given", (kind,), {"card": card, "given": given, "queries": queries})()
    return made


def _numbered(split: Split, first: Mapping[str, int] | None = None) -> Split:
    """Return a split whose features are the numbers of the rows, from 0 or from another by modality."""
    parts = {}
    for name, part in split.items():
        numbers = (first or {}).get(name, 0) + np.arange(len(part), dtype=np.float64)
        parts[name] = replace(part, features=numbers[:, None])
    return Split(parts, split.n_classes, split.pairing)
