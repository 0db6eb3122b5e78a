"""TF-IDF with truncated SVD (latent semantic analysis), fitted on the training rows; any language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.contract import DataError, UsageError
from bench.encoders.contract import Encoder, EncoderCard, Features


@dataclass(frozen=True)
class TfidfSettings:
    """What is counted, and into how many dimensions.

    Attributes:
        terms: ``words``, or ``chars`` for n-grams of characters within words (any language).
        width: most dimensions of the features.
        shortest: least n of the n-grams.
        longest: greatest n of the n-grams.
    """

    terms: str = "words"
    width: int = 256
    shortest: int = 1
    longest: int = 1


class Tfidf(Encoder[str]):
    """Weights of terms by frequency and rarity, reduced by a truncated SVD, of unit length."""

    card = EncoderCard(
        name="tfidf",
        kind="text",
        title="TF-IDF with truncated SVD, unit length",
        weights="none: fitted on the training rows of the data itself",
        licence="none needed",
        preprocessing="lower case, words or n-grams of characters, (1 + log tf) idf",
        fitted=True,
    )
    Settings = TfidfSettings

    def __init__(self, settings: Any = None, device: str = "cpu") -> None:
        super().__init__(settings, device)
        chosen = self.settings
        if chosen.terms not in ("words", "chars"):
            raise UsageError(f"tfidf: terms must be words or chars, not {chosen.terms!r}")
        if not (1 <= chosen.shortest <= chosen.longest <= 10 and chosen.width >= 1):
            raise UsageError(
                "tfidf: n-grams must be 1 <= shortest <= longest <= 10, and the width at least 1"
            )
        self._pipeline: Any = None

    def fit(self, items: Sequence[str]) -> None:
        """Learn vocabulary, rarities and directions from the training texts.

        Raises:
            DataError: if they have fewer than three terms, or are fewer than three.
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import Normalizer

        chosen = self.settings
        counts = TfidfVectorizer(
            analyzer="word" if chosen.terms == "words" else "char_wb",
            ngram_range=(chosen.shortest, chosen.longest),
            sublinear_tf=True,
        )
        try:
            matrix = counts.fit_transform(items)
        except ValueError as error:
            raise DataError(f"tfidf: the training texts cannot be used: {error}") from error
        most = min(matrix.shape) - 1
        if most < 2:
            raise DataError(f"tfidf: {matrix.shape[0]} texts with {matrix.shape[1]} terms are too few")
        svd = TruncatedSVD(min(chosen.width, most), random_state=0).fit(matrix)
        self._pipeline = make_pipeline(counts, svd, Normalizer())

    def encode(self, batch: Sequence[str]) -> Features:
        """Return the features ``(n, width)`` of texts; a text without a known term is a row of zeros."""
        return np.asarray(self._pipeline.transform(batch), dtype=np.float32)
