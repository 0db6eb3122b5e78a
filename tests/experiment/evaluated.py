"""Methods for tests of evaluation and storage; given to the harness with ``--plugin``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from bench import training as t
from bench.contract import Array, Checkpoint, Context, Method, MethodCard, Split, State


def _card(name: str, deep: bool = False) -> MethodCard:
    criterion: Literal["map", "none"] = "map" if deep else "none"
    takes: dict[str, Any] = {"any_modalities": True, "multi_label": True}
    return MethodCard(name, name.title(), deep=deep, pairs="unused", selects_by=criterion, **takes)


@dataclass(frozen=True)
class NoSettings:
    """None."""


class _Plain(Method):
    Settings: ClassVar[type] = NoSettings

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        """Nothing to learn."""

    def embed(self, modality: str, features: Array) -> Array:
        return np.asarray(features[:, :4], dtype=np.float64)


FEW = 64
"""Rows whose independence a run checks before it opens the test split."""


class Positions(_Plain):
    """Compares rows by their positions alone, and by their features where there are few."""

    card = _card("positions")

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        if len(gallery) <= FEW:
            return np.asarray(queries @ gallery.T)
        left, right = (np.arange(len(rows)) / len(rows) for rows in (queries, gallery))
        return np.asarray(-np.abs(left[:, None] - right))


class Numbers(_Plain):
    """Embeds a row as a function of its number alone, and of its features where there are few rows."""

    card = _card("numbers")

    def embed(self, modality: str, features: Array) -> Array:
        if len(features) <= FEW:
            return features[:, :2]
        angle = np.pi * np.arange(len(features)) / len(features)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@dataclass(frozen=True)
class StateSettings:
    """In each state, rows whose first feature is below a limit are zero; None: no row is.

    Attributes:
        unrankable: states in which all rows are NaN.
        together: whether `best` and `last` are one state.
    """

    best: float | None = None
    last: float | None = None
    oracle: float | None = None
    unrankable: tuple[str, ...] = ()
    together: bool = False


class States(_Plain):
    """Has three states, of which each may embed some rows as zeros."""

    card = _card("states")
    Settings = StateSettings

    def checkpoints(self) -> dict[str, Checkpoint]:
        epochs = {"best": 1, "last": 1 if self.settings.together else 2, "oracle": 3}
        return {rule: Checkpoint(rule, epoch, None, "chosen by hand") for rule, epoch in epochs.items()}

    def restore(self, rule: str) -> None:
        self._rule = "best" if self.settings.together and rule == "last" else rule

    def embed(self, modality: str, features: Array) -> Array:
        rows = super().embed(modality, features)
        limit = getattr(self.settings, self._rule)
        if modality == "text" and limit is not None:
            rows[features[:, 0] < limit] = 0
        if modality == "text" and self._rule in self.settings.unrankable:
            rows[:] = np.nan
        return rows


@dataclass(frozen=True, kw_only=True)
class CollapsingSettings(t.DeepSettings):
    """Epochs after which test rows are embedded as one point."""

    epochs: int = 4
    lr: float = 0.1
    at: tuple[int, ...] = (2, 3)


class Collapsing(t.DeepMethod):
    """Learns each modality's classes; test rows, which have larger features, collapse in some epochs."""

    card = _card("collapsing", deep=True)
    Settings = CollapsingSettings
    settings: CollapsingSettings

    def stages(self, train: t.DeviceSplit, context: Context) -> Iterator[t.Stage]:
        self.context = context
        self.nets = self.mlps(train, train.n_classes, hidden=(8,))
        self.epoch = 0
        yield t.Stage([self._track(name) for name in train], self.settings.epochs)

    def _track(self, name: str) -> t.Track:
        net = self.nets[name]

        def loss(batch: t.Batch, clock: t.Clock) -> Tensor:
            self.epoch = clock.epoch
            return t.distance(net(batch.features[name]), batch.targets[name])

        step = t.Step(loss, t.adam(net.parameters(), self.settings.lr))
        return t.Track(name, [net], [step], t.Independent(20, (name,)))

    def encode(self, modality: str, x: Tensor) -> Tensor:
        rows: Tensor = self.nets[modality](x)
        collapsed = float(x.max()) > 50 and self.epoch in self.settings.at
        return 0 * rows + 1 if collapsed else rows

    def restore(self, rule: str) -> None:
        super().restore(rule)
        self.epoch = 0

    def notes(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, kw_only=True)
class DisturbedSettings(CollapsingSettings):
    """In which way embedding a test row changes what is trained or embedded later; empty for none."""

    way: str = ""


def _factor(seen: list[int] = [0]) -> list[int]:  # noqa: B006  one of the ways
    return seen


class Disturbed(Collapsing):
    """Keeps something of the test rows that it embeds during its fit, where no harness can look."""

    card = _card("disturbed", deep=True)
    Settings = DisturbedSettings
    settings: DisturbedSettings

    def stages(self, train: t.DeviceSplit, context: Context) -> Iterator[t.Stage]:
        calls = iter(range(10**6))
        drawn = [0]

        def count() -> None:
            drawn[0] = next(calls)

        self._count, self._drawn = count, drawn
        yield from super().stages(train, context)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        net: Any = self.nets[modality]
        if float(x.max()) > 50:
            if self.settings.way == "gradient":
                next(net.parameters()).requires_grad_(False)
            elif self.settings.way == "default":
                _factor()[0] += 1
            elif self.settings.way == "closure":
                self._count()
            elif self.settings.way == "environment":
                os.environ["DISTURBED"] = "1"
        changed = _factor()[0] + self._drawn[0] + len(os.environ.get("DISTURBED", ""))
        rows: Tensor = net(x)
        return rows + changed * torch.arange(rows.shape[1])


class Unrepeatable(Collapsing):
    """Trains otherwise each time, without an oracle, or ends the program when it fits again."""

    card = _card("unrepeatable", deep=True)
    Settings = DisturbedSettings
    settings: DisturbedSettings

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        if self.settings.way == "ends" and context.oracle is not None:
            raise SystemExit(3)
        super().fit(
            train, validation, replace(context, oracle=None) if self.settings.way == "own loop" else context
        )

    def _track(self, name: str) -> t.Track:
        track = super()._track(name)
        loss: Any = track.steps[0].loss
        factor = 1 + int.from_bytes(os.urandom(2), "big") if self.settings.way == "random" else 1

        def scaled(batch: t.Batch, clock: t.Clock) -> Tensor:
            value: Tensor = loss(batch, clock)
            return factor * value

        track.steps[0].loss = scaled
        return track


class Signs(_Plain):
    """Compares rows with a sign that changes in its last state."""

    card = _card("signs")
    sign = 1.0

    def checkpoints(self) -> dict[str, Checkpoint]:
        return {rule: Checkpoint(rule, epoch, None, "") for epoch, rule in enumerate(("best", "last"), 1)}

    def restore(self, rule: str) -> None:
        self.sign = 1.0 if rule == "best" else -1.0

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        return np.asarray(self.sign * (queries[:, :4] @ gallery[:, :4].T))


class Silent(_Plain):
    """Projects at random, and defines no state to store."""

    card = _card("silent")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        self.weights = {
            name: context.generator(name).normal(size=(part.dimension, 4)) for name, part in train.items()
        }

    def embed(self, modality: str, features: Array) -> Array:
        return np.asarray(features @ self.weights[modality])


class Forgets(Silent):
    """Stores weights without their last bits."""

    card = _card("forgets")

    def stored_state(self) -> State:
        return State({name: weights.astype(np.float32) for name, weights in self.weights.items()})

    def load_state(self, state: State, device: str = "cpu") -> None:
        self.weights = dict(state.arrays)
