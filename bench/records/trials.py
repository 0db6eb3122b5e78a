"""Trials of `tune`, and their JSON files, one per cell and setting, with a log beside each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.atomic import write_whole
from bench.contract.errors import DataError
from bench.records import folders
from bench.records.encoding import UNREADABLE, Damaged
from bench.records.files import printable, read_file
from bench.records.folders import entries, stamps
from bench.records.locks import Stamp
from bench.records.schema import Identity, Seconds, Share, Status

Sampler = Literal["random", "tpe"]
"""Choice of a trial's settings: random, or by a tree-structured Parzen estimator."""

Pruner = Literal["none", "median", "hyperband"]
"""Rule that stops a trial whose validation mAP by epoch is lower than that of others."""


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A setting of a method on a set of modalities, evaluated on validation data by `tune`.

    Attributes:
        schema: version of the layout; layout 1 has no sampler and pruner: they were the defaults.
        identity: the cell, with the settings of the trial.
        changes: changed settings and their values.
        status: ``done``, or why there is no value; ``pruned``: stopped by the pruner.
        reason: one sentence; empty if it is done.
        validation_map: mean validation mAP@all over directions of the selected state; None without one.
        seconds: of loading and fitting.
        sampler: choice of the settings.
        pruner: rule that could stop the trial.
    """

    schema: int = 2
    identity: Identity
    changes: dict[str, Any]
    status: Status | Literal["pruned"]
    reason: str
    validation_map: Share | None
    seconds: Seconds
    sampler: Sampler = "random"
    pruner: Pruner = "none"

    @property
    def digest(self) -> str:
        """Return the 20 hexadecimal digits that name the trial's files."""
        return trial_digest(self.identity, self.sampler, self.pruner)

    def __post_init__(self) -> None:
        if (self.status == "done") != (self.validation_map is not None):
            raise ValueError("a trial has a value exactly when its status is done")
        if self.status == "pruned" and self.pruner == "none":
            raise ValueError("a trial without pruner is pruned")


def trial_digest(identity: Identity, sampler: Sampler, pruner: Pruner) -> str:
    """Return the digest of a trial, which differs between searches, so that these share no budget.

    That of random search without pruning is the digest of the cell, as in layout 1.
    """
    if (sampler, pruner) == ("random", "none"):
        return identity.digest
    return hashlib.sha256(f"{identity.digest} {sampler} {pruner}".encode()).hexdigest()[:20]


class TrialStore:
    """Writes and reads the trials in ``<results>/trials``; an instance alone creates no folder.

    Attributes:
        folder: of the trials.
        claims: folder of the locks on trials, separate from those on cells with the same settings.
        journal: of Optuna, with its choices.
    """

    def __init__(self, results: Path) -> None:
        self.folder = results / "trials"
        self.claims = results / ".locks-trials"
        self.journal = self.folder / "optuna.log"

    def prepare(self) -> None:
        """Create the folders.

        Raises:
            StoreError: if they cannot be written.
        """
        folders.make(self.folder)
        folders.make(self.claims)

    def write(self, trial: Trial, log: str = "") -> None:
        """Write a trial and its output, each file whole or not at all, the log first.

        Raises:
            StoreError: if the folder cannot be written or the disk is full.
        """
        content = msgspec.json.format(msgspec.json.encode(trial, order="sorted"), indent=1)
        self.put(trial.digest, content + b"\n", log.encode("utf-8", "backslashreplace"))

    def put(self, digest: str, content: bytes, log: bytes | None) -> None:
        """Write the files of a trial; see `write`. Old trials have no log."""
        try:
            if log is not None:
                write_whole(self.log_path(digest), log)
            write_whole(self._path(digest), content)
        except OSError as error:
            raise folders.explain(error, self.folder) from error

    def read(self) -> Iterator[Trial]:
        """Iterate over all sound trials, in the order of their digests."""
        yield from filter(None, map(self.get, self.digests()))

    def digests(self) -> list[str]:
        """Return the names of all files of trials, sorted."""
        return [path.stem for path in entries(self.folder) if path.suffix == ".json"]

    def get(self, digest: str) -> Trial | None:
        """Return a trial; None if it is absent or damaged."""
        try:
            return self.load(digest)[0]
        except DataError:
            return None

    def load(self, digest: str) -> tuple[Trial, bytes, bytes | None]:
        """Return a trial, and the bytes of its file and of its log."""
        path, log = self._path(digest), self.log_path(digest)
        try:
            content = read_file(path)[1]
            trial = msgspec.json.decode(content, type=Trial)
            if trial.digest != digest:
                raise Damaged("it belongs to another cell")
            return trial, content, read_file(log)[1] if log.exists() else None
        except (OSError, *UNREADABLE) as error:
            raise DataError(f"{printable(path)} cannot be read: {error}; run tune there again") from error

    def has(self, digest: str) -> bool:
        """Return whether there is a sound trial."""
        return self.get(digest) is not None

    def log_path(self, digest: str) -> Path:
        """Return the path of a trial's log."""
        return self.folder / f"{digest}.txt"

    def stamps(self) -> dict[str, Stamp]:
        """Return digest -> stamp of all trials."""
        return stamps(map(self._path, self.digests()))

    def stamp(self, digest: str) -> Stamp | None:
        """Return a value that changes whenever a trial is put; None without one."""
        return stamps([self._path(digest)]).get(digest)

    def _path(self, digest: str) -> Path:
        """Return the path of a trial's file."""
        return self.folder / f"{digest}.json"
