"""Chance: random unit embeddings, the lower reference point of every table."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import contract as t
from bench.evaluation import expected_random_map


@dataclass(frozen=True)
class ChanceSettings:
    """Settings of chance."""

    dimension: int = t.setting(64, "of the random directions; the expectation does not depend on it", "ours")

    def __post_init__(self) -> None:
        if self.dimension < 2:
            raise ValueError(f"dimension must be at least 2, not {self.dimension}")


class Chance(t.Method):
    """A random ranking: simulated in `embed`, analytic in `notes`."""

    card = t.card("chance")
    Settings = ChanceSettings
    settings: ChanceSettings

    def fit(self, train: t.Split, validation: t.Split, context: t.Context) -> None:
        """Draw a seed per modality and work out the expected mAP@all of the validation split."""
        self._seeds = {name: context.stream_seed(f"chance/{name}") for name in train}
        expected = expected_random_map(validation)
        self._expected = {direction.replace(">", "->"): value for direction, value in expected.items()}

    def embed(self, modality: str, features: t.Array) -> t.Array:
        """Return random unit rows ``(n, dimension)``, float32.

        The modality's seed and the bytes of a row seed its draw. So the embedding of a row does not depend on
        other rows, and near rows are as far apart as any two.

        Raises:
            UsageError: if there is no such modality.
        """
        known: Mapping[str, int] = getattr(self, "_seeds", {})
        seed = t.fitted_part(known, modality, "chance")
        draws = np.empty((len(features), self.settings.dimension))
        for row, values in zip(draws, features, strict=True):
            # Equal values of any floating type, and zeros of either sign, have the same bytes.
            content = (values.astype(np.float64) + 0.0).tobytes()
            digest = hashlib.blake2b(content, digest_size=16, key=seed.to_bytes(8, "big")).digest()
            row[:] = np.random.default_rng(int.from_bytes(digest, "big")).standard_normal(len(row))
        return np.asarray(draws / np.linalg.norm(draws, axis=1, keepdims=True), dtype=np.float32)

    def stored_state(self) -> t.State:
        """Return the seeds, from which everything follows."""
        return t.State({}, {"seeds": self._seeds})

    def load_state(self, state: t.State, device: str = "cpu") -> None:
        """Take over the seeds.

        Raises:
            DataError: if there are none.
        """
        seeds = state.facts.get("seeds")
        if not isinstance(seeds, Mapping) or not all(
            type(seed) is int and seed >= 0 for seed in seeds.values()
        ):
            raise t.DataError("the stored state has no seed for each modality")
        self._seeds = dict(seeds)

    def notes(self) -> Mapping[str, Any]:
        """Return the exact expectation of mAP@all per direction, for the classes of the validation split."""
        return {"expected_map_at_all": dict(getattr(self, "_expected", {})), "prior": "validation split"}
