"""Conditions in every command: run, listed, filtered, and never in one table with clean data."""

from __future__ import annotations

import csv
import json
import re
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from bench.conditions import Applied
from bench.data import load_dataset
from bench.records import Store
from tests.experiment.running import done
from tests.experiment.test_run_context import planned_again
from tests.grid import run_command, write_bundle
from tests.wording import mentions

ASKED = (
    "clean",
    "label-noise@0.4",
    "label-noise@0.8",
    "label-noise/same@0.4",
    "late@text",
    "unseen/generalised@0.5",
)


class Made(NamedTuple):
    results: Path
    bundle: Path
    reports: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("conditions")
    bundle, results = write_bundle(folder / "mine.npz"), folder / "results"
    words = ("--conditions", "clean,label-noise@.4/.8,label-noise/same@.4,late@text,unseen/generalised@.5")
    run = ("run", "--datasets", bundle, "--methods", "sm,mcca", "--results", results, "--seeds", 2)
    run_command(*run, *words).check(0, "24 cells ... 22 done ... 2 skipped", "all modalities")
    run_command(
        "report", "--results", results, "--reports", folder / "reports", "--only", "tables", "--only", "page"
    )
    return Made(results, bundle, folder / "reports")


def test_the_command_of_a_record_makes_the_same_cell(made: Made, tmp_path: Path) -> None:
    for record in Store(made.results).records():
        if (record.identity.method, record.identity.seed) == ("sm", 1) and record.identity.condition in (
            *("", "label-noise/same@0.4", "late@text"),
        ):
            assert f"to run   {record.digest} " in planned_again(record.environment.command, tmp_path)[1]


def test_what_is_asked_for_is_checked_before_anything_runs(made: Made, tmp_path: Path) -> None:
    data = ("--datasets", made.bundle, "--results", tmp_path / "r")
    run = ("run", "--methods", "sm", *data, "--dry-run")
    for words, noun in (
        ("labelnoise@.2", "label-noise"),
        ("label-noise@3", "label-noise"),
        ("label-noise@x", "label-noise"),
        ("label-noise/odd@.2", "label-noise"),
        ("", "--conditions"),
        ("late@txet", "'txet' ... 'text'"),
    ):
        run_command(*run, "--conditions", words).check(2, noun)
    run_command(*run, "--conditions", "pairs").check(0, "8 cells, 8 to run")
    sweep = ("sweep", "sm", "--param", "strength=1,2", *data, "--dry-run", "--conditions", "unpaired@1")
    run_command(*sweep).check(0, "3 to run")
    assert {row["name"] for row in json.loads(run_command("list", "conditions", "--format", "json").out)} >= {
        "late"
    }


def _conditions(*words: object) -> set[str]:
    return {row["condition"] for row in json.loads(run_command("results", "--format", "json", *words).out)}


def test_commands_name_and_filter_conditions(made: Made) -> None:
    where = ("--results", made.results)
    status = json.loads(run_command("status", *where, "--format", "json").out)
    assert {row["condition"] for row in status["cells"]} == set(ASKED)
    assert status["stale"] == []
    for words, expected in (
        ("clean", {"clean"}),
        ("label-noise@.4", {"label-noise@0.4"}),
        ("noise", set(ASKED[1:4])),
        ("label-noise/*", {"label-noise/same@0.4"}),
        ("label-noise/same", {"label-noise/same@0.4"}),
        ("label-noise", set(ASKED[1:4])),
    ):
        assert _conditions(*where, "--conditions", words) == expected
    run_command("results", *where, "--conditions", "pairs").check(2, "condition")
    why = ("why", "sm", "mine", *where, "--seed")
    for word, validation in (("label-noise@.4", "clean"), ("label-noise/same@.4", "alike")):
        run_command(*why, 0, "--condition", word).check(
            0, "@0.4", "training rows", f"validation {validation}"
        )
    overview = run_command(*why, 1, "--modalities", "image,text", "--condition", "*")
    overview.check(0, *(f"--condition {name}" for name in ASKED))
    compared = run_command(
        "compare", "sm", "mcca", "--dataset", "mine", *where, "--conditions", "label-noise@.8"
    )
    assert compared.check(0, "under label-noise@0.8").out.count("A: ") == 1
    chosen = ("--methods", "sm", "--conditions", "label-noise@.8", "--cells", 1)
    run_command("verify", *where, *chosen).check(0, "1 of 1 agree", "under label-noise@0.8")


def test_what_was_drawn_is_written_as_the_cells_get_it(made: Made, tmp_path: Path) -> None:
    command = ("data", "condition", made.bundle, "label-noise@.4", "--seed", 1, "--write")
    run_command(*command, tmp_path / "a.npz").check(0, "effective level 0.4")
    run_command(*command, tmp_path / "a.csv").check(0)
    train = load_dataset(made.bundle).train
    given, _, effective = Applied("label-noise", "shared", 0.4).to(train, train, ("mine", *train), 1)
    with np.load(tmp_path / "a.npz") as arrays:
        assert (str(arrays["condition"]), float(arrays["effective"])) == ("label-noise@0.4", effective)
        for name in train:
            assert np.array_equal(arrays[f"{name}_new_labels"], given[name].labels)
            assert np.array_equal(arrays[f"{name}_labels"], train[name].labels)
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    changed = sum(row["label"] != row["new_label"] for row in rows)
    assert (len(rows), changed) == (sum(map(len, train.values())), 48)
    assert all(row["kept"] == "1" and row["id"] == row["new_id"] for row in rows)
    run_command(*command, tmp_path / "a.txt").check(2, ".csv nor .npz")
    run_command(*command[:3], "label-noise", "--write", tmp_path / "b.csv").check(2, "one level")
    run_command(*command[:3], "late@text", "--write", tmp_path / "b.csv").check(2, "late")
    run_command(*command[:3], "label-noise-multi@.2", "--write", tmp_path / "b.csv").check(2, "label-noise")
    run_command(*command, tmp_path / "b.csv", "--modalities", "image,txet").check(2, "'txet' ... 'text'")
    assert not (tmp_path / "b.csv").exists()


def test_every_table_of_a_report_is_of_one_condition(made: Made) -> None:
    identities = {record.digest: record.identity for record in Store(made.results).records()}
    tables = [path for path in (made.reports / "tables").glob("*.csv") if "overall" not in path.name]
    assert len(tables) == 2 * len(ASKED)
    for path, name in product(tables, ASKED):
        lines = path.read_text(encoding="utf-8")
        digests = {digest for digest in identities if digest in lines}
        conditions = {identities[digest].condition or "clean" for digest in digests}
        assert len(conditions) == 1
        if conditions == {name}:
            assert (name == "clean") != (name.replace("/", "-") in path.name)
    text = (made.reports / "tables.md").read_text(encoding="utf-8")
    for key in (
        "label-noise@0.4 ... effective 0.4 ... validation clean",
        "label-noise/same@0.4 ... effective 0.4 ... validation alike",
        "unseen/generalised@0.5 ... effective 0.333",
    ):
        assert mentions(text, key)
    assert "late@text" in (made.reports / "index.html").read_text(encoding="utf-8")
    levels = (made.reports / "conditions" / "index.md").read_text(encoding="utf-8")
    (unseen,) = re.findall(r"### unseen/generalised: .*?\n\n(?=###)", levels, re.DOTALL)
    assert "map@all/gallery" in unseen
    assert "No clean cell" in unseen
    assert " clean " not in unseen.splitlines()[2]


def test_a_condition_is_read_from_a_file_in_every_command(made: Made, tmp_path: Path) -> None:
    """The file of a draw gives the numbers of the draw; another file of its name is another condition."""
    where = ("--results", tmp_path / "r")
    run = ("run", "--datasets", made.bundle, "--methods", "sm", *where, "--conditions")
    files = [tmp_path / name / "noise.csv" for name in ("first", "other")]
    for seed, file in enumerate(files):
        drawn = ("data", "condition", made.bundle, "label-noise@.4", "--seed", seed, "--write", file)
        run_command(*drawn).check(0)
        run_command(*run, f"label-noise={file}").check(0, "1 cell: 1 done", "effective level 0.4")
    run_command(*run, f"label-noise={files[0]}", "--dry-run").check(0, "0 to run")
    first, other = sorted(Store(tmp_path / "r").records(), key=lambda record: record.environment.started)
    name = first.identity.condition
    assert name.startswith("label-noise=noise.csv:")
    assert other.identity.condition not in (name, "")
    drawn_cell = ("sm", "label-noise@0.4", 0)
    (usual,) = (
        record
        for record in Store(made.results).records()
        if (record.identity.method, record.identity.condition, record.identity.seed) == drawn_cell
    )
    assert (first.result, done(other).effective) == (usual.result, 0.4)
    for record in (first, other):
        assert f"to run   {record.digest} " in planned_again(record.environment.command, tmp_path)[1]
    for word in (name, f"label-noise={files[0]}"):
        assert _conditions(*where, "--conditions", word) == {name}
        run_command("why", "sm", "mine", *where, "--condition", word).check(0, f"under {name}")
    run_command("report", *where, "--reports", tmp_path / "reports", "--only", "tables").check(0)
    assert "@as in" not in (tmp_path / "reports" / "conditions" / "index.md").read_text(encoding="utf-8")
    chosen = ("--conditions", f"label-noise={files[1]}")
    assert name not in run_command("compare", "sm", "sm", "--dataset", "mine", *where, *chosen).out
    assert len([*(tmp_path / "reports" / "tables").glob("mine*label-noise-noise.csv*.csv")]) >= 2
    run_command("verify", *where, "--conditions", name).check(0, "1 of 1 agree")
    files[0].rename(tmp_path / "elsewhere.csv")
    files[1].write_text(files[1].read_text(encoding="utf-8") + "\n", encoding="utf-8")
    status = run_command("status", *where).check(0, "is gone", "has changed")
    assert status.out.count("run again") == 2
    run_command("verify", *where, "--cells", 2).check(1, "0 of 2 agree", "is gone", "has changed")
    assert _conditions(*where, "--conditions", f"label-noise={files[0]}") == {name, other.identity.condition}


def test_a_file_that_does_not_fit_is_refused_before_anything_runs(made: Made, tmp_path: Path) -> None:
    run = ("run", "--datasets", made.bundle, "--methods", "sm", "--results", tmp_path / "r", "--conditions")
    file = tmp_path / "labels.npy"
    np.save(file, np.zeros(7))
    for word, noun in (
        (f"label-noise={file}", "7 labels"),
        (f"unpaired={file}", "neither rows nor ids"),
        (f"late={file}", "training rows alone"),
        (f"label-noise/odd={file}", "variants"),
        (f"label-noise={tmp_path / 'none.npy'}", "cannot be read"),
    ):
        output = run_command(*run, word).check(2, noun)
        assert len(output.err.strip().splitlines()) == 1
    assert not Store(tmp_path / "r").stamps()
    for command in (("ablate", "drcl"), ("sweep", "sm", "--param", "strength=1")):
        output = run_command(*command, *run[1:3], *run[5:], f"label-noise={file}", "--dry-run")
        output.check(2, "7 labels")
