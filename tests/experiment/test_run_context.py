"""The command in a record makes the same cell again: its digest comes out, whatever was asked for."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.experiment.run_context import RunContext, command_for
from bench.records import Store
from tests.grid import FAULTS, Grid, cells_of, only_plugins, say, write_bundle


def planned_again(command: str, tmp_path: Path) -> tuple[int, str]:
    """Return what the command would run, without running it."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "bench"]
    said = say(*words[3:], "--dry-run", "--results", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    return said.status, said.out


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
@pytest.mark.parametrize("name", ["my own, data.npz"])
def test_settings_of_every_kind_survive_the_way_through_a_shell(
    tmp_path: Path, changes: dict[str, Any], name: str
) -> None:
    bundle = write_bundle(tmp_path / name)
    with only_plugins(FAULTS):
        (cell,) = cells_of(["plain"], bundle, seeds=[3], **changes)
        command = command_for(cell, RunContext(plugins=(str(FAULTS),)))
    status, out = planned_again(command, tmp_path)
    assert status == 0
    assert f"to run   {cell.identity.digest} " in out


def test_a_variant_of_a_built_in_method_and_its_threads_are_named(tmp_path: Path) -> None:
    said = say("run", "--methods", "drcl", "--datasets", "emoji", "--variants", "without_mrr", "--dry-run",
               "--threads", 2, "--results", tmp_path / "r")  # fmt: skip
    digest = said.out.split()[2]
    from bench.experiment.grid import Request, describe_data, plan

    source = describe_data("emoji", None, "quick", None)
    request = Request(["drcl"], ["emoji"], variants=["without_mrr"], threads=2)
    (cell,) = plan(request, {"emoji": source})
    assert cell.identity.digest == digest
    command = command_for(cell, RunContext())
    assert "--variants without_mrr" in command
    assert digest in planned_again(command, tmp_path)[1]


def test_a_pair_of_modalities_is_named_so_that_the_command_makes_one_cell(tmp_path: Path) -> None:
    said = say("run", "--methods", "dscmr", "--datasets", "xmedia", "--dry-run", "--results", tmp_path / "r",
               "--modalities", "video,image")  # fmt: skip
    assert "1 cell, 1 to run" in said.out
    digest = said.out.split("to run   ")[1].split()[0]
    from bench.experiment.grid import Request, describe_data, plan

    source = describe_data("xmedia", None, "quick", None)
    cells = plan(Request(["dscmr"], ["xmedia"], modalities=["image", "video"]), {"xmedia": source})
    (cell,) = [cell for cell in cells if cell.identity.modalities == ("image", "video")]
    assert cell.identity.digest == digest
    out = planned_again(command_for(cell, RunContext()), tmp_path)[1]
    assert digest in out
    assert "1 cell, 1 to run" in out


def test_surroundings_are_told_where_they_are_not_the_usual(tmp_path: Path) -> None:
    with only_plugins(FAULTS):
        (cell,) = cells_of(["plain"], write_bundle(tmp_path / "a.npz"))
        usual = command_for(cell, RunContext(Path("data").resolve()))
        place = RunContext(tmp_path, "cuda:1", (str(FAULTS),), 2.5, trace_test=True, max_memory=3 << 29)
        on_gpu = replace(cell, identity=msgspec.structs.replace(cell.identity, device="cuda"))
        unusual = command_for(on_gpu, place)
    assert "--data " not in usual
    assert "--devices" not in usual
    words = shlex.split(unusual)[len(shlex.split(usual)) :]
    assert words == [
        *("--devices", "cuda", "--plugin", str(FAULTS), "--data", str(tmp_path)),
        *("--timeout", "2.5", "--max-memory", "1.5G", "--trace-test"),
    ]


def test_a_method_that_is_gone_tells_all_its_settings(grid: Grid) -> None:
    record = next(r for r in Store(grid.results).records() if r.identity.method == "plain")
    from bench.experiment.grid import Cell

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
