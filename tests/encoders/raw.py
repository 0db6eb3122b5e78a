"""A small table of raw data: pictures, texts and sounds of two classes, made here."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import wavfile

from tests.grid import run_command

WORDS = ("red square", "blue square")
COLOURS = ((220, 20, 30), (20, 30, 220))

ENCODERS = ("--image", "pixels:4", "--text", "tfidf:width=3", "--audio", "mfcc:5")
Rows = list[dict[str, Any]]


def write_items(folder: Path, n: int = 20) -> list[dict[str, str]]:
    """Write pictures and sounds into a folder, and return the rows of a table of them."""
    rows = []
    for i in range(n):
        rng, label = np.random.default_rng(i), i % 2
        pixels = np.clip(rng.normal(COLOURS[label], 20, (24 + i % 3, 24, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        tone = np.sin(np.arange(4000) * (0.1 + 0.2 * label)) + rng.normal(0, 0.1, 4000)
        wavfile.write(folder / f"{i}.wav", 8000, (tone / 3 * 32767).astype(np.int16))
        rows.append(
            {
                "image": f"{i}.png",
                "text": f"{WORDS[label]} number {i}",
                "audio": f"{i}.wav",
                "label": WORDS[label].split()[0],
                "split": "test" if i % 5 == 4 else "train",
                "id": f"item{i}",
            }
        )
    return rows


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write a table."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    return path


def extracted(table: Path, *words: str, name: str = "mine.npz") -> Path:
    """Make a bundle of a table, beside it."""
    output = table.parent / name
    run_command("data", "extract", str(table), "--output", str(output), *(words or ENCODERS)).check(0)
    return output


def refusal(table: Path, *words: str) -> str:
    """Return why no bundle is made of a table."""
    done = run_command(
        "data", "extract", str(table), "--output", str(table.parent / "x.npz"), *(words or ENCODERS)
    )
    assert (done.status, done.out) == (2, ""), done.out + done.err
    assert "Traceback" not in done.err
    assert not (table.parent / "x.npz").exists()
    return done.err


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a bundle."""
    with np.load(path, allow_pickle=False) as bundle:
        return {key: bundle[key] for key in bundle.files}
