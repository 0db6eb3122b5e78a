"""Toy methods that keep every promise, and functions that return a toy with a changed method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from bench.contract import Array, Checkpoint, Context, Method, MethodCard, Split, State


@dataclass(frozen=True)
class ToySettings:
    """Settings of `Toy`."""

    epochs: int = 3
    batch_size: int = 16
    lr: float = 0.01


class Toy(Method):
    """Linear regression onto the classes by gradient steps: trains in epochs, without torch."""

    card = MethodCard("toy", "Toy", "A. Uthor", 2025, "Venue", "linear supervised", pairs="unused")
    card = replace(card, any_modalities=True, multi_label=True, unlabelled=True, late=True)
    Settings: ClassVar[type] = ToySettings
    settings: ToySettings
    weights: dict[str, Array]
    lengths: dict[str, float]
    states: dict[str, dict[str, Array]]

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        self.weights, self.states = self.start(train, context), {}
        self.lengths = {name: self.length(part.features) for name, part in train.items()}
        targets = {name: self.targets(train, name) for name in train}
        for epoch in range(1, self.settings.epochs + 1):
            context.check_deadline()
            loss = sum(self.epoch(name, part.features, targets[name]) for name, part in train.items())
            context.trace.add("train", epoch, loss=float(loss))
            self.states.setdefault("best", self.copied())
        self.states["last"] = self.copied()

    def targets(self, train: Split, name: str) -> Array:
        return train.targets(name)

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        before = self.weights, self.states, self.lengths
        Toy.fit(self, train, validation, context)
        self.weights, self.lengths = {**before[0], **self.weights}, {**before[2], **self.lengths}
        self.states = {rule: {**before[1][rule], **state} for rule, state in self.states.items()}

    def start(self, train: Split, context: Context) -> dict[str, Array]:
        return {
            name: context.generator(f"init/{name}").normal(size=(part.dimension, train.n_classes))
            for name, part in train.items()
        }

    def length(self, features: Array) -> float:
        return float(np.sqrt(np.mean(np.square(features.astype(np.float64)))))

    def epoch(self, name: str, features: Array, targets: Array) -> float:
        size, loss = self.settings.batch_size, 0.0
        for first in range(0, len(features), size):
            x = features[first : first + size].astype(np.float64) / self.lengths[name]
            y = targets[first : first + size]
            error = x @ self.weights[name] - y
            self.weights[name] -= self.settings.lr * x.T @ error / len(x)
            loss += float(np.square(error).mean())
        return loss

    def copied(self) -> dict[str, Array]:
        return {name: weights.copy() for name, weights in self.weights.items()}

    def embed(self, modality: str, features: Array) -> Array:
        return np.asarray(features.astype(np.float64) / self.lengths[modality] @ self.weights[modality])

    def checkpoints(self) -> Mapping[str, Checkpoint]:
        return {rule: Checkpoint(rule, 1, None, "none") for rule in self.states}

    def restore(self, rule: str) -> None:
        self.weights = {name: weights.copy() for name, weights in self.states[rule].items()}

    def stored_state(self) -> State:
        return State(dict(self.weights), {"lengths": self.lengths})

    def load_state(self, state: State, device: str = "cpu") -> None:
        self.weights, self.lengths = dict(state.arrays), dict(state.facts["lengths"])

    def notes(self) -> Mapping[str, Any]:
        return {"epochs": self.settings.epochs}


class Modest(Toy):
    """Declares that it takes as little as a method may."""

    card = replace(
        Toy.card, pairs="needed", any_modalities=False, multi_label=False, unlabelled=False, late=False
    )

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        Method.extend(self, modality, train, validation, context)


class ClosedForm(Method):
    """Has the required methods alone: no epochs, no batches, no notes."""

    card = replace(Toy.card, deep=False, selects_by="none", late=False)

    @dataclass(frozen=True)
    class Settings:
        """None."""

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        self.weights = {name: np.eye(part.dimension, 5) for name, part in train.items()}

    def embed(self, modality: str, features: Array) -> Array:
        return np.asarray(features.astype(np.float32) @ self.weights[modality])


class InnerProduct(Toy):
    """Ranks by the inner product, with an override of `similarity`."""

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        left, right = self.embed(query_modality, queries), self.embed(gallery_modality, gallery)
        return np.asarray(left @ right.T)


def toy(base: type[Method] = Toy, **attributes: Any) -> type[Method]:
    """Return a subclass with these attributes."""
    return type("Changed", (base,), {"__module__": __name__, **attributes})


def embeds(change: Callable[[Array], Any]) -> type[Method]:
    """Return a toy whose embeddings are changed."""
    return toy(embed=lambda self, *arguments: change(Toy.embed(self, *arguments)))


def compares(change: Callable[[Array], Any], base: type[Method] = InnerProduct) -> type[Method]:
    """Return a toy whose similarities are changed."""
    return toy(
        base, similarity=lambda self, *arguments: np.asarray(change(base.similarity(self, *arguments)))
    )


def fits(before: Callable[..., Any] | None = None, after: Callable[..., Any] | None = None) -> type[Method]:
    """Return a toy that calls functions around its fit; a tuple from the first replaces arguments."""

    def fit(self: Toy, *arguments: Any) -> None:
        changed = before(*arguments) if before else None
        Toy.fit(self, *(changed if isinstance(changed, tuple) else arguments))
        if after is not None:
            after(self, *arguments)

    return toy(fit=fit)


Squeezed = embeds(lambda rows: rows.squeeze())
