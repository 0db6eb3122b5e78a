"""The test oracle of a fit: its column, and generators that go on as without it."""

from __future__ import annotations

import random
from collections.abc import Callable, Set
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bench.contract import Array, Context, DeadlineExceeded, Modality, RefusedEmbeddings
from bench.evaluation import evaluate
from bench.training.validation import unchanged_generators
from tests.methods.small_splits import separable
from tests.training.test_loop import Classifier, ToySettings

EPOCHS = 3
MARK = 1e3
"""Features of test rows are this much larger, so that a method can treat them in another way."""

TRAIN = separable({"image": 24, "text": 24}, pairing="natural")
VALIDATION = separable({"image": 9, "text": 9}, pairing="natural", seed=1)
TEST = replace(
    VALIDATION,
    modalities={
        name: Modality(one.features + np.float32(MARK), one.labels)
        for name, one in separable({"image": 9, "text": 9}, seed=2).items()
    },
)


class _Watching(Classifier):
    """Does something to test rows, in chosen epochs."""

    at: Set[int] = frozenset()
    epoch = 0

    def track(self, name: str) -> Any:
        track = super().track(name)

        def begin(_: Any, clock: Any) -> None:
            self.epoch = clock.epoch

        track.steps[0].before = begin
        return track

    def embed(self, modality: str, features: Array) -> Array:
        rows = super().embed(modality, features)
        of_test = len(features) and float(features[0, 0]) > MARK / 2
        return self.disturb(modality, features, rows) if of_test and self.epoch in self.at else rows

    def disturb(self, modality: str, features: Array, rows: Array) -> Array:
        return rows


class Collapses(_Watching):
    def disturb(self, modality: str, features: Array, rows: Array) -> Array:
        return np.ones_like(rows)


class Raises(_Watching):
    def disturb(self, modality: str, features: Array, rows: Array) -> Array:
        raise ZeroDivisionError("a test row was too large")


class Draws(_Watching):
    """Trains on global generators, which embedding a test row takes further."""

    def track(self, name: str) -> Any:
        track = super().track(name)
        loss = track.steps[0].loss

        def noisy(batch: Any, clock: Any) -> Any:
            factor = 1 + random.random() + float(np.random.default_rng(np.random.randint(9)).random())
            return {key: value * factor for key, value in loss(batch, clock).items()}

        track.steps[0].loss = noisy
        return track

    def disturb(self, modality: str, features: Array, rows: Array) -> Array:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        return rows


def _oracle(method: Any) -> float:
    return evaluate(method, TEST, ["map@all"]).mean()


def _fitted(
    kind: type[_Watching], oracle: Callable[[Any], float] | None, at: Set[int]
) -> tuple[Any, list[dict[str, Any]], dict[str, bytes]]:
    """Return checkpoints, the trace without the oracle's column, and embeddings by rule."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    method = kind(ToySettings(epochs=EPOCHS, lr=0.3, dropout=0.2))
    method.at = at
    context = Context(scope=("small",), oracle=oracle)
    method.fit(TRAIN, VALIDATION, context)
    method.at = frozenset()
    trace = [{key: value for key, value in row.items() if key != "oracle_map"} for row in context.trace.rows]
    embedded = {}
    for rule in ("best", "last"):
        method.restore(rule)
        embedded[rule] = b"".join(
            method.embed(name, split[name].features).tobytes()
            for split in (VALIDATION, TEST)
            for name in split
        )
    return {rule: method.checkpoints()[rule] for rule in embedded}, trace, embedded


@pytest.mark.parametrize(
    ("kind", "at"),
    [(Collapses, {1}), (Collapses, {2, 3}), (Draws, {1, 2, 3}), (Raises, {1, 2, 3})],
)
def test_training_is_the_same_with_and_without_the_oracle(kind: type[_Watching], at: set[int]) -> None:
    warned = pytest.warns(RuntimeWarning, match="ZeroDivisionError") if kind is Raises else nullcontext()
    with warned:
        assert _fitted(kind, _oracle, at) == _fitted(kind, None, at)


def test_the_oracles_column_says_where_there_is_no_number() -> None:
    method = Collapses(ToySettings(epochs=5))
    method.at = {2, 3}
    context = Context(oracle=_oracle)
    method.fit(TRAIN, VALIDATION, context)
    column = context.trace.column("oracle_map")
    assert [value is None for value in column] == [False, True, True, False, False]
    assert None not in context.trace.column("validation_map")


def test_a_refused_validation_costs_no_oracle() -> None:
    class Reversed(_Watching):
        def embed(self, modality: str, features: Array) -> Array:
            rows = super().embed(modality, features)
            return rows if float(features[0, 0]) > MARK / 2 else np.zeros_like(rows)

    context = Context(oracle=_oracle)
    Reversed(ToySettings(epochs=2)).fit(TRAIN, VALIDATION, context)
    assert context.trace.column("validation_map") == [None, None]
    assert None not in context.trace.column("oracle_map")


def test_the_end_of_the_time_is_not_hidden_by_the_oracle() -> None:
    def late(_: Any) -> float:
        raise DeadlineExceeded("over")

    with pytest.raises(DeadlineExceeded):
        Classifier(ToySettings(epochs=2)).fit(TRAIN, VALIDATION, Context(oracle=late))


def test_generators_are_put_back_even_after_a_refusal() -> None:
    def states() -> tuple[Any, ...]:
        return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()

    def draw_and_refuse() -> None:
        with unchanged_generators("cpu"):
            _ = random.random(), np.random.rand(), torch.rand(1)
            raise RefusedEmbeddings("collapsed")

    before = states()
    with pytest.raises(RefusedEmbeddings):
        draw_and_refuse()
    assert states() == before
