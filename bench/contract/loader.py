"""What a dataset's file must offer: a card, and how its released files become splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from bench.contract.cards import DatasetCard
from bench.contract.data import Split


class DatasetLoader(ABC):
    """Reads one dataset's files as their publisher made them.

    The harness finds the files, checks what `read` returns against the card (shapes, finite values,
    label range) and adds the fingerprint; a loader only knows the layout.
    """

    card: ClassVar[DatasetCard]

    @abstractmethod
    def read(self, files: dict[str, Path]) -> dict[str, Split]:
        """Return the splits ``train``, ``validation`` and ``test``.

        Args:
            files: path of every file of the card, by the card's name for it.

        Raises:
            DataError: if a file is damaged or laid out otherwise.
        """
