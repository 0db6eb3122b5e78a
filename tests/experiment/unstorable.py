"""Methods that cannot be stored: one forgets what it uses, the other does not say how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench import contract as t


@dataclass(frozen=True)
class Nothing:
    """No settings."""


class Silent(t.Method):
    """Projects at random, and defines no state."""

    card = t.card("silent", title="Silent", deep=False, pairs="unused", selects_by="none")
    Settings = Nothing

    def fit(self, train: t.Split, validation: t.Split, context: t.Context) -> None:
        self.weights = {
            name: context.generator(name).normal(size=(part.dimension, 4)) for name, part in train.items()
        }

    def embed(self, modality: str, features: t.Array) -> t.Array:
        return np.asarray(features @ self.weights[modality])


class Forgets(Silent):
    """Stores weights without their last bits."""

    card = t.card("forgets", title="Forgets", deep=False, pairs="unused", selects_by="none")

    def stored_state(self) -> t.State:
        return t.State({name: weights.astype(np.float32) for name, weights in self.weights.items()})

    def load_state(self, state: t.State, device: str = "cpu") -> None:
        self.weights = dict(state.arrays)
