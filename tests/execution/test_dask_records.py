"""Cells on a Dask cluster: the same records as in local workers, with and without a shared results folder."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock, MagicMock, Mock, patch

import pytest

from bench.cli.executor_options import DeviceOptions, ExecutorOptions, machines
from bench.execution import dask_client, dask_cluster
from bench.execution.tasks import Slot, WorkerError
from bench.records import Store
from tests.execution.dask_processes import DaskProcesses, dask_processes
from tests.execution.full_disk import FullDisk
from tests.grid import FAULTS, Grid, Output, bytes_of, run_command
from tests.wording import mentions

pytest.importorskip("distributed", reason="Dask is not installed: pip install -e '.[dask]'")


@pytest.fixture
def put() -> Iterator[Mock]:
    """`Store.put`, which this process calls only for records that workers send."""
    with patch.object(Store, "put", autospec=True, side_effect=Store.put) as put:
        yield put


@pytest.fixture(autouse=True)
def two_workers(request: pytest.FixtureRequest) -> None:
    """Start workers in place of those that another test has killed."""
    if "processes" in request.fixturenames:
        request.getfixturevalue("processes").keep(2)


def run(results: Path, address: str, *words: object, methods: str = "mcca,sm,plain,nan,raises") -> Output:
    usual = ("run", "--results", results, "--plugin", FAULTS, "--methods", methods)
    return run_command(*usual, "--executor", "dask", "--scheduler", address, *words)


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
    grid: Grid, processes: DaskProcesses, tmp_path: Path, put: Mock
) -> None:
    methods = "mcca,plain,nan,raises"
    run(tmp_path, processes.address, "--datasets", grid.small, methods=methods).check(
        1, "4 cells ... 2 done ... 1 failed ... 1 refused", silent=True
    )
    assert bytes_of(tmp_path) == local(grid, methods)
    put.assert_not_called()
    assert [entry.name for entry in (tmp_path / "runs").iterdir() if entry.name.startswith(".")] == []


@pytest.fixture
def unshared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of the records is another folder on the workers: they do not find the mark in it."""

    @contextmanager
    def elsewhere(runs: Path) -> Iterator[str]:
        yield ".tmp-of-another-folder"

    monkeypatch.setattr("bench.execution.grid_runner.marked", elsewhere)


@pytest.mark.usefixtures("unshared")
def test_where_the_folder_is_not_shared_records_are_sent_back_and_written_here(
    grid: Grid, processes: DaskProcesses, tmp_path: Path, put: Mock
) -> None:
    methods = "plain,nan"
    run(tmp_path, processes.address, "--datasets", grid.small, methods=methods).check(1, silent=True)
    assert bytes_of(tmp_path) == local(grid, methods)
    assert sorted(call.args[1] for call in put.call_args_list) == sorted(bytes_of(tmp_path))
    # A finished grid needs no scheduler.
    run(tmp_path, "tcp://127.0.0.1:1", "--datasets", grid.small, methods=methods).check(1, "0 run now")


@pytest.mark.slow
@pytest.mark.usefixtures("unshared")
def test_a_record_that_finds_no_room_here_costs_its_cell_and_the_others_are_recorded(
    grid: Grid, processes: DaskProcesses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = "mcca,plain,nan"
    expected = local(grid, methods)
    unlucky = next(record.digest for record in grid.store.records() if record.digest in expected)
    with monkeypatch.context() as disk:
        FullDisk(disk, lambda name: name == unlucky)
        output = run(tmp_path, processes.address, "--datasets", grid.small, methods=methods)
    output.check(1, "1 disk-full", silent=True)
    assert bytes_of(tmp_path) == {key: value for key, value in expected.items() if key != unlucky}
    assert "1 run now" in run(tmp_path, processes.address, "--datasets", grid.small, methods=methods).out
    assert bytes_of(tmp_path) == expected


def test_a_dry_run_estimates_the_time_on_the_workers(
    grid: Grid, processes: DaskProcesses, tmp_path: Path
) -> None:
    output = run(tmp_path, processes.address, "--datasets", grid.small, "--dry-run", methods="plain,mcca")
    output.check(0, "2 cells, 2 to run")
    assert len([line for line in output.out.splitlines() if line.startswith("tcp://127.0.0.1:")]) == 2


def test_without_dask_or_a_scheduler_that_answers_the_run_is_wrong_usage(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.execution.dask_cluster.CONNECT_SECONDS", 0.5)
    words = ("--datasets", grid.small)
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts connections and never answers
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        run(tmp_path, address, *words).check(2, f"scheduler ... '{address}' ... 0.5 s")
    run(tmp_path, "nonsense", *words).check(2, "scheduler ... 'nonsense'")
    run(tmp_path, "tcp://h:1", *words, "--devices", "cuda:1").check(2, "--devices cuda:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    run(tmp_path, "tcp://127.0.0.1:1", *words).check(2, "pip install 'cross-modal-bench[dask]'")
    assert not list(tmp_path.glob("runs/*"))


def test_a_cluster_without_workers_is_awaited_and_named(
    grid: Grid, tmp_path: Path, processes: DaskProcesses
) -> None:
    with patch("distributed.Client.nthreads", AsyncMock(return_value={})):
        output = run(tmp_path, processes.address, "--datasets", grid.small, "--patience", 0.01)
    assert output.status == WorkerError.exit_status == 1
    note, error = output.err.splitlines()
    assert mentions(note, f"note: ... Dask worker ... {processes.address} ... 0.01 s")
    assert mentions(error, f"error: ... Dask worker ... {processes.address} ... 0.01 s")
    assert "run again" in error


@pytest.mark.slow
def test_a_worker_without_this_project_is_named(grid: Grid, tmp_path: Path) -> None:
    other = tmp_path / "other" / "bench"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("", encoding="utf-8")
    with dask_processes(tmp_path / "dask") as processes:
        processes.worker("a", environment={"PYTHONPATH": str(other.parent)}, cwd=other.parent)
        processes.keep(1)
        output = run(tmp_path / "r", processes.address, "--datasets", grid.small)
    output.check(2, "this project ... pip install -e '.[dask]'")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """Opens a simulated cluster with a GPU worker, on whose CPU a run works."""
    facts = SimpleNamespace(slots=lambda resource: 1)
    found = {"device": "cpu", "workers": [facts], "slots": lambda _: [Slot("a/0", "cpu", 1)]}
    opened = MagicMock()
    opened.return_value.__enter__.return_value = SimpleNamespace(**found)
    monkeypatch.setattr(dask_cluster, "open_cluster", opened)
    monkeypatch.setattr(dask_client, "dask_executor", lambda *_, **__: None)
    return opened


@pytest.mark.parametrize(
    ("devices", "cluster", "kind", "count"),
    [
        ("cpu", "cuda", "cpu", 0),
        ("cuda", "cuda", "cuda", 0),
        ("auto", "cuda", "cuda", 1),
        ("auto", "cpu", "cpu", 1),
    ],
)
def test_a_cluster_is_asked_for_its_kind_of_device_only_if_the_options_leave_it_open(
    opened: MagicMock, devices: str, cluster: str, kind: str, count: int
) -> None:
    opened.return_value.__enter__.return_value.device = cluster
    with machines(ExecutorOptions("dask", "tcp://h:1"), DeviceOptions(devices), 1) as where:
        assert [where.kind, where.kind] == [kind, kind]
        assert where.site(needed=False).slots == []
    assert [call.kwargs["device"] for call in opened.call_args_list] == ["auto"] * count
    assert opened.return_value.__exit__.call_count == count


def test_unused_gpus_of_a_cluster_are_mentioned(
    opened: MagicMock, capsys: pytest.CaptureFixture[str]
) -> None:
    with machines(ExecutorOptions("dask", "tcp://h:1"), DeviceOptions(), 1) as where:
        assert where.site().device == "cpu"
    assert "--devices cuda" in capsys.readouterr().err
    opened.assert_called_once()
