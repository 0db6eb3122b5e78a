"""Reproduction ledger: published values, mapped to names of this project, and compared with records."""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, cached_property, partial
from itertools import permutations
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
import yaml

from bench import registry
from bench.analysis.groups import CLEAN, Data, RowGroup, data_order
from bench.analysis.labels import abbreviations
from bench.analysis.results import Filter, Results
from bench.analysis.tables import ABSENT, AVERAGE, NOT_RUN, Direction, Entry, Row, rows_of
from bench.contract import DataError
from bench.records.schema import Record
from bench.registry import parse_yaml

VALUES: Final = "published_map.csv"
NAMES: Final = "names.yaml"

_PAIR: Final = re.compile(r"(.+?)(?:->|2)(.+)")


class Value(msgspec.Struct, frozen=True):
    """A value and its names as printed."""

    method: str
    dataset: str
    direction: str
    metric: str
    value: Annotated[float, msgspec.Meta(ge=0, le=1)]
    source: str


class MetricName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a printed metric is: the id of a protocol, or ``because`` it is none of ours."""

    protocol: str = ""
    condition: str = ""  # that the training data was under, such as ``label-noise@0.2``; empty for clean data
    because: str = ""
    remark: str = ""


class DatasetName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a printed dataset is."""

    dataset: str
    modalities: tuple[str, ...] = ()  # those that took part; empty for all of the dataset
    because: str = ""  # why its numbers cannot be compared with ours; empty where they can
    remark: str = ""  # what to know about the comparison


class SourceName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sources, as a pattern with ``*``, whose tables were made on other data."""

    source: str
    because: str


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What printed names mean."""

    metrics: dict[str, MetricName] = {}  # by printed name
    datasets: dict[str, DatasetName] = {}  # by printed name
    averages: tuple[str, ...] = ()  # printed directions that are averages over all
    sources: tuple[SourceName, ...] = ()  # the first that fits counts
    methods: dict[str, str] = {}  # printed name -> registry name, for those that are no card's title


@dataclass(frozen=True)
class Meaning:
    """A published value in names of this project."""

    method: str  # registry name; empty if the project has no such method
    dataset: str  # registry name; empty if the project has no such dataset
    modalities: tuple[str, ...]  # of the cells that could reproduce it, in the dataset's order
    direction: Direction | None  # query and gallery, or their average
    protocol: str  # id; empty where ``because`` states why it is none
    condition: str  # id; ``clean`` for clean data
    because: str  # why it can never be compared; empty where it can
    remark: str  # what to know about a comparison


@dataclass(frozen=True)
class Published:
    """Published values and what their names mean."""

    values: tuple[Value, ...] = ()
    names: Names = field(default_factory=Names)  # as ``names.yaml`` has them

    def meaning(self, value: Value) -> Meaning:
        """Return what a value is here, by the registered cards and the names."""
        metric = self.names.metrics.get(value.metric, MetricName(because=f"other protocol: {value.metric}"))
        name = self.names.datasets.get(value.dataset, DatasetName(""))
        found = registry.registered().datasets
        dataset = name.dataset if name.dataset in found else ""
        known = [modality.name for modality in found[dataset].card.modalities] if dataset else []
        sources = (each for each in self.names.sources if fnmatchcase(value.source, each.source))
        source = next(sources, None)
        direction = self._direction(value.direction, known)
        reasons = [metric.because, name.because, source.because if source else ""]
        if dataset and direction is None:
            reasons.append(f"{dataset} has no direction {value.direction}")
        return Meaning(
            method=self._methods.get(value.method.casefold(), ""),
            dataset=dataset,
            modalities=tuple(part for part in known if not name.modalities or part in name.modalities),
            direction=direction,
            protocol=metric.protocol,
            condition=metric.condition or CLEAN,
            because=next(filter(None, reasons), ""),
            remark="; ".join(filter(None, (name.remark, metric.remark))),
        )

    @cached_property
    def _methods(self) -> dict[str, str]:
        """Return printed name -> registry name, the roster's first where a title is taken twice."""
        methods = registry.registered().methods
        titles = {methods[name].card.title.casefold(): name for name in reversed(registry.method_names())}
        given = {printed.casefold(): name for printed, name in self.names.methods.items() if name in methods}
        return titles | given

    def _direction(self, printed: str, modalities: list[str]) -> Direction | None:
        """Return the direction of a printed one, such as ``I2T``; None if the modalities have none such."""
        if printed in self.names.averages:
            return AVERAGE
        by_letters = {letters.casefold(): name for name, letters in abbreviations(modalities).items()}
        pair = _PAIR.fullmatch(printed.casefold())
        query, gallery = map(by_letters.get, pair.groups()) if pair else (None, None)
        return (query, gallery) if query and gallery and query != gallery else None


def published_folder() -> Path:
    """Return where published values are: in the clone's ``results``, or inside an installed copy."""
    bench = Path(__file__).resolve().parents[1]
    inside = bench / "installed_published"
    return inside if inside.is_dir() else bench.parent / "results" / "published"


def read_published(folder: Path | None = None) -> Published:
    """Return the published values of a folder, by default the project's; none where there is no such file.

    Raises:
        DataError: if a file is damaged; names file, line and reason.
    """
    folder = published_folder() if folder is None else folder
    values, names = folder / VALUES, folder / NAMES
    if not values.is_file():
        return Published()
    return Published(tuple(_values(values)), _names(names) if names.is_file() else Names())


def _values(path: Path) -> Iterator[Value]:
    lines = csv.reader(io.StringIO(_text(path), newline=""))
    columns = list(Value.__struct_fields__)
    header = next(lines, [])
    if header != columns:
        raise DataError(f"{path}: its columns are {', '.join(header)}; expected {', '.join(columns)}")
    for line in lines:
        where = f"{path}, line {lines.line_num}"
        if len(line) != len(columns):
            raise DataError(f"{where}: {len(line)} columns; expected {len(columns)}")
        fields = dict(zip(columns, line, strict=True))
        try:
            yield msgspec.convert(fields, Value, strict=False)
        except msgspec.ValidationError as error:
            raise DataError(f"{where}: {fields['value']!r} is not a mAP between 0 and 1") from error


def _names(path: Path) -> Names:
    try:
        return msgspec.convert(parse_yaml(_text(path)), Names)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise DataError(f"{path}: {' '.join(str(error).split())}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error


REPRODUCED: Final = 0.01
CLOSE: Final = 0.03
"""Largest differences of mAP, in either direction, of these verdicts."""

SEEDS: Final = 5
"""Of the command that runs what was not run yet."""

_SELECTION: Final = "best"  # the only rule whose numbers are results

_ROUNDING: Final = 1e-9

Verdict = Literal[
    "reproduced",
    "close",
    "not reproduced",
    "not comparable",
    "no result",
    "not run yet",
    "not in this project",
]
"""``no result``: it was run as it should be, and failed."""


class Ours(NamedTuple):
    """The recorded result for a published value."""

    data: Data  # kind, profile, dataset and version
    entry: Entry  # mean over seeds, or why there is none
    other: str  # why these records cannot be compared, such as ``look-alike``; empty if they can


@dataclass(frozen=True)
class LedgerRow:
    """A published value and ours."""

    value: Value
    meaning: Meaning  # what its names mean here
    ours: Ours | None  # what the records have; None where they have nothing
    difference: float | None  # ours minus the published value; None unless they can be compared
    verdict: Verdict  # see `Verdict`
    because: str = ""  # why there is no difference; empty where there is one
    command: str = ""  # what would run it; empty where it need not or cannot be run


def ledger_of(results: Results, published: Published) -> list[LedgerRow]:
    """Return a line per published value and version of the real data that it can be compared with.

    Only full methods with their usual settings, on real data under the same condition, in the paper profile,
    under the same protocol and on the same modalities are compared with a published value. Where there are
    none such, what there is instead is named.
    """
    recorded = cache(partial(_recorded, results))
    return [
        row for value in published.values for row in _ledger_rows(value, published.meaning(value), recorded)
    ]


def run_command(
    methods: Sequence[str], dataset: str, modalities: Sequence[str] = (), condition: str = CLEAN
) -> str:
    """Return the command that runs methods as they were published, on some modalities; on all if empty."""
    words = ["python", "-m", "bench", "run", "--profile", "paper", "--datasets", dataset]
    words += ["--methods", ",".join(methods), "--seeds", str(SEEDS)]
    words += ["--modalities", ",".join(modalities)] if modalities else []
    words += ["--conditions", condition] if condition != CLEAN else []
    return shlex.join(words)


def confined_to(meaning: Meaning) -> tuple[str, ...]:
    """Return the modalities that a run must be confined to; empty where the dataset has no others."""
    every = registry.registered().datasets[meaning.dataset].card.modalities
    return meaning.modalities if len(meaning.modalities) < len(every) else ()


_Recorded = list[tuple[Data, RowGroup, Row]]


def _recorded(
    results: Results, dataset: str, modalities: tuple[str, ...], protocol: str, condition: str
) -> _Recorded:
    """Return the rows of all methods that a value on these modalities of a dataset may be compared with."""
    chosen = Filter(variants=["full"], datasets=[dataset], conditions=[condition])
    fitting = results.where(lambda record: chosen.admits(record) and _took(record, modalities))
    directions = list(permutations(modalities, 2))
    return [
        (data, group, row)
        for data, groups in fitting.groups.items()
        for group, row in zip(groups, rows_of(fitting, groups, directions, protocol, _SELECTION), strict=True)
    ]


def _not_comparable(data: Data, group: RowGroup) -> str:
    """Return why a row cannot be compared with a published value; empty where it can."""
    if data.kind != "real":
        return "look-alike: generated data, not the benchmark"
    if data.profile != "paper":
        return f"other profile: {data.profile}"
    split = registry.registered().datasets[data.dataset].card.split
    splits = (record.result.split for record in group.records if record.result is not None)
    if (other := next((each for each in splits if each != split), None)) is not None:
        return f"other split: {other}"
    return "" if group.usual else f"other settings: {group.label}"


def _took(record: Record, modalities: Sequence[str]) -> bool:
    """Return whether a cell is of these modalities: all at once, or one pair of several for a pair method."""
    taken = record.identity.modalities
    if set(taken) == set(modalities):
        return True
    found = registry.registered().methods.get(record.identity.method)
    card = record.method.card if record.method is not None else {}
    takes_more = found.card.any_modalities if found is not None else card.get("any_modalities", True)
    return not takes_more and len(taken) == 2 and set(taken) <= set(modalities)


def _ledger_rows(
    value: Value, meaning: Meaning, recorded: Callable[[str, tuple[str, ...], str, str], _Recorded]
) -> list[LedgerRow]:
    row = partial(LedgerRow, value, meaning)
    lacking = [] if meaning.method else [f"method {value.method}"]
    lacking += [] if meaning.dataset else [f"dataset {value.dataset}"]
    if lacking:
        because = f"this project has no {' and no '.join(lacking)}"
        return [row(None, None, "not in this project", because)]
    if meaning.because or meaning.direction is None:
        return [row(None, None, "not comparable", meaning.because)]
    found = [
        Ours(data, each.entries.get(meaning.direction, ABSENT), _not_comparable(data, group))
        for data, group, each in recorded(
            meaning.dataset, meaning.modalities, meaning.protocol, meaning.condition
        )
        if each.method == meaning.method
    ]
    found.sort(
        key=lambda ours: (bool(ours.other), ours.entry.mean is None, ours.other, data_order(ours.data))
    )
    command = run_command([meaning.method], meaning.dataset, confined_to(meaning), meaning.condition)
    if not found:
        alone = f" of {'+'.join(meaning.modalities)} alone" if confined_to(meaning) else ""
        return [row(None, None, "not run yet", f"no record{alone}", command)]
    if found[0].other:
        return [row(found[0], None, "not comparable", found[0].other, command)]
    rows = []
    for ours in (one for one in found if not one.other):
        if ours.entry.brief == NOT_RUN:
            rows.append(row(ours, None, "not run yet", "not all pairs of modalities were run", command))
        elif ours.entry.mean is None:
            rows.append(row(ours, None, "no result", ours.entry.reason))
        else:
            difference = ours.entry.mean - value.value
            rows.append(row(ours, difference, verdict_of(difference)))
    return rows


def verdict_of(difference: float) -> Verdict:
    """Return the verdict on a difference of mAP."""
    size = abs(difference) - _ROUNDING
    if size <= REPRODUCED:
        return "reproduced"
    return "close" if size <= CLOSE else "not reproduced"
