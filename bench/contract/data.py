"""Data as a plug-in author sees it: modalities, splits, datasets, and the loader of a dataset's file.

Features are matrices with one row per sample. Labels are either class numbers ``(n,)`` counted from 0,
or 0/1 matrices ``(n, C)`` where a sample may belong to several classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.contract.cards import DatasetCard
from bench.contract.errors import DataError, PluginError
from bench.contract.seal import check_seal

Array = NDArray[Any]
Pairing = Literal["none", "natural", "class-matched"]
DataKind = Literal["real", "look-alike"]
T = TypeVar("T")

Shown = Sequence[str] | NDArray[np.uint8]
"""A text for each sample, or pictures ``(n, height, width, 3)``, RGB from 0 to 255."""

WIDEST_PICTURE: Final = 32
"""Most pixels on a side: records hold what is shown, and stay small."""


@dataclass(frozen=True, eq=False)
class Modality:
    """The samples of one modality.

    Both arrays are read-only views of what was given: all methods and all states of a method share them.

    Attributes:
        features: ``(n, d)`` floating point.
        labels: ``(n,)`` integers from 0, or ``(n, C)`` 0/1 for multi-label data.
    """

    features: Array
    labels: Array

    def __post_init__(self) -> None:
        """Refuse shapes that no later step could work with."""
        if self.features.ndim != 2:
            raise DataError(f"features must be a matrix (n, d), not of shape {self.features.shape}")
        if self.labels.ndim not in (1, 2):
            raise DataError(f"labels must be (n,) or (n, C), not of shape {self.labels.shape}")
        if len(self.features) != len(self.labels):
            raise DataError(f"{len(self.features)} feature rows but {len(self.labels)} label rows")
        object.__setattr__(self, "features", read_only(self.features))
        object.__setattr__(self, "labels", read_only(self.labels))

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.features)

    @property
    def dimension(self) -> int:
        """Width of the feature vectors."""
        return int(self.features.shape[1])

    @property
    def multi_label(self) -> bool:
        """Whether labels are a 0/1 matrix."""
        return self.labels.ndim == 2

    def take(self, rows: Array) -> Modality:
        """Return the samples at ``rows`` (indices or a mask), in that order."""
        return Modality(self.features[rows], self.labels[rows])


def read_only(array: Array) -> Array:
    """Return a view of an array, without a copy, that refuses to be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, eq=False)
class Split(Mapping[str, Modality]):
    """A named part of a dataset: modality name -> samples.

    Attributes:
        modalities: in the dataset's order.
        n_classes: number of classes C of the whole dataset, also where a split misses some.
        pairing: ``natural`` where row i of every modality shows the same thing, ``class-matched``
            where rows were put together by class only, ``none`` otherwise.
    """

    modalities: Mapping[str, Modality]
    n_classes: int
    pairing: Pairing = "none"

    def __post_init__(self) -> None:
        """Check that the rows can be pairs where they are said to be."""
        if not self.modalities:
            raise DataError("a split needs at least one modality")
        counts = {name: len(modality) for name, modality in self.modalities.items()}
        if self.paired and len(set(counts.values())) != 1:
            raise DataError(f"paired modalities must have equally many rows, not {counts}")

    def __getitem__(self, name: str) -> Modality:
        """Return the modality called ``name``."""
        return self.modalities[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the modalities' names."""
        return iter(self.modalities)

    def __len__(self) -> int:
        """Return the number of modalities."""
        return len(self.modalities)

    @property
    def paired(self) -> bool:
        """Whether row i means the same sample, or the same class, in every modality."""
        return self.pairing != "none"

    @property
    def multi_label(self) -> bool:
        """Whether samples may belong to several classes."""
        return next(iter(self.modalities.values())).multi_label

    def targets(self, name: str) -> NDArray[np.float32]:
        """Return the labels of a modality as a 0/1 matrix ``(n, n_classes)``, float32."""
        labels = self.modalities[name].labels
        if labels.ndim == 2:
            return labels.astype(np.float32)
        rows = np.zeros((len(labels), self.n_classes), dtype=np.float32)
        rows[np.arange(len(labels)), labels] = 1.0
        return rows

    def select(self, names: tuple[str, ...]) -> Split:
        """Return the same rows with only the modalities ``names``, in that order."""
        return Split({name: self.modalities[name] for name in names}, self.n_classes, self.pairing)

    def take(self, rows: Mapping[str, Array]) -> Split:
        """Return chosen rows of each modality; pairs stay pairs only if all indices are equal."""
        chosen = {name: modality.take(rows[name]) for name, modality in self.modalities.items()}
        first = next(iter(rows.values()))
        together = all(np.array_equal(first, other) for other in rows.values())
        return Split(chosen, self.n_classes, self.pairing if together else "none")


@dataclass(frozen=True, eq=False)
class Items:
    """What a dataset shows of a split's samples; what it cannot show is left out.

    Attributes:
        shown: by modality, in the order of the split's rows.
        classes: names of the classes by their number; empty where they have none.
    """

    shown: Mapping[str, Shown] = field(default_factory=dict)
    classes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what is neither texts nor small pictures.

        Raises:
            PluginError: if a modality's items are anything else.
        """
        for name, items in self.shown.items():
            if isinstance(items, np.ndarray):
                if not _are_pictures(items):
                    raise PluginError(
                        f"the items of {name!r} are {items.dtype} of shape {items.shape}; give texts, or "
                        f"pictures (n, height, width, 3) of uint8, {WIDEST_PICTURE} pixels wide at most"
                    )
            elif not all(isinstance(item, str) for item in items):
                raise PluginError(f"the items of {name!r} are neither texts nor an array of pictures")
        if not all(isinstance(name, str) for name in self.classes):
            raise PluginError("the names of classes must be texts, one for each class")

    def check(self, counts: Mapping[str, int], n_classes: int) -> None:
        """Refuse items that are not of these samples.

        Args:
            counts: samples by modality.
            n_classes: number of classes.

        Raises:
            PluginError: if there are more or fewer items than samples, or names than classes.
        """
        for name, items in self.shown.items():
            if len(items) != counts.get(name):
                raise PluginError(
                    f"there are {len(items)} items of {name!r} for {counts.get(name, 0)} test rows; "
                    "items() must give one for each row of the test split, in its order"
                )
        if len(self.classes) not in (0, n_classes):
            raise PluginError(f"there are {len(self.classes)} names for {n_classes} classes")

    def take(self, rows: Mapping[str, NDArray[Any]]) -> Items:
        """Return the items of chosen rows of each modality."""
        return Items({name: _taken(items, rows[name]) for name, items in self.shown.items()}, self.classes)

    def select(self, names: Sequence[str]) -> Items:
        """Return the items of the modalities ``names`` only."""
        return Items({name: self.shown[name] for name in names if name in self.shown}, self.classes)


def _are_pictures(items: NDArray[Any]) -> bool:
    return (
        items.dtype == np.uint8
        and items.ndim == 4
        and items.shape[3] == 3
        and 0 < min(items.shape[1:3]) <= max(items.shape[1:3]) <= WIDEST_PICTURE
    )


def _taken(items: Shown, rows: NDArray[Any]) -> Shown:
    if isinstance(items, np.ndarray):
        return np.asarray(items[rows])
    return [items[int(row)] for row in rows]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset ready for use: a name, a card and three splits.

    Attributes:
        name: registry name, or the stem of a feature bundle's file name.
        card: what is known about the dataset.
        train: rows to fit on.
        validation: rows to select on.
        kind: ``real``, or ``look-alike`` for generated stand-ins.
        fingerprint: digest of the content (real) or of the generating rule (look-alike).
        split: which partition this is, where several are in use.
        open_test: gives the test split, where the seal allows it; the attribute ``test`` calls it.
        open_items: gives what the test rows look like to people, under the same seal; see ``items``.
    """

    name: str
    card: DatasetCard
    train: Split
    validation: Split
    kind: DataKind
    fingerprint: str
    split: str
    open_test: Callable[[], Split] = field(repr=False)
    open_items: Callable[[], Items] = field(default=Items, repr=False)

    def __post_init__(self) -> None:
        """Put the seal on the only ways to the test split."""
        object.__setattr__(self, "open_test", self._sealed(self.open_test))
        object.__setattr__(self, "open_items", self._sealed(self.open_items))

    def _sealed(self, opened: Callable[[], T]) -> Callable[[], T]:
        def open_if_allowed() -> T:
            """Open the test split unless a method is at work."""
            check_seal(self.name)
            return opened()

        return open_if_allowed

    @property
    def test(self) -> Split:
        """The test split.

        Raises:
            SealedTestError: while the harness lets a method work.
        """
        return self.open_test()

    @property
    def items(self) -> Items:
        """What the test rows look like to people; empty where the dataset does not show them.

        Raises:
            SealedTestError: while the harness lets a method work.
            PluginError: if the dataset's file gives items that are not of its test rows.
        """
        return self.open_items()

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the dataset's order."""
        return tuple(self.train)

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return self.train.n_classes

    def select(self, names: tuple[str, ...]) -> Dataset:
        """Return the dataset with only the modalities ``names``."""
        return Dataset(
            self.name,
            self.card,
            self.train.select(names),
            self.validation.select(names),
            self.kind,
            self.fingerprint,
            self.split,
            lambda: self.open_test().select(names),
            lambda: self.open_items().select(names),
        )


class DatasetLoader(ABC):
    """Reads one dataset's files as their publisher made them.

    The harness finds the files, checks what `read` returns against the card (shapes, finite values,
    label range) and adds the fingerprint; a loader only knows the layout.

    Attributes:
        card: what is known about the dataset.
        embedded: files that come with the loader, by name; they are never looked for elsewhere.
    """

    card: ClassVar[DatasetCard]
    embedded: ClassVar[Mapping[str, Path]] = MappingProxyType({})

    @abstractmethod
    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits ``train``, ``validation`` and ``test``.

        Args:
            files: path of every file of the card and of every embedded one, by name.

        Raises:
            DataError: if a file is damaged or laid out otherwise.
        """

    def items(self, files: dict[str, Path]) -> Items:
        """Return what the rows of the test split look like to people, in the order of `read`.

        A loader may leave this out. What it gives is shown in galleries of results and has no part in any
        number; it is asked for after the evaluation, and not for look-alikes.

        Args:
            files: as for `read`.
        """
        return Items()
