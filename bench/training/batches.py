"""Batch plans: which rows make up the batches of an epoch.

A plan draws from streams of the context, so that all methods with the same plan get the same batches, and no
method's draws depend on another's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.contract import Context, Split

Rows = Mapping[str, NDArray[np.int64]]
"""Row numbers in the training split, per modality."""


class Plan(ABC):
    """How the rows of the training split are put into batches, a frozen dataclass.

    ``batch_size`` is the number of rows per modality and batch; more than there are means one batch of all.
    A plan that a class declares as `DeepMethod.batches` leaves it to the settings. ``modalities`` are those
    that take part; None for all.
    """

    @abstractmethod
    def epochs(self, train: Split, context: Context, stream: str) -> Iterator[list[Rows]]:
        """Yield the batches of one epoch after the other, without end.

        Every epoch must have the same number of batches. Of the training split sizes and labels count; the
        streams to draw from begin with ``stream``.
        """


@dataclass(frozen=True)
class AlignedPairs(Plan):
    """The same rows in every modality: row i of each shows the same sample.

    Attributes:
        minimum: a last batch with fewer rows joins the one before.
        shuffle: whether each epoch has a new order.
    """

    batch_size: int = 0
    minimum: int = 1
    shuffle: bool = True

    def epochs(self, train: Split, context: Context, stream: str) -> Iterator[list[Rows]]:
        """Yield batches whose rows are equal in all modalities."""
        count = len(next(iter(train.values())))
        for order in _orders(count, context, f"{stream}/pairs", self.shuffle):
            yield [dict.fromkeys(train, part) for part in cut(order, self.batch_size, self.minimum)]


@dataclass(frozen=True)
class Independent(Plan):
    """Every modality in another order; the rows of a batch do not correspond.

    Attributes:
        minimum: a last batch with fewer rows joins the one before.
        keep_rest: whether rows that do not fill the last batch are used.
        length: an epoch ends with the ``shortest`` modality, or goes on to the end of the ``longest``,
            where the others start over in a new order.
    """

    batch_size: int = 0
    modalities: tuple[str, ...] | None = None
    minimum: int = 1
    keep_rest: bool = True
    length: Literal["shortest", "longest"] = "longest"

    def epochs(self, train: Split, context: Context, stream: str) -> Iterator[list[Rows]]:
        """Yield batches drawn from each modality alone."""
        names = self.modalities or tuple(train)
        orders = {name: _orders(len(train[name]), context, f"{stream}/{name}") for name in names}
        cuts = partial(cut, batch_size=self.batch_size, minimum=self.minimum, keep_rest=self.keep_rest)
        counts = [len(cuts(np.arange(len(train[name])))) for name in names]
        count = max(counts) if self.length == "longest" else min(counts)
        while True:
            drawn = {name: [*islice(chain.from_iterable(map(cuts, orders[name])), count)] for name in names}
            yield [{name: drawn[name][i] for name in names} for i in range(count)]


@dataclass(frozen=True)
class Joint(Plan):
    """Pairs where the data has them, else every modality in another order.

    For losses that relate the rows of a batch through their labels and need no pairs.

    Attributes:
        minimum: a last batch with fewer rows joins the one before.
    """

    batch_size: int = 0
    minimum: int = 1

    def epochs(self, train: Split, context: Context, stream: str) -> Iterator[list[Rows]]:
        """Yield batches of pairs, or of rows that do not correspond."""
        plan = AlignedPairs if train.paired else Independent
        return plan(self.batch_size, minimum=self.minimum).epochs(train, context, stream)


@dataclass(frozen=True)
class ClassCovering(Plan):
    """Batches in which every class occurs, for losses that break down where one is missing.

    The rows of each class are distributed evenly over the batches of an epoch. A class with fewer rows
    than there are batches is topped up with rows drawn again, so batches may be a little larger than
    ``batch_size``. Every row is visited at least once per epoch.
    """

    batch_size: int = 0
    modalities: tuple[str, ...] | None = None

    def epochs(self, train: Split, context: Context, stream: str) -> Iterator[list[Rows]]:
        """Yield batches that hold every class that the modality has."""
        names = self.modalities or tuple(train)
        count = max(1, max(len(train[name]) for name in names) // self.batch_size)
        targets = {name: train.targets(name) for name in names}
        generators = {name: context.generator(f"{stream}/{name}") for name in names}
        while True:
            spread = {name: self._distributed(targets[name], count, generators[name]) for name in names}
            yield [{name: spread[name][i] for name in names} for i in range(count)]

    def _distributed(
        self, targets: NDArray[np.float32], count: int, generator: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        """Return the rows of each batch of an epoch."""
        order = generator.permutation(len(targets))
        # A row with several classes counts as one of its rarest class, which has least to spare.
        rarity = np.where(targets > 0, targets.sum(axis=0), np.inf).argmin(axis=1)
        order = order[np.argsort(rarity[order], kind="stable")]
        members = [np.flatnonzero(column) for column in targets.T]
        batches = []
        for start in range(count):
            parts = [order[start::count]]
            held = targets[parts[0]].sum(axis=0)
            for label in np.flatnonzero(held < 1).tolist():
                if held[label] < 1 and len(members[label]):
                    drawn = members[label][generator.integers(len(members[label]), size=1)]
                    held += targets[drawn].sum(axis=0)
                    parts.append(drawn)
            batches.append(generator.permutation(np.concatenate(parts)))
        return batches


def cut(
    order: NDArray[np.int64], batch_size: int, minimum: int = 1, keep_rest: bool = True
) -> list[NDArray[np.int64]]:
    """Cut an order of rows ``(n,)`` into batches; there is always at least one.

    A rest of fewer than ``minimum`` rows joins the batch before it, if a rest is kept at all.
    """
    full, rest = divmod(len(order), batch_size)
    if full == 0:
        return [order]
    if rest == 0 or not keep_rest:
        return np.split(order[: full * batch_size], full)
    ends = np.arange(1, full + 1) * batch_size
    return np.split(order, ends if rest >= minimum else ends[:-1])


def _orders(count: int, context: Context, stream: str, shuffle: bool = True) -> Iterator[NDArray[np.int64]]:
    """Yield an order of the rows for one epoch after the other."""
    generator = context.generator(stream)
    while True:
        yield generator.permutation(count) if shuffle else np.arange(count)
