"""Checks of datasets in a worker: a bad dataset is left out and never ends the run."""

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
from bench.atomic import read_state, write_whole
from bench.contract import DataError, PluginError, Unsupported, UsageError
from bench.data import load_dataset, open_and_check
from bench.data.fingerprint import CACHE_NAME, forget_digests, sha256_of
from bench.data.formats import is_other, require_regular
from bench.data.given_results import kind_of_given
from bench.data.loading import is_bundle, source_of
from bench.data.locations import data_folder, path_of
from bench.data.look_alike import draw
from bench.execution.devices import local_slots
from bench.execution.local import run_local
from bench.execution.tasks import Task
from bench.experiment.conditions import under_condition
from bench.experiment.given import GivenSource
from bench.experiment.grid import DataSource, Request
from bench.experiment.isolation import restored_settings
from bench.records.encoding import UNREADABLE

R = TypeVar("R")
W = TypeVar("W")

FACTS_NAME: Final = "datasets.json"
"""Name of the file in a results folder that caches the descriptions of unchanged datasets."""

_SECONDS: Final = 600.0  # time limit of a dataset if cells have none
_LEAST_SECONDS: Final = 30.0  # least time limit of a dataset, which is opened once for all cells
_SHARE: Final = 0.9  # of the free memory of the machine: limit of a dataset if cells have none


@dataclass(frozen=True)
class Sources:
    """Requested datasets: usable ones, and the faults of others, by their names or paths."""

    usable: dict[str, DataSource]
    damaged: dict[str, str]


@dataclass(frozen=True)
class CheckedData:
    """A usable dataset, and the state of each file on which it depends, empty for an absent one."""

    source: DataSource
    files: Mapping[str, str]


@dataclass(frozen=True)
class DataRequest:
    """A dataset to open, by registry name or bundle path; ``digests`` caches those of unchanged files."""

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
        dataset = open_and_check(self.given, self.data_dir, self.profile, self.digests)
        notes = [*dataset.notes] if is_bundle(self.given) else []
        if is_bundle(self.given) and self.given.lower().endswith(".npz"):
            from bench.encoders import read_card, summary_lines  # slow to import, and rarely needed

            try:
                card = read_card(Path(self.given).expanduser())  # of the extraction of its features
                notes += [] if card is None else summary_lines(card)
            except DataError as error:  # the arrays are sound
                notes.append(f"how its features were extracted cannot be read: {error}")
        about = dataset.name, dataset.kind, dataset.fingerprint, dataset.modalities
        return CheckedData(DataSource(self.given, *about, (*notes, *dataset.findings)), states)


def describe_sources(
    given: Sequence[str], data_dir: Path | None, profile: str, results: Path | None = None, **limits: Any
) -> Sources:
    """Return the descriptions of datasets without opening their files or plug-ins in this process.

    The folder ``results`` has a cache for unchanged files; ``limits`` are ``timeout`` and ``max_memory`` of a
    cell.

    Raises:
        UsageError: if there is no such dataset or bundle.
    """
    cache, refused = _Cache(results, data_dir, profile), _no_files(given)
    described = {name: cache.recall(name) for name in dict.fromkeys(given) if name not in refused}
    digests = None if results is None else results / CACHE_NAME
    fresh = {
        name: DataRequest(name, data_dir, profile, registry.plugins(), digests)
        for name, known in described.items()
        if known is None
    }
    checked, damaged = _opened(fresh, _check_data, **limits)
    described.update(checked)
    if fresh:
        cache.keep({name: known for name, known in described.items() if known is not None})
    usable = {name: known.source for name, known in described.items() if known is not None}
    return Sources(usable, refused | damaged)


def _no_files(given: Sequence[str]) -> dict[str, str]:
    """Return why paths of pipes, sockets and devices cannot be used; a worker may not have that of a pipe."""
    refused = {}
    for name in given:
        if is_bundle(name) and is_other(name):
            try:
                require_regular(Path(name))
            except DataError as error:
                refused[name] = str(error)
    return refused


def _check_data(request: DataRequest) -> CheckedData:
    """Check a dataset; what its loader changes in the process does not reach the next one of the worker."""
    with restored_settings():
        return request.check()


@dataclass(frozen=True)
class GivenRequest:
    """Files of embeddings: the name of their row, and the modalities of their dataset, if any."""

    name: str
    paths: tuple[Path, ...]
    dataset: tuple[str, ...]

    def check(self) -> GivenSource:
        """Read the kind of the embeddings, and the digests of the files; runs in a worker.

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
    """Return the descriptions of files of embeddings, by name and dataset, and the faults of others.

    The ``files`` are by the name of their row, several for seeds 0, 1, ...; without the ``datasets`` of their
    test rows they contain labels; ``limits`` are ``timeout`` and ``max_memory`` of a cell.
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
    """A condition that is read from a file, for some modalities of a dataset; no names mean all."""

    condition: str
    file: str
    data: DataRequest
    modalities: tuple[str, ...]

    def check(self) -> str:
        """Read the condition, and return its effective level in words; runs in a worker.

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


def _check_condition(request: ConditionRequest) -> str:
    """Check a condition as `_check_data` checks a dataset."""
    with restored_settings():
        return request.check()


def describe_condition_files(
    request: Request, usable: Mapping[str, DataSource], data_dir: Path | None, **limits: Any
) -> dict[str, DataSource]:
    """Return datasets with a note on the effective level of each condition file of the request.

    Raises:
        UsageError: if a file is not of the training rows of a dataset.
    """
    wanted = {}
    for given, (condition, file) in product(usable, request.condition_files.items()):
        data = DataRequest(given, data_dir, request.profile, registry.plugins())
        wanted[f"{given} under {condition}"] = ConditionRequest(
            condition, file, data, tuple(request.modalities)
        )
    checked, damaged = _opened(wanted, _check_condition, **limits)
    for key, reason in damaged.items():
        raise UsageError(f"{key}: {reason}")
    noted = dict(usable)
    for key, asked in wanted.items():
        source = noted[asked.data.given]
        notes = (*source.notes, f"{asked.condition}: {checked[key]}")
        noted[asked.data.given] = replace(source, notes=notes)
    return noted


def _opened(
    requests: Mapping[str, R],
    check: Callable[[R], W],
    timeout: float | None = None,
    max_memory: int | None = None,
) -> tuple[dict[str, W], dict[str, str]]:
    """Return the results of ``check`` in workers, and the faults of other requests, by their keys.

    Raises:
        UsageError: if a worker raises one.
    """
    results, damaged = {}, {}
    tasks = [Task(key, key, request) for key, request in requests.items()]
    seconds = _SECONDS if timeout is None else max(timeout, _LEAST_SECONDS)
    most = max_memory or int(_SHARE * psutil.virtual_memory().available)
    with closing(run_local(tasks, check, local_slots(1, 1), timeout=seconds, max_memory=most)) as outcomes:
        for outcome in outcomes:
            if outcome.value is not None:
                results[outcome.task.key] = outcome.value
            if (lost := outcome.lost) is not None:
                reason = lost.reason.splitlines()[0]
                sentence = reason.removeprefix(f"{lost.exception}: ")
                if lost.exception == UsageError.__name__:
                    raise UsageError(sentence)
                known = lost.exception in {DataError.__name__, PluginError.__name__}
                damaged[outcome.task.key] = sentence if known else f"it cannot be opened: {reason}"
    return results, damaged


def forget_data(given: str, results: Path, data_dir: Path | None, profile: str) -> None:
    """Remove a dataset from the caches, because its files have changed: the next run reads them."""
    files = _Cache(results, data_dir, profile).forget(given)
    forget_digests([Path(path) for path in files], results / CACHE_NAME)


def _files(given: str, data_dir: Path | None) -> list[str]:
    """Return the files on which a dataset depends, including absent ones."""
    source = source_of(given, data_dir)
    paths = [*source.files.values()]
    if source.card is not None:
        folder = data_folder(data_dir)
        for file in source.card.files:
            paths += [path_of(source.card, file, folder), folder / file.name]
        paths.append(Path(registry.dataset(given).where))
    return sorted({str(path.resolve()) for path in paths})


def _state(path: str | Path) -> str:
    """Return a text that differs for all files that were ever at a path; empty without a file."""
    try:
        status = Path(path).stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}"


_KNOWN: dict[str, CheckedData] = {}  # cache of this process
_DECODER: Final[msgspec.json.Decoder[dict[str, CheckedData]]] = msgspec.json.Decoder(dict[str, CheckedData])


class _Cache:
    """Cache of unchanged datasets, in this process and in a results folder."""

    def __init__(self, results: Path | None, data_dir: Path | None, profile: str) -> None:
        self._path = None if results is None else results / FACTS_NAME
        self._data_dir = data_dir
        root = Path(bench.__file__).parent
        code = sorted(path for package in ("contract", "data") for path in (root / package).rglob("*.py"))
        state = hashlib.sha256("\n".join(map(_state, code)).encode()).hexdigest()[:16]
        self._usual = f"{data_folder(data_dir).resolve()}|{profile}|{bench.__version__}|{state}|{draw()}"
        self._saved: dict[str, CheckedData] = {}
        if self._path is not None:
            with suppress(OSError, *UNREADABLE):  # then all datasets are opened
                self._saved = _DECODER.decode(read_state(self._path))

    def recall(self, given: str) -> CheckedData | None:
        """Return a cached dataset if its files are unchanged."""
        for entries in (_KNOWN, self._saved):
            facts = entries.get(self._key(given))
            if (
                facts
                and all(_state(path) == state for path, state in facts.files.items())
                and facts.files.keys() == set(_files(given, self._data_dir))
            ):
                return facts
        return None

    def keep(self, facts: Mapping[str, CheckedData]) -> None:
        """Add datasets."""
        fresh = {self._key(given): known for given, known in facts.items()}
        _KNOWN.update(fresh)
        self._save({**self._saved, **fresh})

    def forget(self, given: str) -> list[str]:
        """Remove a dataset; returns the files on which it depends."""
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
