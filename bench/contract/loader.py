"""What a dataset's file must offer: a card, and how its released files become splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from bench.contract.cards import DatasetCard
from bench.contract.data import Split
from bench.contract.items import Items


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
