"""Search of a gallery with a stored model."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from bench import registry
from bench.contract import Array, DataError, Dataset, Encoding, UsageError
from bench.experiment.models import StoredMethod, load_method, model_folder
from bench.records.schema import Record
from bench.searching.gallery import Gallery, dataset_of, gallery_of_dataset, gallery_of_file
from bench.searching.index import BLOCK, FaissIndex, Nearest, exact, nearest_of, recall

LARGE: Final = 100_000
"""Gallery rows above which an index is used, where FAISS is installed."""

_TRIED: Final = 200
"""Queries whose exact results give an index's recall."""

Way = Literal["auto", "exact", "faiss"]


@dataclass(frozen=True)
class Hit:
    """An item that was found."""

    row: int  # of the gallery, from 0
    score: float  # similarity: cosine, inner product, minus distance, or learned
    name: str  # of the item; empty where it has none
    classes: str  # of the item, in words; empty where they are not known


@dataclass(frozen=True)
class Found:
    """What a search found."""

    query: str  # in words
    modality: str  # of the query
    gallery: str  # in words
    gallery_modality: str  # of the items
    size: int  # number of items
    hits: tuple[Hit, ...]  # the nearest first
    way: str  # how they were looked for: ``exact``, or the index with its recall against exact search
    # mean share of the exact results among those of the index; None for exact search
    recall: float | None = None


class Query(NamedTuple):
    """A query."""

    title: str  # what it is, in words
    modality: str  # of the model
    features: Array  # ``(1, d_v)``
    row: int | None = None  # of the test split, where it is one


class Searcher:
    """Search with a stored model and a gallery, which is embedded once for many queries.

    Attributes:
        model: the loaded model.
        gallery: the items.
    """

    def __init__(
        self,
        record_or_path: Record | str | os.PathLike[str],
        gallery_modality: str | None = None,
        *,
        gallery: str | os.PathLike[str] | None = None,
        key: str | None = None,
        way: Way = "auto",
        results: str | os.PathLike[str] = "results",
        data_dir: str | os.PathLike[str] | None = None,
        plugins: Sequence[Path] = (),
        device: str = "cpu",
    ) -> None:
        """Load a model; the gallery is read when it is first searched.

        Args:
            record_or_path: as for `load_method`.
            gallery_modality: of the items; None for the first modality that is not the query's.
            gallery: file of features; None for the test rows of the model's dataset.
            key: of the features in that file.
            way: ``exact``, ``faiss``, or ``auto``: an index above 100,000 rows, where FAISS is installed.
            results: results folder, for records and digests.
            data_dir: folder of the datasets' files; None for the default one.
            plugins: files that may define encoders.
            device: torch name of the device.

        Raises:
            BenchError: as `load_method`.
        """
        self._folder = model_folder(record_or_path, results)
        self.model = load_method(self._folder, device=device)
        if gallery_modality is not None:
            self._require(gallery_modality)
        self._modality, self._file, self._key, self._way = gallery_modality, gallery, key, way
        self._data_dir, self._plugins, self._device = data_dir, plugins, device
        self._galleries: dict[str, Gallery] = {}
        self._embedded: dict[str, Array] = {}
        self._indices: dict[str, FaissIndex] = {}

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset that the model was trained on."""
        data_dir = None if self._data_dir is None else Path(self._data_dir)
        return dataset_of(self.model, self._folder, data_dir)

    def query(self, query: str | Path | int | Any, modality: str | None = None) -> Query:
        """Return a query: a text, a file of a picture or sound, a test row's number, or features ``(d_v,)``.

        Raises:
            BenchError: if it cannot be one.
        """
        if isinstance(query, (str, Path)):
            return encoded(self.model, query, modality, self._plugins, self._device)
        name = next(iter(self.model.modalities)) if modality is None else modality
        if isinstance(query, (int, np.integer)):
            self._require(name)
            rows = gallery_of_dataset(replace(self.dataset, open_gallery=None), name)
            if not 0 <= query < len(rows.features):
                count = len(rows.features)
                raise UsageError(f"the test split has {count} rows of {name}, from 0 on; there is no {query}")
            label = f": {rows.names[int(query)]}" if rows.names else ""
            return Query(f"row {query} of {name}{label}", name, rows.features[[int(query)]], int(query))
        features = self.model.checked(name, np.atleast_2d(np.asarray(query)))
        if len(features) != 1:
            raise UsageError(f"one query at a time, not {len(features)}")
        return Query("the given features", name, features)

    def search(self, query: str | Path | int | Any, modality: str | None = None, top: int = 10) -> Found:
        """Return the ``top`` items that are nearest to a query; see `query`.

        Raises:
            BenchError: if query, gallery or index cannot be used; one sentence.
        """
        item = self.query(query, modality)
        gallery = self._gallery(item.modality)
        top, classes = min(top, len(gallery.features)), self.model.classes
        way, share = "exact", None
        if self._uses_index(len(gallery.features)):
            nearest, way, share = self._by_index(item, gallery, top)
        else:
            nearest = self._exact(item.modality, item.features, gallery, top)
        found = zip(nearest.rows[0].tolist(), nearest.scores[0].tolist(), strict=True)
        hits = (
            Hit(row, score, gallery.names[row] if gallery.names else "", gallery.classes_of(row, classes))
            for row, score in found
            if row >= 0
        )
        return Found(
            *(item.title, item.modality, gallery.title, gallery.modality, len(gallery.features)),
            *(tuple(hits), way, share),
        )

    def _require(self, modality: str) -> None:
        if modality not in self.model.modalities:
            raise registry.unknown("modality of this model", modality, self.model.modalities)

    def _gallery(self, query_modality: str) -> Gallery:
        others = [name for name in self.model.modalities if name != query_modality]
        name = self._modality or next(chain(others, [query_modality]))
        if name not in self._galleries:
            width = self.model.modalities[name]
            if self._file is None:
                self._galleries[name] = gallery_of_dataset(self.dataset, name)
            else:
                self._galleries[name] = gallery_of_file(Path(self._file), name, width, self._key)
        return self._galleries[name]

    def _rows(self, gallery: Gallery) -> Array:
        if gallery.modality not in self._embedded:
            self._embedded[gallery.modality] = self.model.embed(gallery.modality, gallery.features)
        return self._embedded[gallery.modality]

    def _uses_index(self, size: int) -> bool:
        if self._way != "auto":
            return self._way == "faiss"
        possible = self.model.has_space and self.model.card.similarity != "hamming"
        return size > LARGE and possible and find_spec("faiss") is not None

    def _exact(self, modality: str, features: Array, gallery: Gallery, top: int) -> Nearest:
        if self.model.has_space:
            queries = self.model.embed(modality, features)
            return exact(self.model.card.similarity, queries, self._rows(gallery), top)
        items = gallery.features
        starts = range(0, len(items), BLOCK)
        compare = partial(self.model.similarity, modality, features, gallery.modality)
        return nearest_of(((start, compare(items[start : start + BLOCK])) for start in starts), top)

    def _by_index(self, query: Query, gallery: Gallery, top: int) -> tuple[Nearest, str, float]:
        """Return what an index finds, a description of it, and its recall over further queries."""
        model, name = self.model, gallery.modality
        if not model.has_space:
            raise UsageError(
                f"{model.card.title} ranks by a learned similarity, for which there is no index; "
                "search exactly"
            )
        rows = self._rows(gallery)
        if name not in self._indices:
            self._indices[name] = FaissIndex(model.card.similarity, rows)
        index = self._indices[name]
        if self._file is None:
            tried, what = self.dataset.test[query.modality].features[:_TRIED], f"{query.modality} test rows"
            queries = model.embed(query.modality, tried)
        else:
            queries, what = rows[:: max(1, len(rows) // _TRIED)][:_TRIED], "gallery rows"
        share = recall(model.card.similarity, queries, rows, index.nearest(queries, top))
        way = f"{index.title}; recall@{top} against exact search {share:.3f} over {len(queries)} {what}"
        return index.nearest(model.embed(query.modality, query.features), top), way, share


def search(
    record_or_path: Record | str | os.PathLike[str],
    query: str | Path | int | Any,
    *,
    modality: str | None = None,
    gallery_modality: str | None = None,
    top: int = 10,
    **options: Any,
) -> Found:
    """Search a gallery with a model that ``run --keep-models`` stored.

    Args:
        record_or_path: as for `Searcher`.
        query: see `Searcher.query`.
        modality: modality of the query; None for that of the text or file (for a row: the first).
        gallery_modality: modality of the gallery; None for the first other one.
        top: number of items.
        options: those of `Searcher`.

    Raises:
        BenchError: if the model, query, gallery or index cannot be used; one sentence.
    """
    return Searcher(record_or_path, gallery_modality, **options).search(query, modality, top)


def encoded(
    model: StoredMethod,
    item: str | Path,
    modality: str | None = None,
    plugins: Sequence[Path] = (),
    device: str = "cpu",
) -> Query:
    """Return a text, or the file of a picture or sound, in features of the same encoder as the dataset's.

    Without a modality it is the only one that such items can be encoded for. ``plugins`` are files that may
    define the encoder.

    Raises:
        UsageError: if it is not known how the modality's features were made, or that cannot be done here.
        DataError: if the file cannot be read.
    """
    from bench.encoders import create_encoder

    kind, raw = ("text", item) if isinstance(item, str) else _read(item)
    name, encoding = _encoding(model, kind, modality)
    encoder = create_encoder(encoding.kind, encoding.encoder, plugins, device)
    if encoder.card.fitted:
        raise UsageError(
            f"the features of {name} are of {encoding.encoder}, which was fitted on the dataset's training "
            "items and is not kept; give a row or features as the query"
        )
    if encoder.checksum() != encoding.sha256:
        raise UsageError(
            f"the features of {name} were made by {encoding.encoder} with weights {encoding.sha256[:12]}, "
            f"but those at hand are {encoder.checksum()[:12]}; a query must be encoded alike"
        )
    title = item.name if isinstance(item, Path) else repr(item)
    return Query(title, name, np.asarray(encoder.encode([raw]), dtype=np.float32))


def _read(path: Path) -> tuple[str, Any]:
    """Return the kind of a file by its content, and the picture or sound.

    Raises:
        DataError: if it is neither.
    """
    from bench.encoders import read_picture, read_sound

    readers: dict[str, Callable[[Path], Any]] = {"image": read_picture, "audio": read_sound}
    reasons = []
    for kind, read in readers.items():
        try:
            return kind, read(path)
        except DataError as error:
            reasons.append(str(error))
    raise DataError(f"{path} is neither a picture ({reasons[0]}) nor a sound ({reasons[1]})")


def _encoding(model: StoredMethod, kind: str, modality: str | None) -> tuple[str, Encoding]:
    """Return the modality that items of a kind belong to, and how its features were made."""
    known = {
        name: encoding
        for name, encoding in model.encodings.items()
        if encoding is not None and encoding.kind == kind and modality in (None, name)
    }
    if len(known) == 1:
        return next(iter(known.items()))
    if known:
        noun = {"image": "picture", "audio": "sound"}.get(kind, kind)
        raise UsageError(f"a {noun} may be {' or '.join(known)} for this model; name one with --modality")
    where = f"modality {modality}" if modality else "any modality"
    raise UsageError(
        f"{model.identity.dataset} does not state which {kind} encoder made the features of {where}, "
        "so that no new item can be made alike; give a row or features as the query"
    )
