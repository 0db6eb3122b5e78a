"""Data as a plug-in author sees it: modalities, splits, datasets, and the loader of a dataset's file.

Features are matrices with one row per sample. Labels are either class numbers ``(n,)`` counted from 0,
or 0/1 matrices ``(n, C)`` where a sample may belong to several classes; -1 (in a matrix, a row of -1) marks a
training row whose label is not known. Ids say which rows of different modalities show the same thing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.contract.cards import DatasetCard
from bench.contract.errors import DataError, PluginError
from bench.contract.seal import check_seal

Array = NDArray[Any]
Pairing = Literal["none", "natural", "partial", "class-matched"]
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
        labels: ``(n,)`` integers from 0, or ``(n, C)`` 0/1 for multi-label data; -1 where a row has no label.
        ids: ``(n,)`` integers: rows of the split with the same id, in any modality, show the same thing. None
            where nothing is known of that.
    """

    features: Array
    labels: Array
    ids: Array | None = None

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
        if self.ids is not None:
            if self.ids.shape != (len(self.features),) or self.ids.dtype.kind not in "iu":
                raise DataError(
                    f"ids must be {len(self.features)} integers, one for each row, not {self.ids.dtype} of "
                    f"shape {self.ids.shape}"
                )
            object.__setattr__(self, "ids", read_only(self.ids))

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

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which rows ``(n,)`` have a label."""
        return np.asarray(self.labels >= 0 if self.labels.ndim == 1 else (self.labels >= 0).all(axis=1))

    def take(self, rows: Array) -> Modality:
        """Return the samples at ``rows`` (indices or a mask), in that order."""
        ids = None if self.ids is None else self.ids[rows]
        return Modality(self.features[rows], self.labels[rows], ids)


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
        pairing: ``natural`` if row i of every modality shows the same thing; ``partial`` if ids say which
            rows correspond; ``class-matched`` for pseudo-pairs of rows of the same class; ``none`` otherwise.
            If all modalities have ids, these decide between ``natural``, ``partial`` and ``none``.
    """

    modalities: Mapping[str, Modality]
    n_classes: int
    pairing: Pairing = "none"

    def __post_init__(self) -> None:
        """Check that the rows can be pairs where they are said to be; number natural pairs without ids."""
        if not self.modalities:
            raise DataError("a split needs at least one modality")
        counts = {name: len(modality) for name, modality in self.modalities.items()}
        if self.paired and len(set(counts.values())) != 1:
            raise DataError(f"paired modalities must have equally many rows, not {counts}")
        if self.pairing == "class-matched":
            return
        ids = [modality.ids for modality in self.modalities.values()]
        if self.pairing == "natural" and all(given is None for given in ids):
            numbers = np.arange(next(iter(counts.values())))
            numbered = {name: replace(one, ids=numbers) for name, one in self.modalities.items()}
            object.__setattr__(self, "modalities", numbered)
        else:
            stated = _pairing_of(ids)
            if self.pairing == "natural" and stated != "natural":
                raise DataError("paired modalities must have the same ids, in the same order")
            object.__setattr__(self, "pairing", stated)

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
        return self.pairing in ("natural", "class-matched")

    @property
    def multi_label(self) -> bool:
        """Whether samples may belong to several classes."""
        return next(iter(self.modalities.values())).multi_label

    def targets(self, name: str) -> NDArray[np.float32]:
        """Return the labels of a modality as a 0/1 matrix ``(n, n_classes)``, float32."""
        labels = self.modalities[name].labels
        if labels.ndim == 2:
            return np.maximum(labels.astype(np.float32), 0.0)
        rows = np.zeros((len(labels), self.n_classes), dtype=np.float32)
        known = np.flatnonzero(labels >= 0)
        rows[known, labels[known]] = 1.0
        return rows

    def pairs(self, a: str, b: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows of modality ``a`` and of modality ``b`` that correspond, two arrays ``(p,)``.

        A row takes part once for each row of the other modality with its id; in rows that stand side by side
        (`paired`), row i goes with row i. The order is that of ``a``.
        """
        left, right = self.modalities[a], self.modalities[b]
        if self.paired:
            return np.arange(len(left)), np.arange(len(left))
        if left.ids is None or right.ids is None:
            return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
        order = np.argsort(right.ids, kind="stable")
        begin, end = (np.searchsorted(right.ids, left.ids, side, sorter=order) for side in _SIDES)
        counts = end - begin
        offsets = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(np.arange(len(left)), counts), order[np.repeat(begin, counts) + offsets]

    def aligned(self) -> Split:
        """Return the rows that correspond in all modalities, side by side: natural pairs.

        Each id that every modality has gives as many rows as the modality with most rows of it; the others
        repeat theirs in turn, as a picture is repeated for each of its captions. The order is that of the
        first modality's ids. Rows of other ids are left out.

        Raises:
            DataError: if no id occurs in all modalities.
        """
        if (rows := self.aligned_or_none()) is None:
            raise DataError(f"no id occurs in all of {', '.join(self)}: no rows correspond")
        return rows

    def aligned_or_none(self) -> Split | None:
        """Return what `aligned` does, or None if no id occurs in all modalities."""
        if self.paired:
            return self
        groups = [_rows_by_id(modality.ids) for modality in self.modalities.values()]
        common = [number for number in groups[0] if all(number in group for group in groups[1:])]
        if not common:
            return None
        most = [max(len(group[number]) for group in groups) for number in common]
        return self.take(
            {
                name: np.concatenate([np.resize(group[n], m) for n, m in zip(common, most, strict=True)])
                for name, group in zip(self, groups, strict=True)
            }
        )

    def labelled(self) -> Split:
        """Return the rows that have a label; the split itself where all have."""
        rows = {name: modality.labelled for name, modality in self.modalities.items()}
        if all(known.all() for known in rows.values()):
            return self
        return self.take({name: np.flatnonzero(known) for name, known in rows.items()})

    def select(self, names: tuple[str, ...]) -> Split:
        """Return the same rows with only the modalities ``names``, in that order."""
        return self._with({name: self.modalities[name] for name in names}, self.paired)

    def take(self, rows: Mapping[str, Array]) -> Split:
        """Return chosen rows of each modality. Ids stay; pseudo-pairs stay where all indices are equal."""
        chosen = {name: modality.take(rows[name]) for name, modality in self.modalities.items()}
        first = next(iter(rows.values()))
        together = all(np.array_equal(first, other) for other in rows.values())
        return self._with(chosen, self.paired and together)

    def _with(self, modalities: Mapping[str, Modality], side_by_side: bool) -> Split:
        pairing: Pairing = "class-matched" if side_by_side and self.pairing == "class-matched" else "none"
        return Split(modalities, self.n_classes, pairing)


_SIDES: Final[tuple[Literal["left", "right"], ...]] = ("left", "right")


def _pairing_of(ids: Sequence[Array | None]) -> Pairing:
    """Return what ids say of how rows correspond."""
    known = [given for given in ids if given is not None]
    if len(known) == len(ids) and all(np.array_equal(known[0], other) for other in known[1:]):
        return "natural"
    shared = any(len(np.intersect1d(a, b)) for a, b in combinations(known, 2))
    return "partial" if shared else "none"


def _rows_by_id(ids: Array | None) -> dict[int, NDArray[np.intp]]:
    """Return the rows of each id, in the order of their first rows."""
    if ids is None:
        return {}
    numbers, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    rows = np.split(
        np.argsort(inverse.reshape(-1), kind="stable"), np.cumsum(np.bincount(inverse.reshape(-1)))[:-1]
    )
    return {int(numbers[i]): rows[i] for i in np.argsort(first)}


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
                if not _are_pictures(items):
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
        """Refuse items that are not of these samples.

        Args:
            counts: samples by modality.
            n_classes: number of classes.

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
        names = {name: [given[int(row)] for row in rows[name]] for name, given in self.names.items()}
        return Items(
            {name: _taken(items, rows[name]) for name, items in self.shown.items()}, self.classes, names
        )

    def select(self, names: Sequence[str]) -> Items:
        """Return the items of the modalities ``names`` only."""
        shown = {name: self.shown[name] for name in names if name in self.shown}
        return Items(shown, self.classes, {name: self.names[name] for name in names if name in self.names})


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
        object.__setattr__(self, "open_test", self._sealed(self.open_test))
        object.__setattr__(self, "open_items", self._sealed(self.open_items))
        if self.open_gallery is not None:
            object.__setattr__(self, "open_gallery", self._sealed(self.open_gallery))

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
            SealedTestError: while code of a method runs.
        """
        return self.open_test()

    @property
    def items(self) -> Items:
        """Texts or pictures of the test rows; empty if the dataset has none.

        Raises:
            SealedTestError: while code of a method runs.
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
            None if gallery is None else lambda: gallery().select(names),
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
