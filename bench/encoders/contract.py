"""Contract of encoders: a card, settings, and `encode`, which turns raw items into feature rows."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.contract import UsageError

Kind = Literal["image", "text", "audio"]
Features = NDArray[np.float32]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Sound:
    """A recording with one channel.

    Attributes:
        samples: ``(n,)`` float32, from -1 to 1.
        rate: samples per second.
    """

    samples: NDArray[np.float32]
    rate: int


@dataclass(frozen=True)
class EncoderCard:
    """What an encoder is and where its weights come from.

    Attributes:
        name: as typed on the command line; names of encoders of different kinds may be equal.
        kind: ``image`` (items are RGB pictures of Pillow), ``text`` (strings) or ``audio`` (`Sound`).
        title: in words.
        weights: source of the weights; ``none`` for a rule, with what it is fitted on.
        licence: of the weights.
        preprocessing: from the item to the input of the model.
        width: of the features; None where settings or data decide it.
        sha256: checksum of the weights; empty where there are none or the settings name them.
        fitted: whether it is fitted, on the training rows only, before it encodes.
    """

    name: str
    kind: Kind
    title: str
    weights: str
    licence: str
    preprocessing: str
    width: int | None = None
    sha256: str = ""
    fitted: bool = False


@dataclass(frozen=True)
class NoSettings:
    """An encoder without settings."""


class Encoder(ABC, Generic[Item]):
    """Turns items of one kind into feature rows; equal batches give equal rows.

    A class is imported to be listed: libraries that are slow to load are imported where they are used.

    Attributes:
        card: see `EncoderCard`.
        Settings: a frozen dataclass of texts and whole numbers, all with defaults.
        settings: their values.
        device: ``cpu`` or a GPU such as ``cuda:0``.
    """

    card: ClassVar[EncoderCard]
    Settings: ClassVar[type[Any]] = NoSettings

    def __init__(self, settings: Any = None, device: str = "cpu") -> None:
        """Take settings; weights are loaded here too.

        Raises:
            UsageError: if a package or a file of weights is missing.
            DataError: if the weights are not those of the card.
        """
        self.settings = self.Settings() if settings is None else settings
        self.device = device

    def fit(self, items: Sequence[Item]) -> None:
        """Learn from the training items; called once, and only if the card has ``fitted``."""
        raise NotImplementedError

    @abstractmethod
    def encode(self, batch: Sequence[Item]) -> Features:
        """Return the features ``(n, d)`` of a batch, float32."""

    def checksum(self) -> str:
        """Return the SHA-256 of the weights, or what else identifies them; empty if there are none."""
        return self.card.sha256


def required(module: str, encoder: str, extra: str = "encoders") -> Any:
    """Import and return a module that an encoder needs.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"encoder {encoder!r} needs the package {module.partition('.')[0]} ({error}); install it with "
            f"pip install 'cross-modal-bench[{extra}]'"
        ) from error
