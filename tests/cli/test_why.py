"""`why`: the whole story of a cell from its record, whatever its status, or which cells there are."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from bench.records import Store
from tests.grid import FAULTS, Grid, Said, say, write_bundle
from tests.records import making


def why(results: Path, *words: object) -> Said:
    return say("why", *words, "--results", results)


def sections(said: Said) -> dict[str, str]:
    """Return the text of every section by its title."""
    parts = said.out.split("\n\n")
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


TITLES = (
    *("Cell", "Data", "Settings", "Selection", "Training", "Result", "Rank among methods"),
    *("Notes of the method", "Environment", "End of the log", "Command"),
)


def test_a_finished_cell_tells_everything(grid: Grid) -> None:
    said = why(grid.results, "drcl", "small", "--seed", 0)
    assert (said.status, said.err) == (0, "")
    told = sections(said)
    assert tuple(told) == TITLES
    record = grid.record("drcl")
    assert "drcl on small (image+text), seed 0: done" in told["Cell"]
    assert record["identity"]["fingerprint"][:16] in told["Data"]
    assert "typed (--set)" in told["Settings"]
    assert "tuned: chosen by trials" in told["Settings"]
    assert "by validation loss of each track" in told["Selection"]
    assert " ".join(record["result"]["audit"].split()) in " ".join(told["Selection"].split())
    assert "train_loss/image" in told["Training"]
    own = [one for one in record["result"]["metrics"] if one["selection"] == "best"]
    assert len(own) == 8
    assert all(f"{one['value']:.4f}" in told["Result"] for one in own)
    assert "selection last instead, average: map@all" in told["Result"]
    assert "SM 0." in told["Rank among methods"]  # a reference point beside it
    assert record["circumstances"]["commit"] in told["Environment"]
    assert told["Command"].strip() == record["circumstances"]["command"]


def test_the_rank_is_that_of_the_table(grid: Grid) -> None:
    told = sections(why(grid.results, "sdml", "small", "--seed", 1))["Rank among methods"]
    (line,) = [line for line in told.splitlines() if line.strip().startswith("average")]
    means: dict[str, list[float]] = {}
    for record in grid.store.records():
        who, result = record.identity, record.result
        if who.dataset == "small" and result is not None and who.method != "sm":
            values = [
                metric.value
                for metric in result.metrics
                if (metric.protocol, metric.selection) == ("map@all", result.selection)
            ]
            means.setdefault(who.method, []).append(sum(values) / 2)
    ordered = sorted(means, key=lambda method: -sum(means[method]) / len(means[method]))
    assert f" {ordered.index('sdml') + 1} of {len(ordered)} " in line
    assert f" {sum(means['sdml']) / 2:.4f} ± " in line


def test_a_failed_cell_tells_its_reason_its_traceback_and_its_last_words(grid: Grid) -> None:
    told = sections(why(grid.results, "raises", "small", "--seed", 0))
    assert "failed (ValueError): ValueError: the matrix is singular" in told["Reason"]
    assert 'raise ValueError("the matrix is singular' in told["Reason"]
    assert "the matrix is singular" in told["End of the log"]
    assert "shown as" in told["Training"]
    assert "Result" not in told
    for words, sentence in (
        (("single", "multi"), "skipped (declared): Single takes one class per sample"),
        (("mcca", "small"), "in closed form: there was nothing to select"),
        (("plain", "small", "--plugin", FAULTS), r"Plain & 100% $x_1$ <b>|*a*| [1]"),
    ):
        why(grid.results, *words, "--seed", 0).check(0, sentence)


def test_several_seeds_have_a_line_each_and_the_way_to_one(grid: Grid) -> None:
    said = why(grid.results, "sdml", "small")
    assert said.status == 0
    assert said.out.startswith("2 cells fit;")
    assert [line.split()[-2:] for line in said.out.splitlines()[3:5]] == [["--seed", "0"], ["--seed", "1"]]
    assert "SDML [epochs=2] (image+text), real, quick profile" in said.out
    assert "over 2 seeds" in said.out
    failed = why(grid.results, "raises", "small")
    assert failed.out.count("ValueError: the matrix is singular") == 2


def test_cells_that_no_option_tells_apart_are_told_apart_by_their_digests(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for epochs in (1, 2):
        settings = {**making.identity().settings, "epochs": epochs}
        store.write(making.record(settings=settings), making.per_query(), making.TRACE, "")
    said = why(tmp_path, "drcl", "emoji")
    digests = sorted(record.digest for record in store.records())
    for digest in digests:
        assert f"--record {digest[:8]}" in said.out
    one = why(tmp_path, "drcl", "emoji", "--record", digests[0][:8])
    assert f"record {digests[0]} in" in one.out


def test_an_ablation_is_named_with_a_slash(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for variant in ("full", "without_fa"):
        store.write(making.record(variant=variant), making.per_query(), making.TRACE, "")
    said = why(tmp_path, "drcl/without_fa", "emoji")
    assert "drcl/without_fa on emoji (image+text), seed 0: done" in said.out
    assert "--variant without_fa" in why(tmp_path, "drcl", "emoji").out


def test_an_edited_settings_file_changes_nothing_about_an_earlier_record(
    tmp_path: Path, edited_settings: Callable[[], None]
) -> None:
    small = write_bundle(tmp_path / "small.npz")
    words = ("--methods", "sdml", "--datasets", small, "--jobs", 0, "--results", tmp_path / "r")
    assert say("run", *words, "--set", "sdml.epochs=2").status == 0
    before = sections(why(tmp_path / "r", "sdml", small))
    assert "typed (--set); without it: 20" in before["Settings"]
    edited_settings()
    after = sections(why(tmp_path / "r", "sdml", small))
    for title in ("Settings", "Command", "Environment"):
        assert after[title].strip() == before[title].strip()
    # The command alone would make another cell today, and `why` says what is to be added.
    (record,) = Store(tmp_path / "r").records()
    command = " ".join([before["Command"].strip(), after["Changed settings"].splitlines()[-1].strip()])
    again = say(*shlex.split(command)[3:], "--dry-run", "--results", tmp_path / "nothing")
    assert f"to run   {record.digest} " in again.out
    assert "Changed settings" not in before


def test_a_record_holds_the_card_and_where_each_setting_is_from(grid: Grid) -> None:
    record = next(one for one in grid.store.records() if one.identity.method == "drcl")
    assert record.method is not None
    assert record.method.card["title"] == "DRCL"
    assert record.method.usual.keys() == record.method.origins.keys() == record.identity.settings.keys()
    changed = {key for key, value in record.identity.settings.items() if record.method.usual[key] != value}
    assert changed == {key for key, origin in record.method.origins.items() if origin == "set"}
    assert {"epochs", "spl_epochs"} == changed
    assert record.method.origins["batch_size"] == "tuned"
    for one in grid.store.records():
        assert one.method is not None  # of a cell that failed, or whose worker was lost, too
        assert one.method.card["name"] == one.identity.method
