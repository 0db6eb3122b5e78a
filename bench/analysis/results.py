"""The results frame, one row per number: tables, statistics and figures start from its rows."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.analysis.groups import CLEAN, Data, RowGroup, by_data, data_of, device_of, row_groups
from bench.analysis.labels import Labels, registry_labels
from bench.contract.errors import UsageError
from bench.records.protocols import base_of, with_gallery
from bench.records.schema import Identity, Record
from bench.records.store import Store
from bench.registry import unknown

if TYPE_CHECKING:
    import pandas as pd


class FrameRow(NamedTuple):
    """One row of the results frame: a number, with what it is a number of.

    A cell without a result has one row, and so has a selection rule whose state could not be ranked:
    ``value`` is None (NaN in pandas), ``status`` and ``reason`` give the cause, and text that does not apply
    is empty.

    Attributes:
        label: the row in the tables.
        settings: a digest of the complete settings.
    """

    method: str
    label: str
    variant: str
    dataset: str
    kind: str
    fingerprint: str
    condition: str
    modalities: str
    device: str
    code: str
    harness: str
    profile: str
    seed: int
    query: str
    gallery: str
    protocol: str
    selection: str
    value: float | None
    status: str
    record: str
    threads: int
    settings: str
    reason: str


COLUMNS: Final = FrameRow._fields
"""Of the results frame."""
ROW_KEYS: Final = (*Data._fields, "label")
"""Columns whose values numbers must share to be averaged over seeds: those of one table, and the row."""

Numbers = dict[int, dict[tuple[str, str], tuple[float, str]]]
"""The numbers of a row of a table with their records' digests, by seed, ascending, and query and gallery."""


@dataclass(frozen=True)
class Filter:
    """Which cells: every field that is given must fit; an empty field admits all.

    Words are names or globs; of datasets also ``name@digits`` with the beginning of a fingerprint; of
    conditions ``clean`` or ids. ``modalities`` are exactly those of a cell in any order; ``fingerprints`` and
    ``records`` are beginnings.
    """

    methods: Sequence[str] = ()
    datasets: Sequence[str] = ()
    variants: Sequence[str] = ()
    kinds: Sequence[str] = ()
    profiles: Sequence[str] = ()
    seeds: Collection[int] = ()
    modalities: Collection[str] = ()
    fingerprints: Sequence[str] = ()
    records: Sequence[str] = ()
    conditions: Sequence[str] = ()

    def admits(self, record: Record) -> bool:
        """Return whether a record is of such a cell."""
        cell = record.identity
        return (
            _fits(cell.method, self.methods)
            and (not self.datasets or any(_is_of_data(cell, word) for word in self.datasets))
            and _fits(cell.variant, self.variants)
            and _fits(cell.data_kind, self.kinds)
            and _fits(cell.profile, self.profiles)
            and (not self.seeds or cell.seed in self.seeds)
            and (not self.modalities or {*cell.modalities} == {*self.modalities})
            and (not self.fingerprints or cell.fingerprint.startswith(tuple(self.fingerprints)))
            and _fits(cell.condition or CLEAN, self.conditions)
            and (not self.records or record.digest.startswith(tuple(self.records)))
        )

    def of(self, records: Iterable[Record]) -> list[Record]:
        """Return the records that are admitted, in their order."""
        return [record for record in records if self.admits(record)]

    def require_known(self, records: Sequence[Record]) -> None:
        """Refuse names that fit no record.

        Raises:
            UsageError: for such a value of a field; suggests near misses.
        """
        for field, (what, attribute) in _FIELDS.items():
            for word in getattr(self, field):
                if not Filter(**{field: [word]}).of(records):
                    known = {getattr(record.identity, attribute) or CLEAN for record in records}
                    raise unknown(f"{what} in these records", word, known)
        if self.seeds and not Filter(seeds=self.seeds).of(records):
            known = {str(record.identity.seed) for record in records}
            raise unknown("seed in these records", ", ".join(map(str, self.seeds)), known)
        if self.modalities and not Filter(modalities=self.modalities).of(records):
            known = {"+".join(record.identity.modalities) for record in records}
            raise unknown("set of modalities in these records", "+".join(self.modalities), known)


_FIELDS: Final = {
    "methods": ("method", "method"),
    "datasets": ("dataset", "dataset"),
    "variants": ("variant", "variant"),
    "kinds": ("kind of data", "data_kind"),
    "profiles": ("profile", "profile"),
    "conditions": ("condition", "condition"),
}
"""Fields of `Filter` whose values are checked one by one, and the attribute of a record's identity."""


class Results:
    """Records, grouped once by what may share a table and a row, with their numbers by table and as a frame.

    Attributes:
        records: of any status.
        labels: titles, order and roles of methods; by default those of the registry.
    """

    def __init__(self, records: Iterable[Record], labels: Labels | None = None) -> None:
        self.records = list(records)
        self.labels = registry_labels(self.records) if labels is None else labels
        self._numbers: dict[tuple[Data, str, str], dict[str, Numbers]] = {}

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
    def rows(self) -> dict[Data, dict[str, list[FrameRow]]]:
        """Return the rows of the frame by data and label, with the numbers of every selection rule.

        Tables, statistics and figures read these: pandas takes longer to load than most tables to make.

        Raises:
            MixedCells: as `groups`.
        """
        groups = self.groups.items()
        return {data: {group.label: [*_rows(group)] for group in of_data} for data, of_data in groups}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Return the results frame: `rows`, in the tables' order."""
        import pandas as pd

        rows = [row for by_label in self.rows.values() for each in by_label.values() for row in each]
        return pd.DataFrame.from_records(rows, columns=list(COLUMNS)).astype({"value": float})

    def where(self, admits: Callable[[Record], bool]) -> Results:
        """Return the results of some of the records, grouped anew."""
        return Results(filter(admits, self.records), self.labels)

    def numbers(self, data: Data, protocol: str, selection: str) -> dict[str, Numbers]:
        """Return the numbers of a table by the labels of its rows.

        Closed forms, which select nothing, always take part.

        Raises:
            MixedCells: as `groups`.
        """
        key = data, protocol, selection
        if key not in self._numbers:
            rules = selection, "none"
            self._numbers[key] = {
                label: _numbers(row for row in rows if row.protocol == protocol and row.selection in rules)
                for label, rows in self.rows[data].items()
            }
        return self._numbers[key]

    def protocol_id(self, data: Data, protocol: str) -> str:
        """Return the id of a protocol on some data: it ends in ``/gallery`` where that has a gallery."""
        return with_gallery(protocol) if data in self._with_gallery else base_of(protocol)

    @cached_property
    def _with_gallery(self) -> set[Data]:
        """Return the data with a separate gallery split."""
        return {
            data_of(record)
            for record in self.records
            if record.result is not None
            and any(each.protocol != base_of(each.protocol) for each in record.result.metrics)
        }


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
    conditions: str | Sequence[str] = (),
    protocols: str | Sequence[str] = (),
    selection: str | None = None,
) -> pd.DataFrame:
    """Return the recorded results of a folder, one row per number, with the columns `COLUMNS`.

    Every argument except the first selects rows; a text may hold several names, separated by commas. Damaged
    records are left out with a warning.

    Args:
        path: folder of the records.
        methods: names or globs.
        datasets: names or globs, or ``name@digits`` with the beginning of a fingerprint.
        variants: ``full``, or names or globs of ablations.
        kinds: ``real`` or ``look-alike``.
        profiles: ``quick`` or ``paper``.
        modalities: only cells of exactly these modalities, separated by commas or as in the frame by ``+``.
        seeds: seed indices.
        conditions: ``clean``, or ids or globs, such as ``label-noise@*``.
        protocols: ids or globs, with or without ``/gallery``; cells without a result are kept.
        selection: ``best``, ``last`` or ``oracle`` (closed forms are always included), ``every``, or None for
            the rule of each record.

    Raises:
        UsageError: if the folder has no records, or none for a value of an argument; suggests near misses.
    """
    store = Store(Path(path))
    records = [*store.records()]
    for problem in store.problems:
        warnings.warn(f"left out: {problem.sentence}", stacklevel=2)
    if not records:
        raise UsageError(f"no records in {path}; make some with: python -m bench run --results {path}")
    if isinstance(modalities, str):
        modalities = modalities.replace("+", ",")  # as in the frame
    words = map(words_of, (methods, datasets, variants, kinds, profiles, modalities, conditions))
    names = ("methods", "datasets", "variants", "kinds", "profiles", "modalities", "conditions")
    chosen = Filter(seeds=_seeds_of(seeds), **dict(zip(names, words, strict=True)))
    return frame_of(records, chosen, words_of(protocols), selection)


def _seeds_of(given: Any) -> list[int]:
    """Return seed indices from a number or several; raises UsageError for anything else."""
    try:
        return [int(seed) for seed in ([given] if isinstance(given, str | Integral) else given)]
    except (TypeError, ValueError) as error:
        raise UsageError(f"seeds are a number or several, not {given!r}") from error


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
    rules_known = ("best", "every", "last", "oracle")
    if selection not in (None, *rules_known):
        raise unknown("selection", str(selection), rules_known)
    frame = results.frame[results.frame["record"].isin({each.digest for each in chosen.of(records)})]
    if selection != "every":
        rules = {digest: each.result.selection for digest, each in results.by_digest.items() if each.result}
        rule = frame["record"].map(rules) if selection is None else selection
        frame = frame[frame["selection"].isin(("", "none")) | (frame["selection"] == rule)]
    known = {*results.frame["protocol"]} - {""}
    for word in protocols:
        if not any(_fits(name, [word]) for protocol in known for name in (protocol, base_of(protocol))):
            raise unknown("protocol in these records", word, known)
    kept = {name for name in known if _fits(name, protocols) or _fits(base_of(name), protocols)}
    return frame[frame["protocol"].isin({"", *kept})].reset_index(drop=True)


def _rows(group: RowGroup) -> Iterator[FrameRow]:
    """Yield the frame's rows of one row of a table, by seed and modalities."""
    settings = hashlib.sha256(group.key.settings.encode()).hexdigest()[:8]
    for record in sorted(group.records, key=lambda each: (each.identity.seed, each.identity.modalities)):
        cell, result = record.identity, record.result
        head = (
            *(cell.method, group.label, cell.variant, cell.dataset, cell.data_kind, cell.fingerprint),
            *(cell.condition or CLEAN, "+".join(cell.modalities), device_of(cell, record.environment)),
            *(cell.code, cell.harness, cell.profile, cell.seed),
        )
        tail = record.digest, cell.threads, settings
        if result is None:
            reason = "" if record.failure is None else record.failure.reason
            yield FrameRow(*head, "", "", "", "", None, record.status, *tail, reason)
            continue
        for rule, reason in result.refused.items():
            yield FrameRow(*head, "", "", "", rule, None, "refused", *tail, reason)
        for each in result.metrics:
            which = each.query, each.gallery, each.protocol, each.selection
            yield FrameRow(*head, *which, each.value, record.status, *tail, "")


def _numbers(rows: Iterable[FrameRow]) -> Numbers:
    """Return the numbers of one row of a table under one rule of selection, from its rows of the frame."""
    found: Numbers = defaultdict(dict)
    for row in rows:
        if row.value is not None:  # a rule that was refused has no number
            found[row.seed][row.query, row.gallery] = row.value, row.record
    return dict(sorted(found.items()))


def _fits(name: str, words: Sequence[str]) -> bool:
    return not words or any(word == name or fnmatchcase(name, word) for word in words)


def _is_of_data(cell: Identity, word: str) -> bool:
    name, at, digits = word.rpartition("@")
    return _fits(cell.dataset, [word]) or (
        bool(at) and _fits(cell.dataset, [name]) and cell.fingerprint.startswith(digits)
    )


def words_of(given: str | Sequence[str]) -> list[str]:
    """Return names from one text or several, which commas separate."""
    parts = [given] if isinstance(given, str) else given or ()
    if not all(isinstance(part, str) for part in parts):
        raise UsageError(f"expected a name or several, not {given!r}")
    return [word.strip() for part in parts for word in part.split(",") if word.strip()]
