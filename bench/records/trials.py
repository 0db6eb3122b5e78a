"""Trials of `tune`: a setting of a method, judged on validation data, kept beside the records."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.atomic import write_whole
from bench.records.folders import explain
from bench.records.schema import Identity, Status
from bench.records.store import Stamp


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One setting of one method on one selection of modalities, judged on validation data.

    Attributes:
        schema: version of this layout.
        identity: the cell, with the settings that were tried.
        changes: what the trial changed of the settings that trials start from.
        status: ``done``, or why there is no value.
        reason: one sentence; empty where it is done.
        validation_map: mean validation mAP@all over directions of the selected state; None without one.
        seconds: of loading and fitting.
    """

    schema: int = 1
    identity: Identity
    changes: dict[str, Any]
    status: Status
    reason: str
    validation_map: float | None
    seconds: float

    def __post_init__(self) -> None:
        """Refuse trials that contradict themselves."""
        value = self.validation_map
        if (self.status == "done") != (value is not None):
            raise ValueError("a trial has a value exactly when its status is done")
        if value is not None and not 0.0 <= value <= 1.0:
            raise ValueError(f"validation mAP {value!r} is outside of 0 to 1")
        if not 0.0 <= self.seconds < math.inf:
            raise ValueError(f"{self.seconds!r} is no time that a trial can take")


class TrialStore:
    """Trials as JSON files in ``<results>/trials``, one per cell and setting, each with a log beside it."""

    def __init__(self, results: Path) -> None:
        """Look at a results folder; nothing is created."""
        self.folder = results / "trials"

    @property
    def claims(self) -> Path:
        """The file of the claims on trials: those on cells with the same settings are others."""
        return self.folder.parent / ".claims-trials"

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            StoreError: if it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain(error, self.folder) from error

    def write(self, trial: Trial, log: str = "") -> None:
        """Write a trial and what it printed, each file whole or not at all, the log first.

        Raises:
            StoreError: if the folder cannot be written or the disk is full.
        """
        content = msgspec.json.format(msgspec.json.encode(trial, order="sorted"), indent=1)
        digest = trial.identity.digest
        try:
            write_whole(self.log_path(digest), log.encode("utf-8", "backslashreplace"))
            write_whole(self._path(digest), content + b"\n")
        except OSError as error:
            raise explain(error, self.folder) from error

    def read(self) -> Iterator[Trial]:
        """Iterate over all sound trials, in the order of their digests; the others are run again."""
        for path in sorted(self.folder.glob("*.json")):
            trial = self.get(path.stem)
            if trial is not None:
                yield trial

    def get(self, digest: str) -> Trial | None:
        """Return one trial; None where there is none, or it cannot be believed."""
        try:
            trial = msgspec.json.decode(self._path(digest).read_bytes(), type=Trial)
        except (OSError, msgspec.DecodeError):  # a trial is cheap, and nothing is built on it unread
            return None
        return trial if trial.identity.digest == digest else None

    def log_path(self, digest: str) -> Path:
        """Return where the log of a trial is; trials of before there were logs have none."""
        return self.folder / f"{digest}.txt"

    def has(self, digest: str) -> bool:
        """Return whether there is a sound trial."""
        return self.get(digest) is not None

    def stamps(self) -> dict[str, Stamp]:
        """Return digest -> stamp of whatever is there."""
        found = {path.stem: self.stamp(path.stem) for path in self.folder.glob("*.json")}
        return {digest: stamp for digest, stamp in found.items() if stamp is not None}

    def stamp(self, digest: str) -> Stamp | None:
        """Return what changes whenever a trial is put in place; None where there is none."""
        try:
            status = self._path(digest).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"
