"""The command in a record makes the same cell again: its digest comes out, whatever was asked for."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.experiment.grid import Cell, Request, describe_data, plan
from bench.experiment.run_context import RunContext, command_for
from bench.records import Store
from tests.grid import FAULTS, Grid, cells_of, only_plugins, run_command, write_bundle


def planned_again(command: str, tmp_path: Path) -> tuple[int, str]:
    """Return what the command would run, without running it."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "bench"]
    output = run_command(*words[3:], "--dry-run", "--results", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    return output.status, output.out


def test_every_record_of_a_grid_can_be_made_again_by_its_command(grid: Grid, tmp_path: Path) -> None:
    seen = set()
    for record in grid.store.records():
        if (record.identity.method, record.identity.dataset) not in seen:
            status, out = planned_again(record.environment.command, tmp_path)
            assert status == 0
            assert f"to run   {record.digest} " in out
            assert "1 cell, 1 to run" in out
            seen.add((record.identity.method, record.identity.dataset))


CHANGES: list[dict[str, Any]] = [
    {"seconds": 1e-05},
    {"seconds": 3.0, "widths": [7, 8, 9]},
    {"rates": {"image": 0.0001, "a b": 2.0}},
    {"rates": None, "word": 'it\'s "quoted" & $HOME; `x`'},
    {"word": "1e-5"},
    {"word": "null"},
    {"word": "{a: b}"},
    {"word": "é 中文"},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_settings_of_every_kind_survive_the_way_through_a_shell(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    bundle = write_bundle(tmp_path / "name, with comma.npz")
    with only_plugins(FAULTS):
        (cell,) = cells_of(["plain"], bundle, seeds=[3], **changes)
        command = command_for(cell, RunContext(plugins=(str(FAULTS),)))
    status, out = planned_again(command, tmp_path)
    assert status == 0
    assert f"to run   {cell.identity.digest} " in out


@pytest.mark.parametrize(
    ("request_", "option"),
    [
        (Request(["drcl"], ["emoji"], variants=["without_mrr"], threads=2), "--variants without_mrr"),
        (Request(["dscmr"], ["xmedia"], modalities=["image", "video"]), "--modalities image,video"),
    ],
)
def test_a_variant_and_modalities_are_named_so_that_the_command_makes_one_cell(
    tmp_path: Path, request_: Request, option: str
) -> None:
    (dataset,) = request_.datasets
    (cell,) = plan(request_, {dataset: describe_data(dataset, None, "quick", None)})
    command = command_for(cell, RunContext())
    assert option in command
    status, out = planned_again(command, tmp_path)
    assert (status, "1 cell, 1 to run" in out) == (0, True)
    assert f"to run   {cell.identity.digest} " in out


def test_another_draw_of_a_look_alike_is_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> tuple[str, str]:
        sources = {"wikipedia": describe_data("wikipedia", tmp_path, "quick", None)}
        (cell,) = plan(Request(["mcca"], ["wikipedia"]), sources)
        return command_for(cell, RunContext(tmp_path)), cell.identity.digest

    usual, _ = command()
    monkeypatch.setenv("BENCH_LOOK_ALIKE_DRAW", "21")
    stated, digest = command()
    monkeypatch.delenv("BENCH_LOOK_ALIKE_DRAW")
    assert stated == f"BENCH_LOOK_ALIKE_DRAW=21 {usual}"
    monkeypatch.setenv(*stated.split()[0].split("="))
    status, out = planned_again(stated.split(maxsplit=1)[1], tmp_path)
    assert (status, f"to run   {digest} " in out) == (0, True)


def test_the_context_is_named_where_it_is_not_the_usual(tmp_path: Path) -> None:
    with only_plugins(FAULTS):
        (cell,) = cells_of(["plain"], write_bundle(tmp_path / "a.npz"))
        usual = command_for(cell, RunContext(Path("data").resolve()))
        context = RunContext(tmp_path, "cuda:1", (str(FAULTS),), 2.5, trace_test=True, max_memory=3 << 29)
        on_gpu = replace(cell, identity=msgspec.structs.replace(cell.identity, device="cuda"))
        unusual = command_for(on_gpu, context)
    assert "--data " not in usual
    assert "--devices" not in usual
    words = shlex.split(unusual)[len(shlex.split(usual)) :]
    assert words == [
        *("--devices", "cuda", "--plugin", str(FAULTS), "--data", str(tmp_path)),
        *("--timeout", "2.5", "--max-memory", "1.5G", "--trace-test"),
    ]


def test_all_settings_of_a_method_that_is_gone_are_named(grid: Grid) -> None:
    record = next(r for r in Store(grid.results).records() if r.identity.method == "plain")
    with only_plugins():
        words = shlex.split(command_for(Cell(record.identity, "x.npz"), RunContext()))
    changed = {word.partition("=")[0] for word in words if word.startswith("plain.")}
    assert changed == {f"plain.{key}" for key in record.identity.settings}


def test_the_command_names_what_the_request_changed_whatever_settings_files_say_later(
    tmp_path: Path, edited_settings: Callable[[], None]
) -> None:
    (cell,) = cells_of(["sdml"], write_bundle(tmp_path / "a.npz"), epochs=2)
    before = command_for(cell, RunContext())
    edited_settings()
    assert command_for(cell, RunContext()) == before
    assert [word for word in shlex.split(before) if word.startswith("sdml.")] == ["sdml.epochs=2"]
