"""Datasets as a plug-in author sees them: splits, items of rows, and the loader of a dataset's files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.contract.cards import DatasetCard
from bench.contract.data import Split
from bench.contract.errors import PluginError
from bench.contract.seal import check_seal

DataKind = Literal["real", "look-alike"]
T = TypeVar("T")

Shown = Sequence[str] | NDArray[np.uint8]
"""A text for each sample, or pictures ``(n, height, width, 3)``, RGB from 0 to 255."""

WIDEST_PICTURE: Final = 32
"""Most pixels on a side: records hold what is shown, and stay small."""


@dataclass(frozen=True, eq=False)
class Items:
    """Texts or pictures of a split's samples, for figures and search; modalities without are left out.

    Attributes:
        shown: by modality, in the order of the split's rows.
        classes: names of the classes by their number; empty where they have none.
        names: a name for each row, by modality, such as an icon's; results of a search are listed by it.
    """

    shown: Mapping[str, Shown] = field(default_factory=dict)
    classes: Sequence[str] = ()
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is neither texts nor small pictures.

        Raises:
            PluginError: if a modality's items are anything else.
        """
        for name, items in self.shown.items():
            if isinstance(items, np.ndarray):
                kind, sides = (items.dtype, items.ndim, *items.shape[3:]), items.shape[1:3]
                if kind != (np.uint8, 4, 3) or not 0 < min(sides) <= max(sides) <= WIDEST_PICTURE:
                    raise PluginError(
                        f"the items of {name!r} are {items.dtype} of shape {items.shape}; give texts, or "
                        f"pictures (n, height, width, 3) of uint8, {WIDEST_PICTURE} pixels wide at most"
                    )
            elif not all(isinstance(item, str) for item in items):
                raise PluginError(f"the items of {name!r} are neither texts nor an array of pictures")
        if not all(isinstance(name, str) for name in self.classes):
            raise PluginError("the names of classes must be texts, one for each class")
        if not all(isinstance(name, str) for names in self.names.values() for name in names):
            raise PluginError("the names of rows must be texts, one for each row")

    def check(self, counts: Mapping[str, int], n_classes: int) -> None:
        """Refuse items that are not of these samples, of which there are ``counts`` by modality.

        Raises:
            PluginError: if there are more or fewer items than samples, or names than classes.
        """
        for name, items in (*self.shown.items(), *self.names.items()):
            if len(items) != counts.get(name):
                raise PluginError(
                    f"there are {len(items)} items of {name!r} for {counts.get(name, 0)} test rows; "
                    "items() must give one for each row of the test split, in its order"
                )
        if len(self.classes) not in (0, n_classes):
            raise PluginError(f"there are {len(self.classes)} names for {n_classes} classes")

    def take(self, rows: Mapping[str, NDArray[Any]]) -> Items:
        """Return the items of chosen rows of each modality."""
        names, texts = (
            {name: [given[int(row)] for row in rows[name]] for name, given in part.items()}
            for part in (self.names, self.shown)
        )
        pictures = {name: one[rows[name]] for name, one in self.shown.items() if isinstance(one, np.ndarray)}
        return Items(texts | pictures, self.classes, names)

    def select(self, names: Sequence[str]) -> Items:
        """Return the items of the modalities ``names`` only."""
        shown = {name: self.shown[name] for name in names if name in self.shown}
        return Items(shown, self.classes, {name: self.names[name] for name in names if name in self.names})


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset ready for use: a name, a card, three splits, and optionally a gallery.

    Attributes:
        name: registry name, or the stem of a feature bundle's file name.
        card: what is known about the dataset.
        train: rows to fit on.
        validation: rows to select on.
        kind: ``real``, or ``look-alike`` for generated data.
        fingerprint: digest of the content (real) or of the generator (look-alike).
        split: name of the partition, if several are in use.
        open_test: returns the test split, if the seal allows it; the attribute ``test`` calls it.
        open_items: returns texts or pictures of the test rows, with the same seal; see ``items``.
        open_gallery: returns the gallery that test rows are ranked against, with the same seal; None if the
            test rows are the gallery.
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
    open_gallery: Callable[[], Split] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Put the seal on the only ways to the test split."""
        for way in ("open_test", "open_items", "open_gallery"):
            if (opened := getattr(self, way)) is not None:
                object.__setattr__(self, way, partial(_open_if_allowed, self.name, opened))

    @property
    def test(self) -> Split:
        """The test split.

        Raises:
            SealedTestError: while code of a method runs.
        """
        return self.open_test()

    @property
    def items(self) -> Items:
        """Texts or pictures of the test rows; empty if the dataset has none.

        Raises:
            SealedTestError: as `test`.
            PluginError: if the dataset's loader returns items that do not match its test rows.
        """
        return self.open_items()

    @property
    def gallery(self) -> Split | None:
        """The gallery that test rows are ranked against; None if the test rows are the gallery.

        Raises:
            SealedTestError: while code of a method runs.
        """
        return None if self.open_gallery is None else self.open_gallery()

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
        gallery = self.open_gallery
        return replace(
            self,
            train=self.train.select(names),
            validation=self.validation.select(names),
            open_test=lambda: self.test.select(names),
            open_items=lambda: self.items.select(names),
            open_gallery=None if gallery is None else lambda: gallery().select(names),
        )


def _open_if_allowed(dataset: str, opened: Callable[[], T]) -> T:
    check_seal(dataset)
    return opened()


class DatasetLoader(ABC):
    """Reads one dataset's files as their publisher made them.

    The harness finds the files, checks what `read` returns against the card (shapes, finite values,
    label range) and adds the fingerprint; a loader only reads the layout.

    Attributes:
        card: what is known about the dataset.
        embedded: files that come with the loader, by name; they are never looked for elsewhere.
    """

    card: ClassVar[DatasetCard]
    embedded: ClassVar[Mapping[str, Path]] = {}

    @abstractmethod
    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits ``train``, ``validation`` and ``test``.

        Args:
            files: path of every file of the card and of every embedded one, by name.

        Raises:
            DataError: if a file is damaged or laid out otherwise.
        """

    def items(self, files: dict[str, Path]) -> Items:
        """Return texts or pictures of the rows of the test split, in the order of `read`.

        A loader may leave this out. Items are shown in galleries of results, change no number, and are read
        after the evaluation of real data.
        """
        return Items()
