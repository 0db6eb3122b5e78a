"""Values as printed in papers, and what their names mean here.

Both stand in ``results/published``: the values in ``published_map.csv``, the meaning of their names, which
papers spell as they like, in ``names.yaml``. The code knows none of them.
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec
import yaml

from bench import registry
from bench.analysis.abbreviations import abbreviations
from bench.analysis.tables import AVERAGE, Direction
from bench.contract import DataError
from bench.registry.notation import parse_yaml

VALUES: Final = "published_map.csv"
NAMES: Final = "names.yaml"

_COLUMNS: Final = ["method", "dataset", "direction", "metric", "value", "source"]
_PAIR: Final = re.compile(r"(.+?)(?:->|2)(.+)")


class Value(msgspec.Struct, frozen=True):
    """A value and its names as printed."""

    method: str
    dataset: str
    direction: str
    metric: str
    value: float
    source: str


class MetricName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a printed metric is: the id of a protocol, or ``because`` it is none of ours."""

    protocol: str = ""
    because: str = ""
    remark: str = ""


class DatasetName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a printed dataset is.

    Attributes:
        dataset: registry name.
        modalities: those that took part; empty for all of the dataset.
        because: why its numbers cannot be compared with ours; empty where they can.
        remark: what to know about the comparison.
    """

    dataset: str
    modalities: tuple[str, ...] = ()
    because: str = ""
    remark: str = ""


class SourceName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sources, as a pattern with ``*``, whose tables were made on other data."""

    source: str
    because: str


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What printed names mean.

    Attributes:
        metrics: by printed name.
        datasets: by printed name.
        averages: printed directions that are averages over all.
        sources: the first that fits counts.
        methods: printed name -> registry name, for those that are no card's title.
    """

    metrics: dict[str, MetricName] = {}
    datasets: dict[str, DatasetName] = {}
    averages: tuple[str, ...] = ()
    sources: tuple[SourceName, ...] = ()
    methods: dict[str, str] = {}


@dataclass(frozen=True)
class Meaning:
    """What a value is here.

    Attributes:
        method: registry name; empty if the project has no such method.
        dataset: registry name; empty if the project has no such dataset.
        modalities: of the cells that could reproduce it, in the dataset's order.
        direction: query and gallery, or their average.
        protocol: id; empty where ``because`` says that it is none.
        because: why it can never be compared; empty where it can.
        remark: what to know about a comparison.
    """

    method: str
    dataset: str
    modalities: tuple[str, ...]
    direction: Direction | None
    protocol: str
    because: str
    remark: str


@dataclass(frozen=True)
class Published:
    """Published values and what their names mean.

    Attributes:
        values: in the file's order.
        names: as ``names.yaml`` has them.
    """

    values: tuple[Value, ...] = ()
    names: Names = field(default_factory=Names)

    def meaning(self, value: Value) -> Meaning:
        """Return what a value is here, by the registered cards and the names."""
        metric = self.names.metrics.get(value.metric, MetricName(because=f"other protocol: {value.metric}"))
        name = self.names.datasets.get(value.dataset, DatasetName(""))
        found = registry.registered().datasets
        dataset = name.dataset if name.dataset in found else ""
        known = [modality.name for modality in found[dataset].card.modalities] if dataset else []
        source = next((one for one in self.names.sources if fnmatchcase(value.source, one.source)), None)
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
        if printed in self.names.averages:
            return AVERAGE
        pair = _PAIR.fullmatch(printed)
        by_letters = {letters.casefold(): name for name, letters in abbreviations(modalities).items()}
        ends = [by_letters.get(part.casefold()) for part in pair.groups()] if pair else [None, None]
        query, gallery = ends
        return (query, gallery) if query and gallery and query != gallery else None


def published_folder() -> Path:
    """Return where published values are: in the clone's ``results``, or inside an installed copy."""
    bench = Path(__file__).resolve().parents[1]
    inside = bench / "installed_published"
    return inside if inside.is_dir() else bench.parent / "results" / "published"


def read_published(folder: Path | None = None) -> Published:
    """Return the published values of a folder, by default the project's; none where there is no such file.

    Raises:
        DataError: if a file is not what it should be; says which, where, and why.
    """
    place = published_folder() if folder is None else folder
    values, names = place / VALUES, place / NAMES
    if not values.is_file():
        return Published()
    return Published(tuple(_values(values)), _names(names) if names.is_file() else Names())


def _values(path: Path) -> list[Value]:
    lines = csv.reader(io.StringIO(_text(path), newline=""))
    header = next(lines, [])
    if header != _COLUMNS:
        raise DataError(f"{path}: its columns are {', '.join(header)}; expected {', '.join(_COLUMNS)}")
    return [_value(path, lines.line_num, line) for line in lines]


def _value(path: Path, number: int, line: list[str]) -> Value:
    if len(line) != len(_COLUMNS):
        raise DataError(f"{path}, line {number}: {len(line)} columns; expected {len(_COLUMNS)}")
    *names, printed, source = line
    try:
        value = float(printed)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise DataError(f"{path}, line {number}: {printed!r} is no mAP between 0 and 1")
    method, dataset, direction, metric = names
    return Value(method, dataset, direction, metric, value, source)


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
