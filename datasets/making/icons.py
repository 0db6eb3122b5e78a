"""Make ``datasets/files/icons_mdi_effl0_minilm.npz`` from the npm package @mdi/svg 7.4.47.

    npm install --prefix build/packages @mdi/svg@7.4.47
    pip install '.[encoders]' resvg-py==0.5.0
    python -m datasets.making.icons build/packages/node_modules build/icons

Rules: icons without a tag are left out, then tags with fewer than 30 icons, then icons without a tag left.
Icons whose names are equal without words of style (those of the package: outline, off, box, ...) are on
one side of the split: for testing where the SHA-256 of that name is 0 modulo 5.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..icons import FILE, LEAST
from .sources import as_integers, drawing, features_of, package

VERSION: Final = "7.4.47"
ENCODERS: Final = {"image": ("image", "efficientnet-lite0"), "text": ("text", "minilm")}
SIDE: Final = 224
_SHOWN: Final = 32


def icon_rows(icons: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each icon that is kept, in the order of the package."""
    counts = Counter(tag for icon in icons for tag in icon["tags"])
    rows: list[dict[str, Any]] = []
    for icon, is_test in zip(icons, _is_test(icons), strict=True):
        tags = [tag for tag in icon["tags"] if counts[tag] >= LEAST]
        if tags:
            words = [icon["name"], *icon["aliases"]]
            rows.append(
                {
                    "id": len(rows),
                    "labels": tags,
                    "split": "test" if is_test else "train",
                    "name": icon["name"],
                    "image": f"{icon['name']}.png",
                    "text": ", ".join(word.replace("-", " ") for word in words),
                }
            )
    return rows


def _is_test(icons: Sequence[Mapping[str, Any]]) -> list[bool]:
    styles = {word for icon in icons for word in icon["styles"]} | {"outline", "off"}
    plain = ["-".join(word for word in icon["name"].split("-") if word not in styles) for icon in icons]
    return [int(hashlib.sha256(name.encode()).hexdigest(), 16) % 5 == 0 for name in plain]


def main(packages: Path, folder: Path, output: Path | None = None, only: int | None = None) -> dict[str, Any]:
    """Make the features of all icons, or of the first ``only``, and write them if ``output`` is given.

    Returns:
        The arrays of the file.
    """
    source = package(packages, "@mdi/svg", VERSION)
    rows = icon_rows(json.loads((source / "meta.json").read_bytes()))[:only]
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        path = folder / row["image"]
        if not path.exists():
            path.write_bytes(drawing((source / "svg" / f"{row['name']}.svg").read_text(), SIDE))
    features, _, card = features_of(rows, ENCODERS, folder)
    names = sorted({tag for row in rows for tag in row["labels"]})
    is_test = np.array([row["split"] == "test" for row in rows])
    arrays: dict[str, Any] = {
        "labels": np.array([[name in row["labels"] for name in names] for row in rows], dtype=np.uint8),
        "classes": np.array(names),
        "test": is_test,
        "shown_text": np.array([row["text"] for row, shown in zip(rows, is_test, strict=True) if shown]),
        "shown_image": np.stack(
            [_shown(folder / row["image"]) for row, shown in zip(rows, is_test, strict=True) if shown]
        ),
        "card": card,
    }
    for name in ENCODERS:
        arrays[name], arrays[f"{name}_scale"] = as_integers(features[name])
    if output is not None:
        np.savez_compressed(output, **arrays)
    return arrays


def _shown(path: Path) -> NDArray[np.uint8]:
    """Return the drawing in 16 greys, which compress well: ``(32, 32)``."""
    scaled = Image.open(path).convert("L").resize((_SHOWN, _SHOWN), Image.Resampling.BOX)
    return np.asarray(scaled, dtype=np.uint8) // 16 * 17


if __name__ == "__main__":
    target = Path(__file__).parents[1] / "files" / FILE
    main(Path(sys.argv[1]), Path(sys.argv[2]), target)
