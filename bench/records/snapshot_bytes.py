"""The bytes of a record's view: a compressed .npz of arrays, one of which is a head in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.records.encoding import SNAPSHOT, Damaged, Newer
from bench.records.npz import pack, unpack
from bench.records.snapshot import Curves, Gallery, RowDetails, Snapshot, Space

LAYOUT: Final = 1
"""Version of the view's layout; raised with every change that a reader must know of."""

_LARGEST: Final = 1 << 24
"""Bytes that a view may take in memory: a hundred times what one takes."""

_HEAD: Final = "head"
_Arrays = dict[str, NDArray[Any]]


class _Version(msgspec.Struct):
    """What can be read of a head whatever its layout."""

    layout: int


class _Space(msgspec.Struct, forbid_unknown_fields=True):
    modalities: list[str]
    held: float


class _Exhibits(msgspec.Struct, forbid_unknown_fields=True):
    modality: str
    texts: list[str] | None
    pictures: bool


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    """What a view holds besides its arrays, and which arrays there are."""

    layout: int
    sizes: dict[str, int]
    n_classes: int
    class_names: list[str]
    curves: list[tuple[str, str]]
    space: _Space | None
    no_space: str
    galleries: list[tuple[str, str]]
    exhibits: list[_Exhibits]


class _Field(NamedTuple):
    name: str
    dtype: str
    dimensions: int


_CURVES: Final = (
    _Field("ranks", "<i4", 1),
    _Field("precision", "<f8", 1),
    _Field("levels", "<f8", 1),
    _Field("interpolated", "<f8", 1),
)
_SPACE: Final = (_Field("rows", "<i4", 1), _Field("classes", "<i4", 1), _Field("points", "<f4", 2))
_GALLERY: Final = (
    _Field("rows", "<i4", 1),
    _Field("ap", "<f8", 1),
    _Field("results", "<i4", 2),
    _Field("relevant", "|b1", 2),
)
_EXHIBITS: Final = (_Field("rows", "<i4", 1), _Field("classes", "<i4", 1))
_PICTURES: Final = (_Field("pixels", "|u1", 3), _Field("palette", "|u1", 2))


def encode_snapshot(view: Snapshot) -> bytes:
    """Return a view's bytes: the same view always gives the same."""
    arrays: _Arrays = {_HEAD: np.frombuffer(msgspec.json.encode(_head(view)), np.uint8)}
    for place, curves in enumerate(view.curves):
        _put(arrays, f"curves/{place}", _CURVES, vars(curves))
    for place, name in enumerate(view.space.rows if view.space else ()):
        sample = {field.name: getattr(view.space, field.name)[name] for field in _SPACE}
        _put(arrays, f"space/{place}", _SPACE, sample)
    for place, gallery in enumerate(view.galleries):
        _put(arrays, f"galleries/{place}", _GALLERY, vars(gallery))
    for place, details in enumerate(view.details.values()):
        fields = _EXHIBITS if details.pixels is None else (*_EXHIBITS, *_PICTURES)
        _put(arrays, f"exhibits/{place}", fields, vars(details))
    return pack(arrays, compressed=True)


def decode_snapshot(content: bytes) -> Snapshot:
    """Return the view of `encode_snapshot`, checked.

    Raises:
        Damaged: if this is no view, of another layout (`Newer` for a later one), or contradicts itself.
    """
    try:
        arrays = unpack(content, _LARGEST)
        return _view(_read_head(arrays.pop(_HEAD).tobytes()), arrays)
    except (ValueError, KeyError, IndexError, msgspec.MsgspecError) as error:
        if isinstance(error, Damaged):
            raise
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise Damaged(f"{SNAPSHOT} cannot be read: {reason}") from error


def _head(view: Snapshot) -> _Head:
    return _Head(
        layout=LAYOUT,
        sizes=dict(view.sizes),
        n_classes=view.n_classes,
        class_names=list(view.class_names),
        curves=[(curves.query, curves.gallery) for curves in view.curves],
        space=None if view.space is None else _Space(list(view.space.rows), view.space.explained),
        no_space=view.no_space,
        galleries=[(gallery.query, gallery.gallery) for gallery in view.galleries],
        exhibits=[
            _Exhibits(name, None if part.texts is None else list(part.texts), part.pixels is not None)
            for name, part in view.details.items()
        ],
    )


def _read_head(content: bytes) -> _Head:
    layout = msgspec.json.decode(content, type=_Version).layout
    if layout != LAYOUT:
        kind = Newer if layout > LAYOUT else Damaged
        raise kind(f"{SNAPSHOT} has layout version {layout}, but this program reads version {LAYOUT}")
    return msgspec.json.decode(content, type=_Head)


def _view(head: _Head, arrays: _Arrays) -> Snapshot:
    """Put a view together; every array must be where the head says, and be of its kind."""
    curves = [
        Curves(*pair, **_get(arrays, f"curves/{place}", _CURVES)) for place, pair in enumerate(head.curves)
    ]
    galleries = [
        Gallery(*pair, **_get(arrays, f"galleries/{place}", _GALLERY))
        for place, pair in enumerate(head.galleries)
    ]
    details = {
        part.modality: _exhibits(part, arrays, f"exhibits/{place}")
        for place, part in enumerate(head.exhibits)
    }
    view = Snapshot(
        head.sizes,
        head.n_classes,
        tuple(head.class_names),
        tuple(curves),
        None if head.space is None else _space(head.space, arrays),
        head.no_space,
        tuple(galleries),
        details,
    )
    if arrays:
        raise ValueError(f"{next(iter(arrays))} belongs to nothing")
    return view


def _space(head: _Space, arrays: _Arrays) -> Space:
    parts = {name: _get(arrays, f"space/{place}", _SPACE) for place, name in enumerate(head.modalities)}
    rows, classes, points = ({name: part[key] for name, part in parts.items()} for key, _, _ in _SPACE)
    return Space(rows, classes, points, head.held)


def _exhibits(head: _Exhibits, arrays: _Arrays, place: str) -> RowDetails:
    found = _get(arrays, place, _EXHIBITS)
    if head.pictures:
        found |= _get(arrays, place, _PICTURES)
    return RowDetails(texts=None if head.texts is None else tuple(head.texts), **found)


def _put(arrays: _Arrays, place: str, fields: tuple[_Field, ...], values: Mapping[str, Any]) -> None:
    for name, dtype, _ in fields:
        arrays[f"{place}/{name}"] = np.asarray(values[name], dtype=dtype)


def _get(arrays: _Arrays, place: str, fields: tuple[_Field, ...]) -> dict[str, Any]:
    """Take the arrays of one part out of those that were read.

    Raises:
        ValueError: if one has another type or another number of dimensions.
        KeyError: if one is missing.
    """
    found: dict[str, Any] = {}
    for name, dtype, dimensions in fields:
        values = arrays.pop(f"{place}/{name}")
        if values.dtype != np.dtype(dtype) or values.ndim != dimensions:
            raise ValueError(f"{place}/{name} is {values.dtype} of shape {values.shape}")
        found[name] = values
    return found
