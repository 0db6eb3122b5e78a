"""Toys that break one promise each, by the check that must find it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bench.conformance import Check, changed_rows, fitting, outputs
from bench.conformance.samples import Sample
from bench.contract import Array, Checkpoint, Context, Method, SealedTestError, Split, State
from tests.conformance.toys import InnerProduct, Squeezed, Toy, compares, embeds, fits, toy

DATA = Sample().dataset()


def raising(error: Exception, when: Callable[..., Any] = lambda *_: True) -> Callable[..., None]:
    """Return a function that raises an error if ``when`` holds for its arguments."""

    def function(*arguments: Any) -> None:
        if when(*arguments):
            raise error

    return function


def opens_test(method: str, base: type[Method] = Toy) -> type[Method]:
    """Return a toy that opens test data in one of its methods, and hides the refusal."""

    def opening(self: Toy, *arguments: Any) -> Any:
        with contextlib.suppress(SealedTestError):
            DATA.test  # noqa: B018
        return getattr(base, method)(self, *arguments)

    return toy(base, **{method: opening})


def hides_the_seal(train: Split, validation: Split, context: Context) -> None:
    """Open test data and raise an error of another kind."""
    try:
        DATA.test  # noqa: B018
    except SealedTestError as error:
        raise RuntimeError("another error") from error


class OneSided(Toy):
    """Declares a symmetric similarity that is not symmetric."""

    mutual = True

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        cosine = super().similarity(query_modality, queries, gallery_modality, gallery)
        return cosine + (0.5 if query_modality > gallery_modality else 0.0)


class Counting(Toy):
    """Keeps state on the class, so that a second fit starts elsewhere."""

    fits = 0

    def start(self, train: Split, context: Context) -> dict[str, Array]:
        Counting.fits += 1
        return {name: weights + self.fits for name, weights in super().start(train, context).items()}


class Aliased(Toy):
    """Loads a state into arrays that another state shares."""

    def restore(self, rule: str) -> None:
        state = self.states[rule]
        for name, weights in self.states["best"].items():
            weights[...] = state[name]
        self.weights = self.states["best"]


class KeepsRows(Toy):
    """Reads the rows of its fit when a modality is added."""

    kept: Array

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        self.kept = next(iter(train.values())).features
        super().fit(train, validation, context)

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        super().extend(modality, train, validation, context)
        self.lengths[modality] += float(abs(self.kept).max())


class KeepsLateRows(KeepsRows):
    """Reads the rows of a late modality when the next is added."""

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        Toy.fit(self, train, validation, context)
        self.kept = np.ones(1)

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        super().extend(modality, train, validation, context)
        self.kept = train[modality].features


def changed_weights(change: Callable[[str, Array, Split], Array], when: Callable[..., Any]) -> Any:
    """Return a function that changes the weights after a fit, if ``when(method, train)`` holds."""

    def after(method: Toy, train: Split, *_: Any) -> None:
        if when(method, train):
            method.weights = {name: change(name, weights, train) for name, weights in method.weights.items()}

    return after


def over_deviation(name: str, weights: Array, train: Split) -> Array:
    """Divide weights by the deviations of the features, which may be 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(weights / train[name].features.astype(np.float64).std(axis=0)[:, None])


def in_place(array: Array) -> Any:
    """Return a tensor in the memory of a read-only array."""
    return torch.from_numpy(array)


def epoch_alone(method: Toy, train: Split, validation: Split, context: Context) -> None:
    """Leave a trace with no value."""
    context.trace.rows[:] = [{"stage": "train", "epoch": 1}]


def halved(method: Toy, train: Split, *_: Any) -> None:
    """Change training features in place."""
    in_place(train["image"].features)[0] *= 0.5


def embeds_in_place(self: Toy, modality: str, features: Array) -> Array:
    """Centre the features in the memory of the caller."""
    features -= features.mean(axis=0)
    return Toy.embed(self, modality, features)


def no_half(self: Toy, modality: str, features: Array) -> Array:
    """Embed features that are not float16."""
    raising(TypeError("half precision is not implemented"), lambda x: x.dtype == np.float16)(features)
    return Toy.embed(self, modality, features)


def wide_text(self: Toy, modality: str, features: Array) -> Array:
    """Embed texts in twice the width."""
    return np.tile(Toy.embed(self, modality, features), 2 if modality == "text" else 1)


def full_batches(self: Toy, name: str, features: Array, targets: Array) -> float:
    """Divide the loss by the number of full batches."""
    return Toy.epoch(self, name, features, targets) / (len(features) // self.settings.batch_size)


def batch_variance(self: Toy, name: str, features: Array, targets: Array) -> float:
    """Refuse a last batch of one row."""
    raising(ValueError("a batch of one row"), lambda x: len(x) % self.settings.batch_size == 1)(features)
    return Toy.epoch(self, name, features, targets)


def last_class(self: Toy, train: Split, name: str) -> Array:
    """Take the label -1 for the last class."""
    labels = train[name].labels
    return train.targets(name) if labels.ndim > 1 else np.eye(train.n_classes)[labels]


def starts_by_ids(self: Toy, train: Split, context: Context) -> dict[str, Array]:
    """Start from other weights where ids correspond."""
    weights = Toy.start(self, train, context)
    return {name: w + (train[name].ids is not None and train.paired) for name, w in weights.items()}


def global_draws(self: Toy, train: Split, context: Context) -> dict[str, Array]:
    """Draw the weights from NumPy's global generator."""
    return {name: np.random.normal(size=(part.dimension, train.n_classes)) for name, part in train.items()}


def unscaled(self: Toy, state: State, device: str = "cpu") -> None:
    """Load a state without its lengths."""
    Toy.load_state(self, state, device)
    self.lengths = dict.fromkeys(self.lengths, 1.0)


class Retrains(Toy):
    """Changes the weights of all modalities when one is added."""

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        super().extend(modality, train, validation, context)
        for state in self.states.values():
            for weights in state.values():
                weights *= 2


class TakesTurns(Toy):
    """Changes an earlier late modality when the next is added."""

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        self.first = set(train)

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        super().extend(modality, train, validation, context)
        for state in self.states.values():
            for name in set(state) - self.first - {modality}:
                state[name] = state[name] * 2


def lacks_a_class(train: Split, validation: Split, context: Context) -> bool:
    """Whether no validation row has some class."""
    return not all(validation.targets(name).any(axis=0).all() for name in validation)


BROKEN: Mapping[Check, Mapping[str, type[Method]]] = {
    outputs.complete_card: {
        "empty": toy(card=replace(Toy.card, venue=" ", authors="")),
        "year": toy(card=replace(Toy.card, year=25)),
    },
    outputs.valid_variants: {"type": toy(variants={"longer": {"epochs": "many"}})},
    fitting.basics: {
        "crash": fits(raising(ZeroDivisionError("divided by zero"))),
        "nan": embeds(lambda rows: rows * np.nan),
        "transposed": embeds(lambda rows: rows.T),
        "integers": embeds(lambda rows: np.rint(rows).astype(np.int64)),
        "widths": toy(embed=wide_text),
        "list": embeds(lambda rows: rows.tolist()),
        "in place": toy(embed=embeds_in_place),
    },
    outputs.single_row: {"squeezed": Squeezed},
    outputs.row_by_row: {
        "batch mean": embeds(lambda rows: rows - rows.mean(axis=0) if len(rows) > 1 else rows),
        # Labels of sorted rows would leak through the number of a row.
        "row numbers": embeds(lambda rows: rows + np.arange(len(rows))[:, None]),
        "row count": embeds(lambda rows: rows if len(rows) == 1 else rows / len(rows)),
    },
    outputs.not_collapsed: {
        "equal": embeds(np.ones_like),
        # A few rows of length zero are allowed.
        "zero": embeds(lambda rows: rows * (rows.argmax(axis=1) == 0)[:, None]),
    },
    outputs.similarities: {
        "shape": compares(lambda matrix: matrix[:, :3], Toy),
        "infinite": compares(lambda matrix: matrix * np.inf, Toy),
        "one-sided": OneSided,
    },
    outputs.pair_by_pair: {
        "positions": compares(lambda matrix: -np.abs(np.subtract(*np.indices(matrix.shape))).astype(float)),
        "gallery positions": compares(lambda matrix: matrix + np.arange(matrix.shape[1])),
        "query mean": compares(lambda matrix: matrix - matrix.mean(axis=0) if len(matrix) > 1 else matrix),
        "squeezed": compares(np.squeeze),
    },
    fitting.deterministic: {"global generator": toy(start=global_draws), "class attribute": Counting},
    fitting.float_types: {
        "float16": toy(embed=no_half),
        "float64": fits(
            after=changed_weights(
                lambda name, weights, train: weights[:, ::-1] ** 2,
                lambda method, train: next(iter(train.values())).features.dtype == np.float64,
            )
        ),
    },
    fitting.sealed: {
        "fit": fits(lambda train, validation, context: (train, DATA.test, context)),
        "hidden in fit": opens_test("fit"),
        "other error": fits(hides_the_seal),
        "init": opens_test("__init__"),
        "embed": opens_test("embed"),
        "similarity": opens_test("similarity", InnerProduct),
        "notes": opens_test("notes"),
        "restore": opens_test("restore"),
    },
    fitting.no_change: {
        "features": fits(after=halved),
        "labels": fits(after=lambda *given: in_place([*given[2].values()][-1].labels).zero_()),
    },
    fitting.unequal: {"stacked": fits(lambda train, *_: np.stack([train.targets(name) for name in train]))},
    fitting.missing_from_batch: {
        "nan": fits(
            after=changed_weights(
                lambda name, weights, train: weights * np.nan,
                lambda method, train: method.settings.batch_size < train.n_classes,
            )
        )
    },
    fitting.missing_from_validation: {"index": fits(raising(IndexError("class 4"), lacks_a_class))},
    fitting.large_batch: {"no batch": toy(epoch=full_batches)},
    fitting.one_row_batch: {"variance": toy(epoch=batch_variance)},
    fitting.wide: {
        "singular": fits(
            raising(
                np.linalg.LinAlgError("singular matrix"),
                lambda train, *_: any(part.dimension > len(part) for part in train.values()),
            )
        )
    },
    fitting.constant_columns: {
        "deviation": fits(after=changed_weights(over_deviation, lambda method, train: True))
    },
    fitting.indifferent_to_scale: {"unscaled": toy(length=lambda self, features: 1.0)},
    fitting.trace: {
        "none": fits(after=lambda *given: given[3].trace.rows.clear()),
        "empty": fits(after=epoch_alone),
    },
    fitting.deadline: {
        "ignored": fits(
            lambda train, validation, context: (train, validation, replace(context, deadline=None))
        ),
        "other error": fits(
            raising(TimeoutError("late"), lambda *given: (given[2].deadline or np.inf) < time.monotonic())
        ),
    },
    fitting.restoring: {
        "aliased": Aliased,
        "any rule": toy(
            restore=lambda self, rule: Toy.restore(self, rule if rule in self.states else "last")
        ),
        "no state": toy(
            checkpoints=lambda self: {
                **Toy.checkpoints(self),
                "oracle": Checkpoint("oracle", 1, None, "none"),
            }
        ),
    },
    fitting.storing: {
        "incomplete": toy(load_state=unscaled),
        "objects": toy(
            stored_state=lambda self: State(
                {**self.weights, "names": np.array([*self.weights], dtype=object)}
            )
        ),
    },
    outputs.plain_notes: {
        "set": toy(notes=lambda self: {"classes": {1, 2}}),
        "crash": toy(notes=raising(AttributeError("no attribute 'history'"))),
    },
    outputs.multi_label: {
        "one label": fits(
            lambda train, *_: [
                np.eye(train.n_classes)[part.labels].reshape(len(part), train.n_classes)
                for part in train.values()
            ]
        )
    },
    outputs.five_modalities: {
        "two": fits(lambda train, *given: (train.select(tuple(train)[:2]), *given)),
    },
    changed_rows.unlabelled_rows: {"last class": toy(targets=last_class)},
    changed_rows.partial_pairs: {
        "refused": fits(raising(ValueError("partial"), lambda train, *_: train.pairing == "partial"))
    },
    changed_rows.pairs_unused: {"ids": toy(start=starts_by_ids)},
    changed_rows.late_modality: {
        "retrained": Retrains,
        "rows": KeepsRows,
        "late rows": KeepsLateRows,
        "turns": TakesTurns,
        "undeclared": toy(card=replace(Toy.card, late=False)),
        "not possible": toy(extend=Method.extend),
    },
}
