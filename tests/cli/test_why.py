"""`why`: everything that a record holds of a cell, or the cells that match."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from bench.records import Store
from tests.grid import FAULTS, Grid, Output, run_command, write_bundle
from tests.records import making
from tests.wording import mentions


def why(results: Path, *words: object) -> Output:
    return run_command("why", *words, "--results", results)


def sections(output: Output) -> dict[str, str]:
    """Return the text of every section by its title."""
    parts = output.out.split("\n\n")
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


TITLES = (
    *("Cell", "Data", "Settings", "Selection", "Training", "Result", "Rank among methods"),
    *("Notes of the method", "Environment", "End of the log", "Command"),
)


def test_a_finished_cell_has_every_section(grid: Grid) -> None:
    shown = sections(why(grid.results, "drcl", "small", "--seed", 0).check(0, silent=True))
    assert tuple(shown) == TITLES
    record = grid.record("drcl")
    expected = {
        "Cell": "drcl on small (image+text), seed 0: done",
        "Data": record["identity"]["fingerprint"][:16],
        "Settings": "set by --set",
        "Selection": "by validation loss of each track",
        "Training": "train_loss/image",
        "Result": "selection last instead, average: map@all",
        "Rank among methods": "SM 0.",  # a reference point beside it
        "Environment": record["circumstances"]["commit"],
        "Command": record["circumstances"]["command"],
    }
    for title, text in expected.items():
        assert text in shown[title]
    assert mentions(shown["Settings"], "tuned ... trials")
    assert " ".join(record["result"]["audit"].split()) in " ".join(shown["Selection"].split())
    best = [metric for metric in record["result"]["metrics"] if metric["selection"] == "best"]
    assert len(best) == 8
    assert all(f"{metric['value']:.4f}" in shown["Result"] for metric in best)


def test_the_rank_is_that_of_the_table(grid: Grid) -> None:
    ranks = sections(why(grid.results, "sdml", "small", "--seed", 1))["Rank among methods"]
    (line,) = [line for line in ranks.splitlines() if line.strip().startswith("average")]
    means: dict[str, list[float]] = {}
    for record in grid.store.records():
        identity, result = record.identity, record.result
        if identity.dataset == "small" and result is not None and identity.method != "sm":
            chosen = ("map@all", result.selection)
            values = [one.value for one in result.metrics if (one.protocol, one.selection) == chosen]
            means.setdefault(identity.method, []).append(sum(values) / 2)
    ordered = sorted(means, key=lambda method: -sum(means[method]) / len(means[method]))
    assert f" {ordered.index('sdml') + 1} of {len(ordered)} " in line
    assert f" {sum(means['sdml']) / 2:.4f} ± " in line


def test_a_failed_cell_shows_its_reason_its_traceback_and_the_end_of_its_log(grid: Grid) -> None:
    shown = sections(why(grid.results, "raises", "small", "--seed", 0))
    assert mentions(shown["Reason"], "failed ... ValueError: the matrix is singular")
    assert 'raise ValueError("the matrix is singular' in shown["Reason"]
    assert "the matrix is singular" in shown["End of the log"]
    assert "shown as" in shown["Training"]
    assert "Result" not in shown
    for words, sentence in (
        (("single", "multi"), "skipped ... Single ... one class per sample"),
        (("mcca", "small"), "in closed form"),
        (("plain", "small", "--plugin", FAULTS), r"Plain & 100% $x_1$ <b>|*a*| [1]"),
    ):
        why(grid.results, *words, "--seed", 0).check(0, sentence)


def test_several_cells_have_a_line_each_and_the_options_that_select_one(grid: Grid, tmp_path: Path) -> None:
    output = why(grid.results, "sdml", "small").check(0, "SDML [epochs=2] (image+text) ... real ... quick")
    assert mentions(output.out.splitlines()[0], "2 cells")
    assert [line.split()[-2:] for line in output.out.splitlines()[3:5]] == [["--seed", "0"], ["--seed", "1"]]
    assert "over 2 seeds" in output.out
    assert why(grid.results, "raises", "small").out.count("ValueError: the matrix is singular") == 2

    store = Store(tmp_path)
    for epochs in (1, 2):  # cells that no option tells apart
        settings = {**making.identity().settings, "epochs": epochs}
        store.write(making.record(settings=settings), making.per_query(), making.TRACE, "")
    first, second = sorted(record.digest for record in store.records())
    why(tmp_path, "drcl", "emoji").check(0, f"--record {first[:8]}", f"--record {second[:8]}")
    why(tmp_path, "drcl", "emoji", "--record", first[:8]).check(0, f"record {first} in")
    store.write(making.record(variant="without_fa"), making.per_query(), making.TRACE, "")
    ablation = "drcl/without_fa on emoji (image+text), seed 0: done"
    why(tmp_path, "drcl/without_fa", "emoji").check(0, ablation)
    why(tmp_path, "drcl", "emoji").check(0, "--variant without_fa")


def test_an_edited_settings_file_changes_nothing_about_an_earlier_record(
    tmp_path: Path, edited_settings: Callable[[], None]
) -> None:
    small = write_bundle(tmp_path / "small.npz")
    words = ("--methods", "sdml", "--datasets", small, "--jobs", 0, "--results", tmp_path / "r")
    run_command("run", *words, "--set", "sdml.epochs=2").check(0)
    before = sections(why(tmp_path / "r", "sdml", small))
    assert mentions(before["Settings"], "--set ... 20")
    edited_settings()
    after = sections(why(tmp_path / "r", "sdml", small))
    for title in ("Settings", "Command", "Environment"):
        assert after[title].strip() == before[title].strip()
    # The command alone would make another cell today, and `why` says what is to be added.
    (record,) = Store(tmp_path / "r").records()
    command = " ".join([before["Command"].strip(), after["Changed settings"].splitlines()[-1].strip()])
    again = run_command(*shlex.split(command)[3:], "--dry-run", "--results", tmp_path / "nothing")
    assert f"to run   {record.digest} " in again.out
    assert "Changed settings" not in before


def test_a_record_holds_the_card_and_where_each_setting_is_from(grid: Grid) -> None:
    record = next(record for record in grid.store.records() if record.identity.method == "drcl")
    assert record.method is not None
    assert record.method.card["title"] == "DRCL"
    assert record.method.usual.keys() == record.method.origins.keys() == record.identity.settings.keys()
    changed = {key for key, value in record.identity.settings.items() if record.method.usual[key] != value}
    assert changed == {key for key, origin in record.method.origins.items() if origin == "set"}
    assert {"epochs", "spl_epochs"} == changed
    assert record.method.origins["batch_size"] == "tuned"
    for record in grid.store.records():
        assert record.method is not None  # of a cell that failed, or whose worker was lost, too
        assert record.method.card["name"] == record.identity.method
