"""Datasets of a request, opened and checked in a worker: a bad one costs itself only, never the run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import psutil

import bench
from bench import registry
from bench.atomic import write_whole
from bench.contract import DataError, PluginError, UsageError
from bench.data import open_and_check
from bench.data.fingerprint import CACHE_NAME, forget_digests
from bench.data.loading import data_folder, is_bundle, path_of, source_of
from bench.execution.devices import local_slots
from bench.execution.local import run_local
from bench.execution.tasks import Loss, Task
from bench.experiment.grid import DataSource

FACTS_NAME: Final = "datasets.json"
"""Of the file in a results folder that remembers what is known of unchanged datasets."""

_SECONDS: Final = 600.0
"""Time to open a dataset where cells have no time limit."""

_LEAST_SECONDS: Final = 30.0
"""Time to open a dataset, however short the limit of cells is: it is opened once for all of them."""

_SHARE: Final = 0.9
"""Of the free memory of the machine, for a dataset where cells have no memory limit."""


@dataclass(frozen=True)
class Sources:
    """Datasets asked for: those that can be used, and what is wrong with the others."""

    usable: dict[str, DataSource]
    damaged: dict[str, str]


@dataclass(frozen=True)
class DataRequest:
    """A dataset to look at.

    Attributes:
        given: registry name or bundle path.
        data_dir: data folder.
        profile: ``quick`` or ``paper``.
        plugins: files to load before looking names up.
        digests: file that remembers the digests of unchanged files; None for none.
    """

    given: str
    data_dir: Path | None
    profile: str
    plugins: tuple[str, ...]
    digests: Path | None


@dataclass(frozen=True)
class CheckedData:
    """A dataset that can be opened, and the state of each file on which that depends; empty if absent."""

    source: DataSource
    files: Mapping[str, str]


def check_data(request: DataRequest) -> CheckedData:
    """Open a dataset, check and fingerprint it; runs in a worker.

    Raises:
        UsageError: if there is no such dataset or bundle.
        BenchError: if it cannot be used.
    """
    given, data_dir, profile = request.given, request.data_dir, request.profile
    for plugin in request.plugins:
        registry.add_plugin(plugin)
    states = {path: _state(path) for path in _files(given, data_dir)}
    found = open_and_check(given, data_dir, profile, request.digests)
    return CheckedData(DataSource(given, found.name, found.kind, found.fingerprint, found.modalities), states)


def describe_sources(
    given: Sequence[str],
    data_dir: Path | None,
    profile: str,
    results: Path | None = None,
    *,
    timeout: float | None = None,
    max_memory: int | None = None,
) -> Sources:
    """Return what planning must know of datasets; this process opens none of their files and no plug-in.

    Args:
        given: registry names and bundle paths.
        data_dir: data folder; None for the default.
        profile: ``quick`` or ``paper``.
        results: folder that remembers what is known of unchanged files; None to remember nothing.
        timeout: seconds that a cell may take; None for no limit.
        max_memory: bytes that a cell may take; None for no limit.

    Raises:
        UsageError: if there is no such dataset or bundle.
        WorkerError: if no worker can be started.
    """
    memory = _Memory(results, data_dir, profile)
    found = {name: memory.recall(name) for name in dict.fromkeys(given)}
    digests = None if results is None else results / CACHE_NAME
    tasks = [
        Task(name, name, DataRequest(name, data_dir, profile, registry.plugins(), digests))
        for name, known in found.items()
        if known is None
    ]
    damaged = {}
    outcomes = run_local(
        tasks,
        check_data,
        local_slots(1, 1),
        timeout=_SECONDS if timeout is None else max(timeout, _LEAST_SECONDS),
        max_memory=max_memory or int(_SHARE * psutil.virtual_memory().available),
    )
    with closing(outcomes):
        for outcome in outcomes:
            found[outcome.task.key] = outcome.value
            if outcome.lost is not None:
                damaged[outcome.task.key] = _refusal(outcome.lost)
    if tasks:
        memory.keep({name: known for name, known in found.items() if known is not None})
    return Sources({name: known.source for name, known in found.items() if known is not None}, damaged)


def forget_data(given: str, results: Path, data_dir: Path | None, profile: str) -> None:
    """Forget what was known of a dataset whose files have changed unnoticed: the next run reads them."""
    files = _Memory(results, data_dir, profile).forget(given)
    forget_digests([Path(path) for path in files], results / CACHE_NAME)


def _refusal(lost: Loss) -> str:
    """Return why a dataset cannot be used.

    Raises:
        UsageError: if there is none of that name.
    """
    sentence = lost.reason.removeprefix(f"{lost.exception}: ").splitlines()[0]
    if lost.exception == UsageError.__name__:
        raise UsageError(sentence)
    known = lost.exception in {DataError.__name__, PluginError.__name__}
    return sentence if known else f"it cannot be opened: {lost.reason.splitlines()[0]}"


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


def _code_state() -> str:
    """Return what changes with the code that reads data."""
    house = Path(bench.__file__).parent
    files = sorted(path for room in ("contract", "data") for path in (house / room).glob("*.py"))
    return hashlib.sha256("\n".join(_state(path) for path in files).encode()).hexdigest()[:16]


_KNOWN: dict[str, CheckedData] = {}
"""Of the datasets that this process has asked for."""

_DECODER: Final[msgspec.json.Decoder[dict[str, CheckedData]]] = msgspec.json.Decoder(dict[str, CheckedData])


class _Memory:
    """What is known of unchanged datasets: to this process, and in a results folder."""

    def __init__(self, results: Path | None, data_dir: Path | None, profile: str) -> None:
        self._path = None if results is None else results / FACTS_NAME
        self._usual = f"{data_folder(data_dir).resolve()}|{profile}|{bench.__version__}|{_code_state()}"
        self._saved: dict[str, CheckedData] = {}
        if self._path is not None:
            with suppress(OSError, msgspec.DecodeError):  # a lost or damaged file only costs time
                self._saved = _DECODER.decode(self._path.read_bytes())

    def recall(self, given: str) -> CheckedData | None:
        """Return what is known and still holds."""
        for entries in (_KNOWN, self._saved):
            facts = entries.get(self._key(given))
            if facts and all(_state(path) == state for path, state in facts.files.items()):
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
