"""Defaults of a method, limits of its card, and exit statuses of errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from bench.conformance.samples import Sample
from bench.contract import Array, Context, Method, MethodCard, Split, errors, unsuitable


class Plain(Method):
    card = MethodCard("plain", "P", "A", 2025, "V", "F")

    @dataclass(frozen=True)
    class Settings:
        """One."""

        lr: float = 0.5

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        """Do nothing."""

    def embed(self, modality: str, features: Array) -> Array:
        return features


def test_settings_default_to_the_published_ones_and_there_is_nothing_to_restore_or_to_note() -> None:
    assert Plain().settings == Plain.Settings(0.5)
    assert Plain(Plain.Settings(0.1)).settings.lr == 0.1
    assert Plain().checkpoints() == Plain().notes() == {}
    with pytest.raises(KeyError):
        Plain().restore("best")
    with pytest.raises(TypeError, match="abstract"):
        Method()  # type: ignore[abstract]


def test_similarity_is_the_cosine_of_the_embeddings() -> None:
    queries, gallery = np.array([[3.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 2.0], [5.0, 0.0], [-1.0, -1.0]])
    half = np.sqrt(0.5)
    expected = [[0, 1, -half], [half, half, -1]]
    np.testing.assert_allclose(Plain().similarity("a", queries, "b", gallery), expected, atol=1e-15)


@pytest.mark.parametrize(
    ("status", "names"),
    [
        (2, ("UsageError", "DataError", "PluginError")),
        (1, ("Unsupported", "RefusedEmbeddings", "SealedTestError", "DeadlineExceeded")),
    ],
)
def test_wrong_input_ends_with_2_and_a_failing_cell_with_1(status: int, names: tuple[str, ...]) -> None:
    for error in (getattr(errors, name) for name in names):
        assert issubclass(error, errors.BenchError)
        assert error.exit_status == status


ABLE = MethodCard("x", "Able", "A", 2025, "V", "F", pairs="unused", any_modalities=True, multi_label=True)
THREE = Sample(modalities=("image", "text", "audio"), rows=(8,) * 3)


@pytest.mark.parametrize(
    ("change", "sample", "noun"),
    [
        ({}, Sample(modalities=("image",), rows=(8,)), "only image"),
        ({"any_modalities": False}, THREE, "image, text, audio"),
        ({"multi_label": False}, Sample(multi_label=True), "one class"),
        ({"pairs": "needed"}, Sample(rows=(8, 9), pairing="none"), "class_matched"),
    ],
)
def test_data_beyond_the_limits_of_a_card_has_a_reason(
    change: dict[str, object], sample: Sample, noun: str
) -> None:
    reason = unsuitable(replace(ABLE, **change), sample.dataset().train)  # type: ignore[arg-type]
    assert reason is not None
    assert reason.startswith("Able ")
    assert noun in reason


@pytest.mark.parametrize("pairs", ["labels", "unused"])
def test_a_method_without_limits_takes_everything(pairs: str) -> None:
    card = replace(ABLE, pairs=pairs)  # type: ignore[arg-type]
    for sample in (Sample(), THREE, Sample(multi_label=True), Sample(rows=(8, 9), pairing="none")):
        assert unsuitable(card, sample.dataset().train) is None


def test_class_matched_rows_count_as_pairs() -> None:
    card = replace(ABLE, pairs="needed", any_modalities=False, multi_label=False)
    assert unsuitable(card, Sample(pairing="class-matched").dataset().train) is None
