"""Makes snapshots for the tests."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import numpy as np

from bench.records.snapshot import Curves, Gallery, RowDetails, Snapshot, Space

T = TypeVar("T", bound=msgspec.Struct)


def changed(plain: T, changes: dict[str, Any]) -> T:
    """Return a part with other fields, checked anew, as not every version of msgspec does it."""
    return type(plain)(**(msgspec.structs.asdict(plain) | changes))


def curves(query: str = "image", gallery: str = "text", **changes: Any) -> Curves:
    plain = Curves(
        query,
        gallery,
        np.array([1, 2, 5], np.int32),
        np.array([0.9, 0.7, 1 / 3]),
        np.array([0.0, 0.5, 1.0]),
        np.array([1.0, 0.5, 0.25]),
    )
    return changed(plain, changes)


def space(**changes: Any) -> Space:
    random = np.random.default_rng(0)
    plain = Space(
        {"image": np.array([0, 2, 4], np.int32), "text": np.array([1, 2], np.int32)},
        {"image": np.array([0, 1, 2], np.int32), "text": np.array([1, 1], np.int32)},
        {name: random.random((count, 2), dtype=np.float32) for name, count in (("image", 3), ("text", 2))},
        0.75,
    )
    return changed(plain, changes)


def gallery(query: str = "image", shown: str = "text", **changes: Any) -> Gallery:
    plain = Gallery(
        query,
        shown,
        np.array([0, 3], np.int32),
        np.array([1.0, 0.25]),
        np.array([[0, 1, 2], [4, 0, 1]], np.int32),
        np.array([[True, False, True], [False, False, True]]),
    )
    return changed(plain, changes)


def details(**changes: Any) -> RowDetails:
    plain = RowDetails(np.array([0, 1, 2, 3, 4], np.int32), np.array([0, 0, 1, 1, 2], np.int32))
    return changed(plain, changes)


def pictures() -> RowDetails:
    palette = np.array([[255, 0, 0], [0, 255, 0]], np.uint8)
    pixels = (np.arange(5 * 2 * 3) % 2).astype(np.uint8).reshape(5, 2, 3)
    return details(pixels=pixels, palette=palette)


def snapshot(**changes: Any) -> Snapshot:
    """Return a snapshot of five test rows of two modalities, in three classes."""
    plain = Snapshot(
        {"image": 5, "text": 5},
        3,
        ("a", "b", "c"),
        (curves(), curves("text", "image")),
        space(),
        "",
        (gallery(), gallery("text", "image")),
        {"image": pictures(), "text": details(texts=("one", "two", "", "<b>", "…"))},
    )
    return changed(plain, changes)
