"""Methods with one fault each, and some that work; they import NumPy alone, so that a worker starts quickly.

Given to the harness with ``--plugin``. Each notes its start in the file of the variable DRILL_LOG; ``waits``
waits for the file of DRILL_GATE; DRILL_FULL names a method and a seed for whose record the disk has no room.
None is part of a cell's identity, so the records of two folders can be compared.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.contract import Array, Context, Method, MethodCard, Split
from bench.records import folders
from tests.execution.watching import wait_until
from tests.execution.work import FAULTS

_CARD: dict[str, Any] = {
    "authors": "A",
    "deep": False,
    "pairs": "unused",
    "any_modalities": True,
    "multi_label": True,
    "selects_by": "none",
}
"""Read without an import, for which every command would start a process."""


@dataclass(frozen=True)
class DrillSettings:
    """Settings of all of them.

    Attributes:
        seconds: duration of the fit of `steady`.
        megabytes: memory that `hog` takes, and output of `chatty`.
    """

    seconds: float = 0.0
    megabytes: int = 4000


class _Drill(Method):
    Settings: ClassVar[type] = DrillSettings
    search: ClassVar[Mapping[str, Sequence[int]]] = {"megabytes": (1, 2, 3, 4, 5)}
    settings: DrillSettings
    fault: ClassVar[str] = "ok"

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        note(f"{self.card.name} {context.scope[0]} {context.seed}")
        print(f"{self.card.name} begins with seed {context.seed}")
        context.trace.add("fit", 1, loss=float(context.generator("trace").random()))
        generator = context.generator("projection")
        self._weights = {name: generator.normal(size=(train[name].dimension, 4)) for name in train.modalities}
        self.act(train)

    def act(self, train: Split) -> None:
        """Cause the fault of the method."""
        FAULTS[self.fault]()

    def embed(self, modality: str, features: Array) -> Array:
        return np.asarray(features @ self._weights[modality])


class Steady(_Drill):
    card = MethodCard(**_CARD, name="steady", title="Steady")

    def act(self, train: Split) -> None:
        time.sleep(self.settings.seconds)


class Waits(_Drill):
    card = MethodCard(**_CARD, name="waits", title="Waits")

    def act(self, train: Split) -> None:
        wait_until(Path(os.environ["DRILL_GATE"]).exists)


class Raises(_Drill):
    card = MethodCard(**_CARD, name="raises", title="Raises")

    def act(self, train: Split) -> None:
        raise ValueError("the matrix is singular")


class Exits(_Drill):
    card = MethodCard(**_CARD, name="exits", title="Exits")
    fault = "exit 3"


class Killed(_Drill):
    card = MethodCard(**_CARD, name="killed", title="Killed")
    fault = "SIGKILL"


class Segfaults(_Drill):
    card = MethodCard(**_CARD, name="segfaults", title="Segfaults")
    fault = "segfault"


class CLoop(_Drill):
    card = MethodCard(**_CARD, name="c_loop", title="C_Loop")
    fault = "c loop"


class PythonLoop(_Drill):
    card = MethodCard(**_CARD, name="python_loop", title="Python_Loop")
    fault = "python loop"


class Hog(_Drill):
    """Takes memory, and writes to it."""

    card = MethodCard(**_CARD, name="hog", title="Hog")

    def act(self, train: Split) -> None:
        self._taken = [bytearray(b"x") * 2**20 for _ in range(self.settings.megabytes)]


class NanEmbeddings(_Drill):
    card = MethodCard(**_CARD, name="nan_embeddings", title="Nan_Embeddings")

    def embed(self, modality: str, features: Array) -> Array:
        return np.full((len(features), 4), np.nan)


class WrongShape(_Drill):
    card = MethodCard(**_CARD, name="wrong_shape", title="Wrong_Shape")

    def embed(self, modality: str, features: Array) -> Array:
        return super().embed(modality, features)[:-1]


class DiskFull(_Drill):
    """Writes a file to a disk that is full."""

    card = MethodCard(**_CARD, name="disk_full", title="Disk_Full")

    def act(self, train: Split) -> None:
        Path("/dev/full").write_bytes(bytes(100_000))


class Chatty(_Drill):
    """Prints much output, which makes its record large."""

    card = MethodCard(**_CARD, name="chatty", title="Chatty")

    def act(self, train: Split) -> None:
        print("a word " * (self.settings.megabytes * 2**20 // 7))


def refuse_record(words: str) -> None:
    """Refuse the record of one cell, as a full disk does, in any process."""
    method, _, seed = words.rpartition(" ")
    build = folders._build

    def write(folder: Path, files: Mapping[str, bytes]) -> None:
        if "record.json" in files:
            identity = json.loads(files["record.json"])["identity"]
            if (identity["method"], str(identity["seed"])) == (method, seed):
                folder.mkdir()
                (folder / "record.json").write_bytes(b"{")  # a part of it fits
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        build(folder, files)

    folders._build = write


def note(line: str) -> None:
    """Append a line to the drill's log, whole also if other processes write at the same time."""
    log = os.environ.get("DRILL_LOG")
    if log:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(handle, f"{line}\n".encode())
        os.close(handle)
