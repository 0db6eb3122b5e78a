"""Cells on a Dask cluster: the same records as here, whether the workers see the results folder or not."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.cli.executor_options import DeviceOptions, ExecutorOptions, machines
from bench.execution import dask_client, dask_cluster
from bench.execution.tasks import Slot, WorkerError
from bench.records import Store
from tests.execution.dask_processes import DaskProcesses, dask_processes
from tests.execution.full_disk import FullDisk
from tests.grid import FAULTS, Grid, Said, bytes_of, say

pytest.importorskip("distributed", reason="Dask is not installed: pip install -e '.[dask]'")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Digests of the records that this process wrote although a worker made them."""
    digests: list[str] = []
    put = Store.put

    def note(store: Store, digest: str, files: Mapping[str, bytes]) -> bool:
        """Write down which record is put."""
        digests.append(digest)
        return put(store, digest, files)

    monkeypatch.setattr(Store, "put", note)
    return digests


@pytest.fixture(autouse=True)
def two_workers(request: pytest.FixtureRequest) -> None:
    """Start the workers anew that another test has killed."""
    if "processes" in request.fixturenames:
        request.getfixturevalue("processes").keep(2)


def run(results: Path, address: str, *words: object, methods: str = "mcca,sm,plain,nan,raises") -> Said:
    usual = ("run", "--results", results, "--plugin", FAULTS, "--methods", methods)
    return say(*usual, "--executor", "dask", "--scheduler", address, *words)


def local(grid: Grid, methods: str) -> dict[str, tuple[str, list[bytes]]]:
    """Return the bytes that two workers of this machine recorded of these methods on the small bundle."""
    wanted = {
        record.digest
        for record in grid.store.records()
        if record.identity.method in methods.split(",")
        and (record.identity.dataset, record.identity.seed) == ("small", 0)
    }
    return {digest: content for digest, content in bytes_of(grid.results).items() if digest in wanted}


def test_a_shared_folder_gets_the_same_records_from_dask_workers(
    grid: Grid, processes: DaskProcesses, tmp_path: Path, sent: list[str]
) -> None:
    methods = "mcca,plain,nan,raises"
    run(tmp_path, processes.address, "--datasets", grid.small, methods=methods).check(
        1, "4 cells: 2 done, 1 failed, 1 refused", silent=True
    )
    assert bytes_of(tmp_path) == local(grid, methods)
    assert sent == []
    assert [entry.name for entry in (tmp_path / "runs").iterdir() if entry.name.startswith(".")] == []


@pytest.fixture
def unshared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers not see the folder of the records."""

    @contextmanager
    def elsewhere(runs: Path) -> Iterator[str]:
        """Mark no folder: this is what a worker finds whose path of that name is another folder."""
        yield ".tmp-of-another-folder"

    monkeypatch.setattr("bench.execution.grid_runner.marked", elsewhere)


@pytest.mark.usefixtures("unshared")
def test_where_the_folder_is_not_shared_records_are_sent_back_and_written_here(
    grid: Grid, processes: DaskProcesses, tmp_path: Path, sent: list[str]
) -> None:
    methods = "plain,nan"
    said = run(tmp_path, processes.address, "--datasets", grid.small, methods=methods)
    assert (said.status, said.err) == (1, "")
    assert bytes_of(tmp_path) == local(grid, methods)
    assert sorted(sent) == sorted(bytes_of(tmp_path))
    again = run(tmp_path, "tcp://127.0.0.1:1", "--datasets", grid.small, methods=methods)
    assert "0 run now" in again.out  # and for a finished grid nobody asks a scheduler


@pytest.mark.slow
@pytest.mark.usefixtures("unshared")
def test_a_record_that_finds_no_room_here_costs_its_own_cell_and_the_others_are_recorded(
    grid: Grid, processes: DaskProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = "mcca,plain,nan"
    expected = local(grid, methods)
    unlucky = next(record.digest for record in grid.store.records() if record.digest in expected)
    with monkeypatch.context() as patch:
        FullDisk(patch, lambda name: name == unlucky)
        said = run(tmp_path, processes.address, "--datasets", grid.small, methods=methods)
    said.check(1, "1 disk-full", silent=True)
    assert bytes_of(tmp_path) == {key: value for key, value in expected.items() if key != unlucky}
    assert "1 run now" in run(tmp_path, processes.address, "--datasets", grid.small, methods=methods).out
    assert bytes_of(tmp_path) == expected


def test_a_dry_run_foresees_the_time_on_the_workers(
    grid: Grid, processes: DaskProcesses, tmp_path: Path
) -> None:
    said = run(tmp_path, processes.address, "--datasets", grid.small, "--dry-run", methods="plain,mcca")
    said.check(0, "2 cells, 2 to run")
    assert len([line for line in said.out.splitlines() if line.startswith("tcp://127.0.0.1:")]) == 2


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of something that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_a_scheduler_that_does_not_answer_is_named(
    grid: Grid, tmp_path: Path, mute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.execution.dask_cluster.CONNECT_SECONDS", 0.5)
    said = run(tmp_path, mute, "--datasets", grid.small)
    assert said.status == 2
    assert said.err.startswith(f"error: no Dask scheduler answers at '{mute}' (waited 0.5 s); ")
    assert not list(tmp_path.glob("runs/*"))
    run(tmp_path, "nonsense", "--datasets", grid.small).check(2, "no Dask scheduler answers at 'nonsense'")
    words = ("--datasets", grid.small, "--devices", "cuda:1")
    run(tmp_path, "tcp://h:1", *words).check(2, "--devices cuda:1 names devices of this machine")


def test_a_cluster_without_workers_is_waited_for_and_named(
    grid: Grid, tmp_path: Path, processes: DaskProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(self: object) -> dict[str, int]:
        return {}

    monkeypatch.setattr("distributed.Client.nthreads", nobody)
    said = run(tmp_path, processes.address, "--datasets", grid.small, "--patience", 0.01)
    assert said.status == WorkerError.exit_status == 1
    note, error = said.err.splitlines()
    assert note.startswith(
        f"note: there is no Dask worker at {processes.address}; waiting up to 0.01 s for one"
    )
    assert error.startswith(f"error: there was no Dask worker to use at {processes.address} for 0.01 s; ")
    assert "run again" in error


def test_without_dask_the_message_names_the_command(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    said = run(tmp_path, "tcp://127.0.0.1:1", "--datasets", grid.small)
    assert said.status == 2
    assert said.err.startswith("error: --executor dask needs Dask, ")
    assert "pip install 'cross-modal-bench[dask]'" in said.err


@pytest.mark.slow
def test_a_worker_without_this_project_is_named(grid: Grid, tmp_path: Path) -> None:
    other = tmp_path / "other" / "bench"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("", encoding="utf-8")
    with dask_processes(tmp_path / "dask") as processes:
        processes.worker("a", environment={"PYTHONPATH": str(other.parent)}, cwd=other.parent)
        processes.keep(1)
        said = run(tmp_path / "r", processes.address, "--datasets", grid.small)
    said.check(2, "cannot load this project", "pip install -e '.[dask]'")


@pytest.mark.parametrize(
    ("devices", "cluster", "kind", "opened"),
    [
        ("cpu", "cuda", "cpu", 0),
        ("cuda", "cuda", "cuda", 0),
        ("auto", "cuda", "cuda", 1),
        ("auto", "cpu", "cpu", 1),
    ],
)
def test_a_cluster_is_asked_for_its_kind_of_device_only_where_nobody_said_it(
    monkeypatch: pytest.MonkeyPatch, devices: str, cluster: str, kind: str, opened: int
) -> None:
    asked, closed = [], []

    @contextmanager
    def pretend(address: str, *, device: str, **_: Any) -> Iterator[Any]:
        asked.append(device)
        yield SimpleNamespace(device=cluster)
        closed.append(address)

    monkeypatch.setattr(dask_cluster, "open_cluster", pretend)
    with machines(ExecutorOptions("dask", "tcp://h:1"), DeviceOptions(devices), 1) as where:
        assert where.kind == kind
        assert where.kind == kind
        assert where.site(needed=False).slots == []
        assert asked == ["auto"] * opened
    assert len(closed) == opened


def test_gpus_of_a_cluster_that_a_run_leaves_idle_are_mentioned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def pretend(address: str, **_: Any) -> Iterator[Any]:
        facts = SimpleNamespace(slots=lambda resource: 1)
        yield SimpleNamespace(device="cpu", workers=[facts], slots=lambda _: [Slot("a/0", "cpu", 1)])

    monkeypatch.setattr(dask_cluster, "open_cluster", pretend)
    monkeypatch.setattr(dask_client, "dask_executor", lambda *_, **__: None)
    with machines(ExecutorOptions("dask", "tcp://h:1"), DeviceOptions(), 1) as where:
        assert where.site().device == "cpu"
    assert "--devices cuda" in capsys.readouterr().err
