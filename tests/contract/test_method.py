"""What a method gets for nothing, and how errors end a command."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from bench.contract import Array, Context, Method, MethodCard, Split, errors


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


def test_settings_default_to_the_published_ones() -> None:
    assert Plain().settings == Plain.Settings(0.5)
    assert Plain(Plain.Settings(0.1)).settings.lr == 0.1


def test_similarity_is_the_cosine_of_the_embeddings() -> None:
    queries, gallery = np.array([[3.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 2.0], [5.0, 0.0], [-1.0, -1.0]])
    half = np.sqrt(0.5)
    expected = [[0, 1, -half], [half, half, -1]]
    np.testing.assert_allclose(Plain().similarity("a", queries, "b", gallery), expected, atol=1e-15)


def test_a_method_without_epochs_has_nothing_to_restore_or_to_note() -> None:
    assert Plain().checkpoints() == {}
    assert Plain().notes() == {}
    with pytest.raises(KeyError):
        Plain().restore("best")


def test_a_method_must_fit_and_embed() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Method()  # type: ignore[abstract]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UsageError, 2),
        (errors.DataError, 2),
        (errors.PluginError, 2),
        (errors.Unsupported, 1),
        (errors.RefusedEmbeddings, 1),
        (errors.SealedTestError, 1),
        (errors.DeadlineExceeded, 1),
    ],
)
def test_wrong_input_ends_with_2_and_a_failing_cell_with_1(
    error: type[errors.BenchError], status: int
) -> None:
    assert issubclass(error, errors.BenchError)
    assert error.exit_status == status
