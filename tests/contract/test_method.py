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
