"""Methods that go wrong in one way each; given to the harness with ``--plugin``."""

from __future__ import annotations

import errno
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.contract import Array, Checkpoint, Context, Method, MethodCard, SealedTestError, Split
from bench.data import load_dataset


@dataclass(frozen=True)
class FaultySettings:
    """Settings of these methods."""

    seconds: float = 30.0
    widths: tuple[int, ...] = (3, 2)
    rates: dict[str, float] | None = None
    word: str = "a"


def card(name: str, **changes: Any) -> MethodCard:
    usual: dict[str, Any] = {
        "title": name.title(),
        "authors": "A",
        "year": 2025,
        "venue": "V",
        "family": "faulty",
        "deep": False,
        "pairs": "unused",
        "any_modalities": True,
        "multi_label": True,
        "selects_by": "none",
    }
    return MethodCard(name=name, **(usual | changes))


class _Faulty(Method):
    Settings: ClassVar[type] = FaultySettings
    settings: FaultySettings

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        self.random = context.generator("embedding")

    def embed(self, modality: str, features: Array) -> Array:
        return np.asarray(features[:, :4] + 10.0)


class Plain(_Faulty):
    """Works; notes its draws, prints and warns."""

    card = card("plain", title=r"Plain & 100% $x_1$ <b>|*a*| [1]")
    variants: ClassVar[dict[str, dict[str, str]]] = {"loud": {"word": "b"}}

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        self.draws = context.generator("batches").random(3).tolist()
        print("a word from fit")
        np.log(np.zeros(1))
        context.trace.add("fit", 1, loss=0.5)

    def notes(self) -> dict[str, Any]:
        return {"draws": self.draws, "word": self.settings.word}


class Twin(Plain):
    """Another method on the same draws."""

    card = card("twin")


class Raises(_Faulty):
    card = card("raises")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        context.trace.add("fit", 1, loss=1.0)
        raise ValueError("the matrix is singular\nand so on")


class Leaves(_Faulty):
    card = card("leaves")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        print("last words", flush=True)
        sys.__stdout__.write("to the real output\n") if sys.__stdout__ is not None else None
        os._exit(7)


class Nan(_Faulty):
    card = card("nan")

    def embed(self, modality: str, features: Array) -> Array:
        rows = super().embed(modality, features)
        rows[0, 0] = np.nan
        return rows


class Peeks(_Faulty):
    card = card("peeks")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        load_dataset("emoji").test  # noqa: B018


class Sneaks(_Faulty):
    card = card("sneaks")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        with suppress(SealedTestError):
            load_dataset("emoji").test  # noqa: B018


class Single(_Faulty):
    card = card("single", multi_label=False)


class Pairwise(_Faulty):
    card = card("pairwise", any_modalities=False)


class Paired(_Faulty):
    card = card("paired", pairs="needed")


class Sleeps(_Faulty):
    """Checks no deadline; ends when the file of its setting ``word`` exists."""

    card = card("sleeps")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        end = time.monotonic() + self.settings.seconds
        while time.monotonic() < end and not Path(self.settings.word).exists():
            time.sleep(0.02)


class Watches(_Faulty):
    """Checks its deadline."""

    card = card("watches")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        end = time.monotonic() + self.settings.seconds
        epoch = 0
        while time.monotonic() < end:
            epoch += 1
            context.trace.add("fit", epoch)
            context.check_deadline()
            time.sleep(0.01)


class Hungry(_Faulty):
    card = card("hungry")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        raise MemoryError


class Hoards(_Faulty):
    """Allocates more memory than any limit of a test allows."""

    card = card("hoards")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        np.ones(1 << 30)


class Fills(_Faulty):
    """Leaves a worker in which every write fails: for a full disk, or with the error that is its word."""

    card = card("fills")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        def refuse(fd: Any) -> None:
            code = getattr(errno, self.settings.word, errno.ENOSPC)
            raise OSError(code, os.strerror(code))

        os.fsync = refuse


class Pinned(_Faulty):
    """Prints the devices that it sees, and the times of its start and end."""

    card = card("pinned")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        begin = time.monotonic()
        time.sleep(self.settings.seconds)
        print("saw", repr(os.environ["CUDA_VISIBLE_DEVICES"]), context.device, begin, time.monotonic())

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        """Compare on the CPU, as there is no GPU to rank on."""
        return np.outer(queries.sum(axis=1), gallery.sum(axis=1))


class Mute(_Faulty):
    card = card("mute")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        raise _MuteError


class Unwritable(_Faulty):
    card = card("unwritable")

    def notes(self) -> dict[str, Any]:
        return {"thing": object()}


class OnlyLast(_Faulty):
    card = card("only_last")

    def checkpoints(self) -> dict[str, Checkpoint]:
        return {"last": Checkpoint("last", 3, None, "last epoch")}


class _MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot even say")
