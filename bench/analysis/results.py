"""The results frame: one row per number. Tables, statistics and figures start from it."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.analysis.groups import Data, RowGroup, by_data, device_of, row_groups
from bench.analysis.labels import Labels, registry_labels
from bench.contract.errors import UsageError
from bench.records.schema import Identity, Record
from bench.records.store import Store
from bench.registry import unknown

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: Final = (
    *("method", "label", "variant", "dataset", "kind", "fingerprint", "condition", "modalities"),
    *("device", "code", "harness", "profile", "seed", "query", "gallery", "protocol", "selection"),
    *("value", "status", "record", "threads", "settings", "reason"),
)
"""Of the results frame. ``label`` is the row in the tables; ``settings`` a digest of the complete settings.

A cell without a result has one row, and so has a selection rule whose state could not be ranked: ``value`` is
NaN, ``status`` and ``reason`` say why, and text that does not apply is empty.
"""
TABLE_KEYS: Final = Data._fields
"""Columns whose values numbers must share to stand in one table, a mean or a test."""
ROW_KEYS: Final = (*TABLE_KEYS, "label")
"""Columns whose values numbers must share to be averaged over seeds."""
_NUMBER: Final = ("label", "seed", "query", "gallery", "value", "record")
EVERY: Final = "every"
"""Stands for all selection rules."""


@dataclass(frozen=True)
class Filter:
    """Which cells: every field that is given must fit; an empty field admits all.

    Attributes:
        methods: names or globs.
        datasets: names or globs, or ``name@digits`` with the beginning of a fingerprint.
        variants: names or globs.
        kinds: ``real``, ``look-alike``.
        profiles: ``quick``, ``paper``.
        devices: kinds of device.
        seeds: seed indices.
        modalities: exactly these, in any order.
        fingerprints: beginnings of the data's fingerprint.
        records: beginnings of records' digests.
    """

    methods: Sequence[str] = ()
    datasets: Sequence[str] = ()
    variants: Sequence[str] = ()
    kinds: Sequence[str] = ()
    profiles: Sequence[str] = ()
    devices: Sequence[str] = ()
    seeds: Collection[int] = ()
    modalities: Collection[str] = ()
    fingerprints: Sequence[str] = ()
    records: Sequence[str] = ()

    def admits(self, record: Record) -> bool:
        """Return whether a record is of such a cell."""
        cell = record.identity
        return (
            _fits(cell.method, self.methods)
            and (not self.datasets or any(_is_of_data(cell, word) for word in self.datasets))
            and _fits(cell.variant, self.variants)
            and _fits(cell.data_kind, self.kinds)
            and _fits(cell.profile, self.profiles)
            and _fits(device_of(cell, record.environment), self.devices)
            and (not self.seeds or cell.seed in self.seeds)
            and (not self.modalities or {*cell.modalities} == {*self.modalities})
            and (not self.fingerprints or cell.fingerprint.startswith(tuple(self.fingerprints)))
            and (not self.records or record.digest.startswith(tuple(self.records)))
        )

    def of(self, records: Iterable[Record]) -> list[Record]:
        """Return the records that are admitted, in their order."""
        return [record for record in records if self.admits(record)]

    def require_known(self, records: Sequence[Record]) -> None:
        """Refuse names that fit no record.

        Raises:
            UsageError: for such a method, dataset or variant; suggests near misses.
        """
        cells = [record.identity for record in records]
        for what, words, known in (
            ("method", self.methods, {cell.method for cell in cells}),
            ("dataset", self.datasets, {cell.dataset for cell in cells}),
            ("variant", self.variants, {cell.variant for cell in cells}),
        ):
            for word in words:
                fitting = (
                    any(_is_of_data(cell, word) for cell in cells)
                    if what == "dataset"
                    else any(_fits(name, [word]) for name in known)
                )
                if not fitting:
                    raise unknown(f"{what} in these records", word, known)


class Results:
    """Records, grouped once by what may share a table and a row, and as a frame of numbers.

    Attributes:
        records: of any status.
        labels: titles, order and roles of methods; by default those of the registry.
    """

    def __init__(self, records: Iterable[Record], labels: Labels | None = None) -> None:
        self.records = list(records)
        self.labels = registry_labels(self.records) if labels is None else labels

    @cached_property
    def by_digest(self) -> dict[str, Record]:
        """Return the records by digest."""
        return {record.digest: record for record in self.records}

    @cached_property
    def groups(self) -> dict[Data, list[RowGroup]]:
        """Return the rows of each data's tables, in the tables' order.

        Raises:
            MixedCells: if two records would give the same number.
        """
        return {data: row_groups(members, self.labels) for data, members in by_data(self.records).items()}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Return the results frame with the numbers of every selection rule, in the tables' order."""
        import pandas as pd

        rows = (row for groups in self.groups.values() for group in groups for row in _rows(group))
        return pd.DataFrame.from_records(list(rows), columns=list(COLUMNS)).astype({"value": float})

    def where(self, admits: Callable[[Record], bool]) -> Results:
        """Return the results of some of the records, grouped anew."""
        return Results(filter(admits, self.records), self.labels)

    def numbers(self, data: Data, protocol: str, selection: str) -> pd.DataFrame:
        """Return label, seed, query, gallery, value and record of a table's numbers.

        Closed forms, which select nothing, always take part.
        """
        import pandas as pd

        rules = dict.fromkeys((selection, "none"))
        found = [part for rule in rules if (part := self._tables.get((*data, protocol, rule))) is not None]
        return pd.concat(found) if found else self.frame.iloc[:0][list(_NUMBER)]

    @cached_property
    def _tables(self) -> dict[Any, pd.DataFrame]:
        numbers = self.frame[self.frame["value"].notna()]
        groups = numbers.groupby([*TABLE_KEYS, "protocol", "selection"], sort=False)[list(_NUMBER)]
        return dict(iter(groups))


def results(
    path: str | PathLike[str] = "results",
    *,
    methods: str | Sequence[str] = (),
    datasets: str | Sequence[str] = (),
    variants: str | Sequence[str] = (),
    kinds: str | Sequence[str] = (),
    profiles: str | Sequence[str] = (),
    modalities: str | Sequence[str] = (),
    seeds: int | Sequence[int] = (),
    protocols: str | Sequence[str] = (),
    selection: str | None = None,
) -> pd.DataFrame:
    """Return the recorded results of a folder, one row per number, with the columns `COLUMNS`.

    Every argument but the first narrows the rows down; text may be a name, several names with commas, or a
    sequence. Records that are damaged are left out with a warning.

    Args:
        path: folder of the records.
        methods: names or globs.
        datasets: names or globs, or ``name@digits`` with the beginning of a fingerprint.
        variants: ``full``, or names or globs of ablations.
        kinds: ``real`` or ``look-alike``.
        profiles: ``quick`` or ``paper``.
        modalities: cells of exactly these.
        seeds: seed indices.
        protocols: ids or globs, such as ``map@50*``; cells without a result stay.
        selection: ``best``, ``last`` or ``oracle`` (closed forms, which select nothing, always take part);
            ``every`` for all; None for each record's own rule.

    Raises:
        UsageError: if the folder has no records, or none of such a method, dataset, variant or protocol.
    """
    store = Store(Path(path))
    records = list(store.records())
    for problem in store.problems:
        warnings.warn(f"left out: {problem.sentence}", stacklevel=2)
    if not records:
        raise UsageError(f"no records in {path}; make some with: python -m bench run --results {path}")
    chosen = Filter(
        methods=words_of(methods),
        datasets=words_of(datasets),
        variants=words_of(variants),
        kinds=words_of(kinds),
        profiles=words_of(profiles),
        modalities=words_of(modalities),
        seeds=[seeds] if isinstance(seeds, int) else seeds,
    )
    return frame_of(records, chosen, words_of(protocols), selection)


def frame_of(
    records: Sequence[Record],
    chosen: Filter | None = None,
    protocols: Sequence[str] = (),
    selection: str | None = None,
) -> pd.DataFrame:
    """Return the results frame of the records that a filter admits, numbered from 0.

    Args:
        records: of any status.
        chosen: which cells; all by default. It changes no label: labels tell a row from all recorded ones.
        protocols: ids or globs; all if empty. Rows without a protocol stay.
        selection: as in `results`.

    Raises:
        UsageError: for a name or protocol that fits no record; suggests near misses.
    """
    results, chosen = Results(records), chosen or Filter()
    chosen.require_known(records)
    frame = results.frame[results.frame["record"].isin({each.digest for each in chosen.of(records)})]
    if selection is None:
        rules = {digest: each.result.selection for digest, each in results.by_digest.items() if each.result}
        frame = frame[
            frame["selection"].isin(("", "none")) | (frame["selection"] == frame["record"].map(rules))
        ]
    elif selection != EVERY:
        frame = frame[frame["selection"].isin(("", "none", selection))]
    known = {*results.frame["protocol"]} - {""}
    for word in protocols:
        if not any(_fits(protocol, [word]) for protocol in known):
            raise unknown("protocol in these records", word, known)
    kept = {protocol for protocol in known if _fits(protocol, protocols)}
    return frame[frame["protocol"].isin({"", *kept})].reset_index(drop=True)


def _rows(group: RowGroup) -> Iterator[tuple[Any, ...]]:
    """Yield the frame's rows of one row of a table, by seed and modalities."""
    settings = hashlib.sha256(group.key.settings.encode()).hexdigest()[:8]
    for record in sorted(
        group.records, key=lambda record: (record.identity.seed, record.identity.modalities)
    ):
        cell, digest = record.identity, record.digest
        device = device_of(record.identity, record.environment)
        head = (
            *(cell.method, group.label, cell.variant, cell.dataset, cell.data_kind, cell.fingerprint),
            *("clean", "+".join(cell.modalities), device, cell.code, cell.harness, cell.profile, cell.seed),
        )
        if record.result is None:
            reason = "" if record.failure is None else record.failure.reason
            tail = record.status, digest, cell.threads, settings, reason
            yield (*head, "", "", "", "", None, *tail)
            continue
        for rule, reason in record.result.refused.items():
            yield (*head, "", "", "", rule, None, "refused", digest, cell.threads, settings, reason)
        tail = record.status, digest, cell.threads, settings, ""
        for number in record.result.metrics:
            which = number.query, number.gallery, number.protocol, number.selection
            yield (*head, *which, number.value, *tail)


def _fits(name: str, words: Sequence[str]) -> bool:
    return not words or any(fnmatchcase(name, word) for word in words)


def _is_of_data(cell: Identity, word: str) -> bool:
    if fnmatchcase(cell.dataset, word):
        return True
    name, at, digits = word.rpartition("@")
    return bool(at) and fnmatchcase(cell.dataset, name) and cell.fingerprint.startswith(digits)


def words_of(given: str | Sequence[str]) -> list[str]:
    """Return names from one text or several, which commas separate."""
    parts = [given] if isinstance(given, str) else given
    return [word.strip() for part in parts for word in part.split(",") if word.strip()]
