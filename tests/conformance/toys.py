"""A toy method that keeps every promise, and one toy for every way to break exactly one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from bench.conformance.samples import Sample
from bench.contract import Array, Checkpoint, Context, Method, MethodCard, SealedTestError, Split, State


@dataclass(frozen=True)
class ToySettings:
    """Few of them."""

    epochs: int = 3
    batch_size: int = 16
    lr: float = 0.01


class Toy(Method):
    """Linear regression onto the classes by gradient steps: trains in epochs, without torch."""

    card = MethodCard(
        name="toy",
        title="Toy",
        authors="nobody",
        year=2025,
        venue="nowhere",
        family="linear supervised",
        pairs="unused",
        any_modalities=True,
        multi_label=True,
        unlabelled=True,
        late=True,
    )
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
    """Promises as little as a method can."""

    card = replace(
        Toy.card, pairs="needed", any_modalities=False, multi_label=False, unlabelled=False, late=False
    )

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        Method.extend(self, modality, train, validation, context)


class ClosedForm(Method):
    """Nothing but what the contract asks for: no epochs, no batches, no notes."""

    card = replace(Toy.card, deep=False, selects_by="none", late=False)

    @dataclass(frozen=True)
    class Settings:
        """None."""

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        self.weights = {name: np.eye(part.dimension, 5) for name, part in train.items()}

    def embed(self, modality: str, features: Array) -> Array:
        return np.asarray(features.astype(np.float32) @ self.weights[modality])


class Nameless(Toy):
    card = replace(Toy.card, venue=" ", authors="")


class Timeless(Toy):
    card = replace(Toy.card, year=25)


class WrongVariant(Toy):
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"longer": {"epochs": "many"}}


class Crashing(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        raise ZeroDivisionError("nothing to divide by")


def embedding(change: Callable[[Array], Any], base: type[Toy] = Toy) -> type[Toy]:
    """Return a toy whose embeddings are changed."""

    class Changed(base):  # type: ignore[misc, valid-type]
        def embed(self, modality: str, features: Array) -> Any:
            return change(super().embed(modality, features))

    return Changed


NotANumber = embedding(lambda rows: rows * np.nan)
Transposed = embedding(lambda rows: rows.T)
Whole = embedding(lambda rows: np.rint(rows).astype(np.int64))
AsList = embedding(lambda rows: rows.tolist())
Squeezed = embedding(lambda rows: rows.squeeze())
BatchStatistics = embedding(lambda rows: rows - rows.mean(axis=0) if len(rows) > 1 else rows)
# Labels of sorted rows would leak through the number of a row.
RowNumbers = embedding(lambda rows: rows + np.arange(len(rows))[:, None])
# A detour for few rows.
Sizes = embedding(lambda rows: rows if len(rows) == 1 else rows / len(rows))
Collapsed = embedding(np.ones_like)
# All rows but a few have length zero; a few are nobody's fault.
ZeroLength = embedding(lambda rows: rows * (rows.argmax(axis=1) == 0)[:, None])


class Wider(Toy):
    def embed(self, modality: str, features: Array) -> Array:
        rows = super().embed(modality, features)
        return np.hstack([rows, rows]) if modality == "text" else rows


class Unscaled(Toy):
    """Takes features as they are stored."""

    def length(self, features: Array) -> float:
        return 1.0


class OneSided(Toy):
    """Says that a pair's similarity is the same from either side, but it is not."""

    mutual = True

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        cosine = super().similarity(query_modality, queries, gallery_modality, gallery)
        return cosine + (0.5 if query_modality > gallery_modality else 0.0)


class OwnSimilarity(Toy):
    """Keeps every promise, with a similarity of its own."""

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        left, right = self.embed(query_modality, queries), self.embed(gallery_modality, gallery)
        return np.asarray(left @ right.T)


def similarity(change: Callable[[Array], Array], base: type[Toy] = OwnSimilarity) -> type[Toy]:
    """Return a toy whose similarities are changed."""

    class Changed(base):  # type: ignore[misc, valid-type]
        def similarity(self, query: str, queries: Array, gallery_name: str, gallery: Array) -> Array:
            return np.asarray(change(super().similarity(query, queries, gallery_name, gallery)))

    return Changed


GalleryFirst = similarity(lambda matrix: matrix[:, :3], Toy)
Infinite = similarity(lambda matrix: matrix * np.inf, Toy)
Positions = similarity(lambda matrix: -np.abs(np.subtract(*np.indices(matrix.shape))).astype(float))
GalleryPositions = similarity(lambda matrix: matrix + np.arange(matrix.shape[1]))
QueryMean = similarity(lambda matrix: matrix - matrix.mean(axis=0) if len(matrix) > 1 else matrix)
OneQueryLess = similarity(np.squeeze)


class GlobalDraws(Toy):
    def start(self, train: Split, context: Context) -> dict[str, Array]:
        return {
            name: np.random.normal(size=(part.dimension, train.n_classes)) for name, part in train.items()
        }


class Counting(Toy):
    """Keeps state on the class, so that the second fit starts elsewhere."""

    fits = 0

    def start(self, train: Split, context: Context) -> dict[str, Array]:
        Counting.fits += 1
        return {name: weights + self.fits for name, weights in super().start(train, context).items()}


class NoHalf(Toy):
    def embed(self, modality: str, features: Array) -> Array:
        if features.dtype == np.float16:
            raise TypeError("half precision is not implemented")
        return super().embed(modality, features)


class OtherHalf(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        if next(iter(train.values())).features.dtype == np.float64:
            self.weights = {name: weights[:, ::-1] ** 2 for name, weights in self.weights.items()}


LEAK = Sample().dataset()


class Peeking(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, LEAK.test, context)


class HiddenPeeking(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        with contextlib.suppress(SealedTestError):
            validation = LEAK.test
        super().fit(train, validation, context)


class SealCrash(Toy):
    """Takes the seal for a problem of another kind."""

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        try:
            LEAK.test  # noqa: B018
        except SealedTestError as error:
            raise RuntimeError("something else") from error
        super().fit(train, validation, context)


def peeking(where: str, base: type[Toy] = Toy) -> type[Toy]:
    """Return a toy that opens test data in one of its methods, and hides that it was refused."""

    def peek(self: Toy, *args: Any) -> Any:
        with contextlib.suppress(SealedTestError):
            LEAK.test  # noqa: B018
        return getattr(base, where)(self, *args)

    return type("Peeking", (base,), {where: peek, "__module__": __name__})


PeekingInInit, PeekingInEmbed = peeking("__init__"), peeking("embed")
PeekingInNotes, PeekingInRestore = peeking("notes"), peeking("restore")
PeekingInSimilarity = peeking("similarity", OwnSimilarity)


def shared_tensor(array: Array) -> Any:
    """Return a tensor in the memory of a read-only array, which torch warns of and allows."""
    import torch

    return torch.from_numpy(array)


class InPlaceFeatures(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        shared_tensor(train["image"].features)[0] *= 0.5


class InPlaceLabels(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        shared_tensor([*validation.values()][-1].labels)[:] = 0


class CentresInPlace(Toy):
    def embed(self, modality: str, features: Array) -> Array:
        features -= features.mean(axis=0)
        return super().embed(modality, features)


class EqualSizes(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        np.stack([train.targets(name) for name in train])
        super().fit(train, validation, context)


class AllClassesInBatch(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        if self.settings.batch_size < train.n_classes:
            self.weights = {name: weights * np.nan for name, weights in self.weights.items()}


class AllClassesInValidation(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        for name in validation:
            if not validation.targets(name).any(axis=0).all():
                raise IndexError("index 4 is out of bounds")
        super().fit(train, validation, context)


class DropsRest(Toy):
    def epoch(self, name: str, features: Array, targets: Array) -> float:
        size = self.settings.batch_size
        return super().epoch(name, features, targets) / (len(features) // size)


class BatchVariance(Toy):
    def epoch(self, name: str, features: Array, targets: Array) -> float:
        if len(features) % self.settings.batch_size == 1:
            raise ValueError("expected more than 1 value per channel")
        return super().epoch(name, features, targets)


class Inverting(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        for part in train.values():
            if part.dimension > len(part):
                raise np.linalg.LinAlgError("singular matrix")
        super().fit(train, validation, context)


class Standardising(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        with np.errstate(divide="ignore"):
            self.weights = {
                name: weights / train[name].features.astype(np.float64).std(axis=0)[:, None]
                for name, weights in self.weights.items()
            }


class Untraced(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        context.trace.rows.clear()


class EmptyTrace(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        context.trace.rows[:] = [{"stage": "train", "epoch": 1}]


class Tireless(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, replace(context, deadline=None))


class Impatient(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        if context.deadline is not None and context.deadline < time.monotonic():
            raise TimeoutError("too late")
        super().fit(train, validation, context)


class Aliased(Toy):
    """Loads a state into arrays that another state shares."""

    def restore(self, rule: str) -> None:
        state = self.states[rule]
        for name, weights in self.states["best"].items():
            weights[...] = state[name]
        self.weights = self.states["best"]


class AnyRule(Toy):
    def restore(self, rule: str) -> None:
        super().restore(rule if rule in self.states else "last")


class Forgetful(Toy):
    def checkpoints(self) -> Mapping[str, Checkpoint]:
        return {**super().checkpoints(), "oracle": Checkpoint("oracle", 1, None, "none")}


class Unscaling(Toy):
    def load_state(self, state: State, device: str = "cpu") -> None:
        super().load_state(state, device)
        self.lengths = dict.fromkeys(self.lengths, 1.0)


class ObjectState(Toy):
    def stored_state(self) -> State:
        return State({**super().stored_state().arrays, "names": np.array([*self.weights], dtype=object)})


class SetNotes(Toy):
    def notes(self) -> Mapping[str, Any]:
        return {"classes": {1, 2}}


class CrashingNotes(Toy):
    def notes(self) -> Mapping[str, Any]:
        raise AttributeError("no attribute 'history'")


class OneLabelOnly(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        for part in train.values():
            np.eye(train.n_classes)[part.labels].reshape(len(part), train.n_classes)
        super().fit(train, validation, context)


class FirstTwo(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train.select(tuple(train)[:2]), validation, context)


class LastClass(Toy):
    def targets(self, train: Split, name: str) -> Array:
        labels = train[name].labels
        return train.targets(name) if labels.ndim > 1 else np.eye(train.n_classes)[labels]


class AllPartners(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        assert train.pairing != "partial"
        super().fit(train, validation, context)


class RelatesIds(Toy):
    def start(self, train: Split, context: Context) -> dict[str, Array]:
        weights = super().start(train, context)
        return {name: w + (train[name].ids is not None and train.paired) for name, w in weights.items()}


class Retrains(Toy):
    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        super().extend(modality, train, validation, context)
        for state in self.states.values():
            for weights in state.values():
                weights *= 2


class KeepsRows(Toy):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        self.kept = next(iter(train.values())).features
        super().fit(train, validation, context)

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        super().extend(modality, train, validation, context)
        self.lengths[modality] += float(abs(self.kept).max())


class KeepsLateRows(KeepsRows):
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        Toy.fit(self, train, validation, context)
        self.kept = np.ones(1)

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        super().extend(modality, train, validation, context)
        self.kept = train[modality].features


class TakesTurns(Toy):
    """Keeps modalities that it was fitted on, and forgets a late one when the next comes."""

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        self.first = set(train)

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        super().extend(modality, train, validation, context)
        for state in self.states.values():
            for name in set(state) - self.first - {modality}:
                state[name] = state[name] * 2


class Undeclared(Toy):
    card = replace(Toy.card, late=False)


class CannotExtend(Toy):
    extend = Method.extend
