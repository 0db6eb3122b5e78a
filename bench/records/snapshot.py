"""Snapshot of a cell for figures: curves, a sample of the common space, first results.

It describes the selected state on test rows, or a sample of them. Each part refuses values that contradict
each other, so that figures need no checks.

On disk it is a compressed .npz of two arrays: ``head`` is JSON, in which [type, shape, offset] represents an
array, and ``data`` has the bytes of all arrays one after another.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.records.encoding import SNAPSHOT, UNREADABLE, Damaged, layout_error, read_npz

LAYOUT: Final = 2
"""Version of the snapshot's layout."""

_LARGEST: Final = 1 << 24  # bytes of a snapshot in memory: a hundred times the usual size
Vector = NDArray[np.float64]
Rows = NDArray[np.int32]


class Curves(msgspec.Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """Precision along the ranking and along recall in one direction, as means over its queries.

    Attributes:
        query: modality of the queries.
        gallery: modality of the gallery.
        ranks: ``(k,)`` ascending, within the gallery.
        precision: ``(k,)`` mean precision up to each rank.
        levels: ``(l,)`` levels of recall, ascending from 0 to 1.
        interpolated: ``(l,)`` mean interpolated precision at each level.
    """

    query: str
    gallery: str
    ranks: Rows
    precision: Vector
    levels: Vector
    interpolated: Vector

    def __post_init__(self) -> None:
        what = f"the curves of {self.query} -> {self.gallery}"
        for points, values in ((self.ranks, self.precision), (self.levels, self.interpolated)):
            fits = points.shape == values.shape and len(points) > 0 and _ascends(points)
            _require(fits and _are_shares(values), f"{what} are no shares at ascending points")
        _require(self.ranks[0] >= 1, f"{what} begin before rank 1")


class Space(msgspec.Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """A sample of test rows in at most 32 dimensions of the common space.

    Embeddings are scaled to unit length, as for the cosine, and projected to d dimensions.

    Attributes:
        rows: by modality ``(m,)``, of the test split.
        classes: by modality ``(m,)``, class of each row, or the rarest of several.
        points: by modality ``(m, d)`` float32.
        explained: share of the sample's variance in the d dimensions.
    """

    rows: Mapping[str, Rows]
    classes: Mapping[str, Rows]
    points: Mapping[str, NDArray[np.float32]]
    explained: float

    def __post_init__(self) -> None:
        what = "the sample of the common space"
        _require(list(self.rows) == list(self.classes) == list(self.points), f"{what} mixes up modalities")
        for name, points in self.points.items():
            fits = points.ndim == 2 and 0 < len(points) == len(self.rows[name]) == len(self.classes[name])
            _require(fits and np.isfinite(points).all(), f"{what} has no finite point for each row of {name}")
        widths = {points.shape[1] for points in self.points.values()}
        _require(len(widths) == 1 and 1 <= min(widths) <= 32, f"{what} has no common width of 1 to 32")
        _require(0.0 <= self.explained <= 1.0, f"{what} holds a share of variance outside of 0 to 1")


class Gallery(msgspec.Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """Some queries of one direction with their first results.

    Attributes:
        query: modality of the queries.
        gallery: modality of the gallery.
        rows: ``(q,)`` of the queries, of the test split.
        ap: ``(q,)`` average precision of each over the whole gallery, `map@all`.
        results: ``(q, r)`` rows of the first results, best first.
        relevant: ``(q, r)`` whether a result shares a class with the query.
    """

    query: str
    gallery: str
    rows: Rows
    ap: Vector
    results: Rows
    relevant: NDArray[np.bool_]

    def __post_init__(self) -> None:
        what = f"the gallery of {self.query} -> {self.gallery}"
        fits = self.rows.shape == self.ap.shape and _are_shares(self.ap)
        _require(fits, f"{what} has no AP from 0 to 1 for each query")
        fits = self.results.ndim == 2 and self.results.shape == self.relevant.shape
        _require(fits and len(self.results) == len(self.rows), f"{what} has no results for each query")
        _require(all(map(_are_distinct, self.results)), f"{what} names a result twice")


class RowDetails(msgspec.Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """Classes, texts and pictures of the rows that occur in galleries.

    Attributes:
        rows: ``(m,)`` of the test split.
        classes: ``(m,)`` class of each row, or the rarest of several.
        texts: one for each row; None if the dataset has none.
        pixels: ``(m, height, width)`` uint8, indices into the palette; None without pictures.
        palette: ``(c, 3)`` uint8, the colours of the pictures; None without pictures.
    """

    rows: Rows
    classes: Rows
    texts: tuple[str, ...] | None = None
    pixels: NDArray[np.uint8] | None = None
    palette: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        _require(self.rows.shape == self.classes.shape, "the gallery's rows have no class each")
        _require(_are_distinct(self.rows), "the gallery's rows are listed twice")
        _require(self.texts is None or len(self.texts) == len(self.rows), "its rows have no text each")
        _require((self.pixels is None) == (self.palette is None), "pictures need a palette")
        if self.pixels is not None and self.palette is not None:
            pixels, palette = self.pixels, self.palette
            fits = pixels.ndim == 3 and len(pixels) == len(self.rows) and 0 not in pixels.shape
            fits = fits and pixels.dtype == palette.dtype == np.uint8
            _require(fits, "its rows have no picture each")
            _require(palette.ndim == 2 and palette.shape[1] == 3, "a palette is (c, 3)")
            _require(int(pixels.max(initial=0)) < len(palette), "its pictures have unknown colours")

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """Return the picture ``(height, width, 3)`` of ``rows[index]``; None without pictures."""
        if self.pixels is None or self.palette is None:
            return None
        return np.asarray(self.palette[self.pixels[index]])


class Snapshot(msgspec.Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """Content of the figures of one cell.

    Attributes:
        sizes: number of test rows by modality, or of rows of the gallery split if that is larger.
        n_classes: number of classes.
        class_names: by number; empty if the dataset has none.
        curves: one for each direction.
        space: a sample of the common space; None without one.
        no_space: reason for a missing sample, in one sentence; else empty.
        galleries: one for each direction; none if test rows are ranked against a gallery split.
        details: by modality, rows that occur in galleries.
    """

    sizes: Mapping[str, int]
    n_classes: int
    class_names: tuple[str, ...]
    curves: tuple[Curves, ...]
    space: Space | None
    no_space: str
    galleries: tuple[Gallery, ...]
    details: Mapping[str, RowDetails]

    def __post_init__(self) -> None:
        _require(len(self.class_names) in (0, self.n_classes), "there is no name for each class")
        _require((self.space is None) == bool(self.no_space), "a missing sample needs its reason")
        parts: tuple[Curves | Gallery, ...] = (*self.curves, *self.galleries)
        modalities = {name for part in parts for name in (part.query, part.gallery)}
        _require(modalities <= self.sizes.keys(), "a direction has unknown modalities")
        for curves in self.curves:
            _require(int(curves.ranks[-1]) <= self.sizes[curves.gallery], "a rank is beyond its gallery")
        if self.space is not None:
            _require(self.space.rows.keys() <= self.sizes.keys(), "the sample has unknown modalities")
            for name, rows in self.space.rows.items():
                self._check_rows(name, rows, self.space.classes[name])
        for name, details in self.details.items():
            _require(name in self.sizes, "the gallery's rows are of unknown modalities")
            self._check_rows(name, details.rows, details.classes)
        for gallery in self.galleries:
            self._check_shown(gallery.query, gallery.rows)
            self._check_shown(gallery.gallery, gallery.results.reshape(-1))

    def _check_rows(self, name: str, rows: Rows, classes: Rows) -> None:
        """Refuse rows and classes beyond those of the test split."""
        inside = _are_below(rows, self.sizes[name]) and _are_below(classes, self.n_classes)
        _require(inside, f"a row of {name} or its class is beyond those of the test split")

    def _check_shown(self, name: str, rows: Rows) -> None:
        """Refuse rows of a gallery without details."""
        known = self.details[name].rows if name in self.details else np.empty(0, np.int32)
        _require(bool(np.isin(rows, known).all()), f"a gallery has a row of {name} without details")


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return a snapshot's bytes, which are always the same for the same snapshot.

    Raises:
        ValueError: if it could not be read back, as with arrays of another type than their fields.
    """
    data = io.BytesIO()

    def put(values: NDArray[Any]) -> tuple[str, tuple[int, ...], int]:
        offset = data.tell()
        data.write(np.ascontiguousarray(values).tobytes())
        return values.dtype.str, values.shape, offset

    head = msgspec.json.encode({"layout": LAYOUT, "snapshot": snapshot}, enc_hook=put)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, head=np.frombuffer(head, np.uint8), data=np.frombuffer(data.getvalue(), np.uint8)
    )
    decode_snapshot(buffer.getvalue())
    return buffer.getvalue()


def decode_snapshot(content: bytes) -> Snapshot:
    """Return the snapshot of `encode_snapshot`, or one of layout 1, checked.

    Raises:
        Damaged: if this is no snapshot, of another layout (`Newer` for a later one), or contradicts itself.
    """
    try:
        arrays = read_npz(content, _LARGEST)
        head = msgspec.json.decode(arrays["head"].tobytes(), type=dict[str, Any])
        layout = msgspec.convert(head["layout"], int)
        if layout == LAYOUT:
            data = arrays["data"].tobytes()

            def cut(kind: Any, at: Any) -> NDArray[Any]:
                dtype, shape, offset = msgspec.convert(at, tuple[str, list[int], int])
                count = math.prod(shape)
                if min([offset, *shape]) < 0 or max(offset, count) > len(data):
                    raise ValueError(f"there is no array of shape {shape} at {offset}")
                values = np.frombuffer(data, np.dtype(dtype), count, offset) if count else np.empty(0, dtype)
                return _typed(kind, values.reshape(shape).copy())

            return msgspec.convert(head["snapshot"], Snapshot, dec_hook=cut)
        if layout == 1:
            return msgspec.convert(_layout_1(head, arrays), Snapshot, dec_hook=_typed)
    except UNREADABLE as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise Damaged(f"{SNAPSHOT} cannot be read: {reason}") from error
    raise layout_error(SNAPSHOT, layout, LAYOUT)


def _typed(kind: Any, values: Any) -> NDArray[Any]:
    """Return an array of the type of its field, ``NDArray[...]``; raises ValueError."""
    (wanted,) = get_args(get_args(kind)[1])
    if not isinstance(values, np.ndarray) or values.dtype != np.dtype(wanted):
        raise ValueError(f"an array of {wanted.__name__} is {getattr(values, 'dtype', 'missing')}")
    return values


def _layout_1(head: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return a snapshot's fields from a head with its parts, and one array for each of their fields."""

    def part(folder: str, **fields: Any) -> dict[str, Any]:
        names = [name for name in arrays if name.rpartition("/")[0] == folder]
        return fields | {name.rpartition("/")[2]: arrays[name] for name in names}

    space = head["space"]
    if space is not None:
        parts = {name: part(f"space/{number}") for number, name in enumerate(space["modalities"])}
        space = {
            field: {name: arrays[field] for name, arrays in parts.items()}
            for field in ("rows", "classes", "points")
        }
        space["explained"] = head["space"]["held"]
    details = {
        found["modality"]: part(f"exhibits/{number}", texts=found["texts"])
        for number, found in enumerate(head["exhibits"])
    }
    fields = {name: head[name] for name in ("sizes", "n_classes", "class_names", "no_space")}
    for name in ("curves", "galleries"):
        fields[name] = [
            part(f"{name}/{number}", query=pair[0], gallery=pair[1]) for number, pair in enumerate(head[name])
        ]
    return fields | {"space": space, "details": details}


def _require(holds: Any, sentence: str) -> None:
    """Raise ValueError unless a condition holds."""
    if not holds:
        raise ValueError(sentence)


def _are_below(values: Rows, limit: int) -> bool:
    """Whether a vector has numbers from 0 to below a limit."""
    return values.ndim == 1 and bool(((values >= 0) & (values < limit)).all())


def _are_shares(values: Vector) -> bool:
    """Whether a vector has numbers from 0 to 1."""
    return values.ndim == 1 and bool(((values >= 0.0) & (values <= 1.0)).all())  # NaN is neither


def _are_distinct(values: Iterable[Any]) -> bool:
    """Whether no value occurs twice."""
    listed = list(np.asarray(values).tolist())
    return len(set(listed)) == len(listed)


def _ascends(values: NDArray[Any]) -> bool:
    """Whether each number of a vector is above the one before."""
    return values.ndim == 1 and bool((np.diff(values) > 0).all())
