"""How many pictures and texts a second the packaged encoders take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.contract import UsageError
from bench.encoders import Kind, Sound, create_encoder

N = 64


def _items(kind: Kind) -> list[Any]:
    rng = np.random.default_rng(0)
    if kind == "image":
        return [Image.fromarray(rng.integers(0, 255, (240, 320, 3), dtype=np.uint8)) for _ in range(N)]
    if kind == "audio":
        return [Sound(rng.standard_normal(24_000).astype(np.float32), 16_000) for _ in range(N)]
    words = ["dog", "beach", "running", "brown", "the", "of", "market", "person", "two", "street"]
    return [" ".join(rng.choice(words, 12)) for _ in range(N)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [("image", "efficientnet-lite0"), ("text", "minilm"), ("text", "tfidf"), ("audio", "mfcc")],
)
def test_items_per_second(kind: Kind, name: str, benchmark: Any) -> None:
    try:
        encoder = create_encoder(kind, name)
    except UsageError as error:
        pytest.skip(str(error))
    items = _items(kind)
    if encoder.card.fitted:
        encoder.fit(items)
    benchmark.pedantic(lambda: encoder.encode(items), rounds=3, warmup_rounds=1)
    if benchmark.stats:
        benchmark.extra_info["items per second"] = N / benchmark.stats.stats.min
        print(f"{kind} {name}: {N / benchmark.stats.stats.min:.0f} items/s")
