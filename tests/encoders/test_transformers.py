"""The adapter for transformers, on tiny models with random weights that are made here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.contract import DataError, UsageError
from bench.encoders import Sound, create_encoder

transformers = pytest.importorskip("transformers")

WORDS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "a", "red", "blue", "square", "dog", "cat"]
SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
PICTURES = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue", "green")]
TEXTS = ["a red square", "a dog", "a blue cat square a cat"]
SOUNDS = [Sound(np.sin(np.arange(n) * 0.3).astype(np.float32), 8000) for n in (3000, 4500)]


def save_tokenizer(folder: Path) -> None:
    vocabulary = folder / "vocab.txt"
    vocabulary.parent.mkdir(exist_ok=True)
    vocabulary.write_text("\n".join(WORDS))
    words = {word: i for i, word in enumerate(WORDS)}
    try:
        made = transformers.BertTokenizer(vocab=words, model_max_length=16)
    except TypeError:  # before release 5
        made = transformers.BertTokenizer(str(vocabulary), model_max_length=16)
    made.save_pretrained(folder)


def clip(folder: Path) -> None:
    transformers.set_seed(0)
    text = {**SMALL, "vocab_size": len(WORDS), "max_position_embeddings": 16, "eos_token_id": 2}
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    transformers.CLIPModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    save_image_processor("CLIPImageProcessor", folder, crop_size=32)


def save_image_processor(name: str, folder: Path, **options: Any) -> None:
    getattr(transformers, name)(size={"height": 32, "width": 32}, **options).save_pretrained(folder)


def siglip(folder: Path) -> None:
    transformers.set_seed(0)
    text = {**SMALL, "vocab_size": len(WORDS), "max_position_embeddings": 16, "projection_size": 16}
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    config = transformers.SiglipConfig(text_config=text, vision_config=vision)
    transformers.SiglipModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    save_image_processor("SiglipImageProcessor", folder)


def dinov2(folder: Path) -> None:
    transformers.set_seed(0)
    config = transformers.Dinov2Config(**SMALL, image_size=32, patch_size=8)
    transformers.Dinov2Model(config).save_pretrained(folder)
    save_image_processor("ViTImageProcessor", folder)


def sentences(folder: Path) -> None:
    transformers.set_seed(0)
    config = transformers.BertConfig(**SMALL, vocab_size=len(WORDS), max_position_embeddings=16)
    transformers.BertModel(config).save_pretrained(folder)
    save_tokenizer(folder)


def wav2vec2(folder: Path) -> None:
    transformers.set_seed(0)
    convolutions = {"conv_dim": (8, 8), "conv_stride": (5, 4), "conv_kernel": (10, 8)}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    config = transformers.Wav2Vec2Config(**SMALL, **convolutions, **positions, num_feat_extract_layers=2)
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=16_000).save_pretrained(folder)


CASES: list[tuple[Callable[[Path], None], Any, list[Any], int]] = [
    (clip, "image", PICTURES, 12),
    (clip, "text", TEXTS, 12),
    (siglip, "image", PICTURES, 16),
    (siglip, "text", TEXTS, 16),
    (dinov2, "image", PICTURES, 16),
    (sentences, "text", TEXTS, 16),
    (wav2vec2, "audio", SOUNDS, 16),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Path], None]], Path]:
    made: dict[str, Path] = {}

    def folder_of(make: Callable[[Path], None]) -> Path:
        if make.__name__ not in made:
            made[make.__name__] = tmp_path_factory.mktemp(make.__name__)
            make(made[make.__name__])
        return made[make.__name__]

    return folder_of


@pytest.mark.parametrize(
    ("make", "kind", "items", "width"), CASES, ids=lambda value: getattr(value, "__name__", str(value)[:5])
)
def test_a_model_in_a_folder_encodes_each_item_as_it_does_alone(
    make: Callable[[Path], None], kind: Any, items: list[Any], width: int, folders: Any
) -> None:
    encoder = create_encoder(kind, f"transformers:{folders(make)}")
    found = encoder.encode(items)
    assert found.shape == (len(items), width)
    assert found.dtype == np.float32
    assert not np.allclose(found[0], found[1], atol=1e-4)
    np.testing.assert_allclose(found[-1:], encoder.encode(items[-1:]), atol=1e-5)


def test_the_pooling_of_a_sentence_encoder_is_the_one_that_it_states(folders: Any, tmp_path: Path) -> None:
    sentences(tmp_path)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    stated = create_encoder("text", f"transformers:{tmp_path}").encode(TEXTS)
    first = create_encoder("text", f"transformers:{folders(sentences)},pooling=first").encode(TEXTS)
    mean = create_encoder("text", f"transformers:{folders(sentences)}").encode(TEXTS)
    np.testing.assert_allclose(stated, first, atol=1e-6)
    assert not np.allclose(first, mean, atol=1e-4)


def test_the_checksum_covers_every_file_of_the_folder(folders: Any) -> None:
    folder = folders(dinov2)
    encoder = create_encoder("image", f"transformers:{folder}")
    before = encoder.checksum()
    (folder / "note.txt").write_text("changed")
    assert encoder.checksum() != before
    assert len(before) == 64


@pytest.mark.parametrize("content", [None, "{", '{"model_type": "unheard of"}'])
def test_a_folder_without_a_model_costs_a_sentence(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(DataError, match=tmp_path.name):
        create_encoder("text", f"transformers:{tmp_path}")


def test_code_that_comes_with_a_model_is_not_executed(tmp_path: Path) -> None:
    sentences(tmp_path)
    config = tmp_path / "config.json"
    remote = '{"auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}, "model_type": "mine"}'
    config.write_text(remote)
    (tmp_path / "evil.py").write_text("raise SystemExit('executed')")
    with pytest.raises(DataError):
        create_encoder("text", f"transformers:{tmp_path}")


def test_a_model_without_a_projection_says_so(folders: Any) -> None:
    encoder = create_encoder("text", f"transformers:{folders(sentences)},pooling=projected")
    with pytest.raises(UsageError, match="projects no text"):
        encoder.encode(TEXTS)
