"""Trials of `tune`: a setting of a method, judged on validation data, kept beside the records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.atomic import write_whole
from bench.records.folders import explain
from bench.records.schema import Identity, Status


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


class TrialStore:
    """Trials as JSON files in ``<results>/trials``, one per cell and setting."""

    def __init__(self, results: Path) -> None:
        """Look at a results folder; nothing is created."""
        self.folder = results / "trials"

    def write(self, trial: Trial) -> None:
        """Write a trial, whole or not at all.

        Raises:
            StoreError: if the folder cannot be written or the disk is full.
        """
        content = msgspec.json.format(msgspec.json.encode(trial, order="sorted"), indent=1)
        try:
            write_whole(self.folder / f"{trial.identity.digest}.json", content + b"\n")
        except OSError as error:
            raise explain(error, self.folder) from error

    def read(self) -> Iterator[Trial]:
        """Iterate over all readable trials, in the order of their digests."""
        for path in sorted(self.folder.glob("*.json")):
            try:
                yield msgspec.json.decode(path.read_bytes(), type=Trial)
            except msgspec.DecodeError:  # run again: a trial is cheap, and nothing is built on it unread
                continue
