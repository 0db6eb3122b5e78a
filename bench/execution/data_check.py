"""Checks of a request's datasets in a worker: a bad dataset is left out and never ends the run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import psutil

import bench
from bench import registry
from bench.atomic import write_whole
from bench.contract import DataError, PluginError, Unsupported, UsageError
from bench.data import load_dataset, open_and_check
from bench.data.fingerprint import CACHE_NAME, forget_digests, sha256_of
from bench.data.given_results import kind_of_given
from bench.data.loading import is_bundle, source_of
from bench.data.locations import data_folder, path_of
from bench.execution.devices import local_slots
from bench.execution.local import run_local
from bench.execution.tasks import Task
from bench.experiment.conditions import under_condition
from bench.experiment.given import GivenSource
from bench.experiment.grid import DataSource, Request

R = TypeVar("R")
W = TypeVar("W")

FACTS_NAME: Final = "datasets.json"
"""Of the file in a results folder that remembers what is known of unchanged datasets."""

_SECONDS: Final = 600.0  # time to open a dataset where cells have no time limit
_LEAST_SECONDS: Final = 30.0
"""Time to open a dataset, however short the limit of cells is: it is opened once for all of them."""

_SHARE: Final = 0.9  # of the free memory of the machine, for a dataset where cells have no memory limit


@dataclass(frozen=True)
class Sources:
    """Datasets asked for: those that can be used, and what is wrong with the others."""

    usable: dict[str, DataSource]
    damaged: dict[str, str]


@dataclass(frozen=True)
class CheckedData:
    """A dataset that can be opened, and the state of each file on which that depends; empty if absent."""

    source: DataSource
    files: Mapping[str, str]


@dataclass(frozen=True)
class DataRequest:
    """A dataset to open, by registry name or bundle path; ``digests`` remembers those of unchanged files."""

    given: str
    data_dir: Path | None
    profile: str
    plugins: tuple[str, ...]
    digests: Path | None = None

    def check(self) -> CheckedData:
        """Open, check and fingerprint the dataset; runs in a worker.

        Raises:
            UsageError: if there is no such dataset or bundle.
            BenchError: if it cannot be used.
        """
        for plugin in self.plugins:
            registry.add_plugin(plugin)
        states = {path: _state(path) for path in _files(self.given, self.data_dir)}
        found = open_and_check(self.given, self.data_dir, self.profile, self.digests)
        notes = [*found.notes] if is_bundle(self.given) else []
        if is_bundle(self.given) and self.given.lower().endswith(".npz"):
            from bench.encoders import read_card, summary_lines  # imports what few datasets need

            card = read_card(Path(self.given).expanduser())  # how its features were extracted
            notes += [] if card is None else summary_lines(card)
        about = found.name, found.kind, found.fingerprint, found.modalities
        return CheckedData(DataSource(self.given, *about, (*notes, *found.findings)), states)


def describe_sources(
    given: Sequence[str], data_dir: Path | None, profile: str, results: Path | None = None, **limits: Any
) -> Sources:
    """Return what planning must know of datasets; this process opens none of their files and no plug-in.

    The folder ``results`` remembers what is known of unchanged files; ``limits`` are ``timeout`` and
    ``max_memory`` of a cell.

    Raises:
        UsageError: if there is no such dataset or bundle.
    """
    memory = _Memory(results, data_dir, profile)
    found = {name: memory.recall(name) for name in dict.fromkeys(given)}
    digests = None if results is None else results / CACHE_NAME
    fresh = {
        name: DataRequest(name, data_dir, profile, registry.plugins(), digests)
        for name, known in found.items()
        if known is None
    }
    checked, damaged = _opened(fresh, DataRequest.check, **limits)
    found.update(checked)
    if fresh:
        memory.keep({name: known for name, known in found.items() if known is not None})
    return Sources({name: known.source for name, known in found.items() if known is not None}, damaged)


@dataclass(frozen=True)
class GivenRequest:
    """Files of embeddings to look at: the name of their row, and the modalities of a dataset, if any."""

    name: str
    paths: tuple[Path, ...]
    dataset: tuple[str, ...]

    def check(self) -> GivenSource:
        """Read which embeddings the files hold, and their digests; runs in a worker.

        Raises:
            DataError: if one cannot be used, or they cannot be seeds of one row.
        """
        name, paths = self.name, self.paths
        kind, *others = {kind_of_given(path, self.dataset) for path in paths}
        digests = tuple(sha256_of(path) for path in paths)
        if others or len({*digests}) < len(paths):
            what = "hold different kinds of arrays" if others else "are not all different"
            raise DataError(
                f"the {len(paths)} files of {name} {what}; give a file for each seed, or other names"
            )
        if len(paths) > 1 and not self.dataset:
            raise DataError(
                f"{name} has {len(paths)} files; name the dataset whose test rows all are of: --datasets"
            )
        return GivenSource(name, tuple(str(path.resolve()) for path in paths), digests, *kind)


def describe_given(
    files: Mapping[str, Sequence[Path]], datasets: Sequence[DataSource], **limits: Any
) -> tuple[dict[tuple[str, str], GivenSource], dict[str, str]]:
    """Return what planning must know of files of embeddings, by name and dataset, and what is wrong.

    The ``files`` go by the name of their row, several of seeds 0, 1, ...; without ``datasets``, whose test
    rows they are of, they state their labels; ``limits`` are ``timeout`` and ``max_memory`` of a cell.
    """
    wanted = {
        f"{name} on {data.name}" if data else name: GivenRequest(
            name, (*paths,), data.modalities if data else ()
        )
        for name, paths in files.items()
        for data in (datasets or (None,))
    }
    checked, damaged = _opened(wanted, GivenRequest.check, **limits)
    keys = {f"{name} on {data.name}": (name, data.given) for name in files for data in datasets}
    return {keys.get(key, (key, "")): source for key, source in checked.items()}, damaged


@dataclass(frozen=True)
class ConditionRequest:
    """A condition that is read from a file, for some modalities of a dataset; none for all."""

    condition: str
    file: str
    data: DataRequest
    modalities: tuple[str, ...]

    def check(self) -> str:
        """Read the condition, and return the level that it reaches in words; runs in a worker.

        Raises:
            DataError: if the file is not of the training rows of the dataset.
        """
        data = self.data
        for plugin in data.plugins:
            registry.add_plugin(plugin)
        dataset = load_dataset(data.given, data.data_dir, profile=data.profile)
        names = self.modalities or dataset.modalities
        part = dataset.select(tuple(name for name in dataset.modalities if name in names))
        try:
            _, level = under_condition(part, self.condition, 0, self.file)
        except Unsupported as error:
            raise DataError(str(error)) from error
        return f"effective level {level:.4g}" if isinstance(level, float) else f"effective level {level}"


def describe_condition_files(
    request: Request, usable: Mapping[str, DataSource], data_dir: Path | None, **limits: Any
) -> dict[str, DataSource]:
    """Return datasets with a note on what each file of a condition of the request makes of them.

    Raises:
        UsageError: if a file is not of the training rows of a dataset.
    """
    wanted = {}
    for given, (condition, file) in product(usable, request.condition_files.items()):
        data = DataRequest(given, data_dir, request.profile, registry.plugins())
        wanted[f"{given} under {condition}"] = ConditionRequest(
            condition, file, data, tuple(request.modalities)
        )
    checked, damaged = _opened(wanted, ConditionRequest.check, **limits)
    for key, reason in damaged.items():
        raise UsageError(f"{key}: {reason}")
    noted = dict(usable)
    for key, one in wanted.items():
        source = noted[one.data.given]
        noted[one.data.given] = replace(source, notes=(*source.notes, f"{one.condition}: {checked[key]}"))
    return noted


def _opened(
    requests: Mapping[str, R],
    check: Callable[[R], W],
    timeout: float | None = None,
    max_memory: int | None = None,
) -> tuple[dict[str, W], dict[str, str]]:
    """Return what workers found by the requests' keys, and in a sentence why others cannot be opened.

    Raises:
        UsageError: if a worker raises one.
    """
    found, damaged = {}, {}
    tasks = [Task(key, key, request) for key, request in requests.items()]
    seconds = _SECONDS if timeout is None else max(timeout, _LEAST_SECONDS)
    most = max_memory or int(_SHARE * psutil.virtual_memory().available)
    with closing(run_local(tasks, check, local_slots(1, 1), timeout=seconds, max_memory=most)) as outcomes:
        for outcome in outcomes:
            if outcome.value is not None:
                found[outcome.task.key] = outcome.value
            if (lost := outcome.lost) is not None:
                reason = lost.reason.splitlines()[0]
                sentence = reason.removeprefix(f"{lost.exception}: ")
                if lost.exception == UsageError.__name__:
                    raise UsageError(sentence)
                known = lost.exception in {DataError.__name__, PluginError.__name__}
                damaged[outcome.task.key] = sentence if known else f"it cannot be opened: {reason}"
    return found, damaged


def forget_data(given: str, results: Path, data_dir: Path | None, profile: str) -> None:
    """Forget what was known of a dataset whose files have changed unnoticed: the next run reads them."""
    files = _Memory(results, data_dir, profile).forget(given)
    forget_digests([Path(path) for path in files], results / CACHE_NAME)


def _files(given: str, data_dir: Path | None) -> list[str]:
    """Return the files on which a dataset depends, those that are absent among them."""
    source = source_of(given, data_dir)
    paths = [*source.files.values()]
    if source.card is not None:
        folder = data_folder(data_dir)
        for file in source.card.files:
            paths += [path_of(source.card, file, folder), folder / file.name]
        paths.append(Path(registry.dataset(given).where))
    return sorted({str(path.resolve()) for path in paths})


def _state(path: str | Path) -> str:
    """Return what tells a file from every other that was ever at its path; empty where there is none."""
    try:
        status = Path(path).stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}"


_KNOWN: dict[str, CheckedData] = {}  # of the datasets that this process has asked for
_DECODER: Final[msgspec.json.Decoder[dict[str, CheckedData]]] = msgspec.json.Decoder(dict[str, CheckedData])


class _Memory:
    """What is known of unchanged datasets: to this process, and in a results folder."""

    def __init__(self, results: Path | None, data_dir: Path | None, profile: str) -> None:
        self._path = None if results is None else results / FACTS_NAME
        self._data_dir = data_dir
        house = Path(bench.__file__).parent
        code = sorted(path for room in ("contract", "data") for path in (house / room).rglob("*.py"))
        state = hashlib.sha256("\n".join(map(_state, code)).encode()).hexdigest()[:16]
        self._usual = f"{data_folder(data_dir).resolve()}|{profile}|{bench.__version__}|{state}"
        self._saved: dict[str, CheckedData] = {}
        if self._path is not None:
            with suppress(OSError, msgspec.DecodeError):  # a lost or damaged file only costs time
                self._saved = _DECODER.decode(self._path.read_bytes())

    def recall(self, given: str) -> CheckedData | None:
        """Return what is known and still holds."""
        for entries in (_KNOWN, self._saved):
            facts = entries.get(self._key(given))
            if (
                facts
                and all(_state(path) == state for path, state in facts.files.items())
                and facts.files.keys() == set(_files(given, self._data_dir))  # no file has come to be found
            ):
                return facts
        return None

    def keep(self, facts: Mapping[str, CheckedData]) -> None:
        """Remember what was found."""
        fresh = {self._key(given): known for given, known in facts.items()}
        _KNOWN.update(fresh)
        self._save({**self._saved, **fresh})

    def forget(self, given: str) -> list[str]:
        """Remember nothing of a dataset; returns the files on which it depends."""
        known = [entries.pop(self._key(given), None) for entries in (_KNOWN, self._saved)]
        self._save(self._saved)
        return [path for facts in known if facts for path in facts.files]

    def _key(self, given: str) -> str:
        where = Path(given).resolve() if is_bundle(given) else registry.dataset(given).where
        return f"{given}|{where}|{self._usual}"

    def _save(self, entries: Mapping[str, CheckedData]) -> None:
        if self._path is not None:
            with suppress(OSError):
                write_whole(self._path, msgspec.json.encode(entries), durable=False)
