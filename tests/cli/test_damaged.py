"""A damaged record costs itself only, in every command that reads: it is named and gives status 1."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.analysis.results import results
from bench.records import Store
from bench.records.encoding import encode_per_query
from tests.grid import FAULTS, Grid, Output, make_newer, run_command, write_bundle
from tests.records import making
from tests.records.making import TRACE, reseal, values_of
from tests.wording import mentions


def copied(grid: Grid, folder: Path, *methods: str) -> Store:
    """Return a results folder with the cells of some methods on one bundle."""
    store = Store(folder)
    for record in grid.store.records():
        if record.identity.method in methods and record.identity.dataset == "small":
            store.copy_from(grid.store, record.digest)
    return store


NESTED = b"[" * 100_000
BROKEN: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "nested brackets": ("record.json", lambda _: NESTED),
    "nested notes": ("record.json", lambda text: text.replace(b'"notes": {', b'"notes": {"x": ' + NESTED)),
    "not UTF-8": ("record.json", lambda text: text.replace(b"drcl", b"\xff\xfe")),
    "long name": ("record.json", lambda text: text.replace(b'"emoji"', b'"' + b"e" * 240 + b'"')),
    "no metrics": ("record.json", lambda text: text[: text.index(b'"metrics"')] + b'"metrics": []}}'),
    "ragged trace": ("trace.csv", lambda content: content + b"1\n"),
    "sums not UTF-8": ("sha256sums.txt", lambda content: content + b"\xff"),
    "truncated": ("record.json", lambda text: text[:30]),
}


def broken_records(store: Store) -> set[str]:
    """Add records that are broken in many ways; return the names of their folders."""
    before = {path.name for path in store.runs.iterdir()}
    for number, kind in enumerate((*BROKEN, "pipe", "empty", "moved", "newer")):
        record = making.record(100 + number)
        store.write(record, making.per_query(), TRACE, "")
        folder = store.runs / record.digest
        if kind == "pipe":
            (folder / "log.txt").unlink()
            os.mkfifo(folder / "log.txt")
        elif kind == "empty":
            shutil.rmtree(folder)
            folder.mkdir()
        elif kind == "moved":
            folder.rename(folder.with_name("0" * 20))
        elif kind == "newer":
            make_newer(folder)
        else:
            name, change = BROKEN[kind]
            content = change((folder / name).read_bytes())
            if name == "sha256sums.txt" or kind == "truncated":
                (folder / name).write_bytes(content)
            else:
                reseal(folder, name, content)
    for odd in (b"caf\xe9", b"red\x1b[31m"):
        (store.runs / os.fsdecode(odd)).mkdir()
    return {path.name for path in store.runs.iterdir()} - before


@pytest.fixture(scope="module")
def hostile(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, set[str]]:
    """Return a results folder with sound and broken records, and the names of the broken ones."""
    store = copied(grid, tmp_path_factory.mktemp("hostile") / "results", "mcca", "sm", "plain", "sdml")
    return store, broken_records(store)


COMMANDS = {
    "results": "results --format csv",
    "status": "status",
    "JSON": "status --format json",
    "report": "report --only tables --reports REPORTS",
    "compare": "compare sm sdml --dataset small --protocol map@50/hits",
    "why": "why sm small --seed 0",
    "verify": f"verify --plugin {FAULTS} --jobs 0 --methods sm --cells 1",
    "explain": f"explain sm small --plugin {FAULTS}",
    "merge": "merge RESULTS --results OTHER",
}


def run(line: str, store: Store, tmp_path: Path) -> Output:
    folders = {"REPORTS": tmp_path / "reports", "RESULTS": store.root, "OTHER": tmp_path / "other"}
    words = [folders.get(word, word) for word in line.split()]
    return run_command(*words, *(() if "--results" in words else ("--results", store.root)))


@pytest.mark.parametrize("line", COMMANDS.values(), ids=COMMANDS)
def test_every_command_names_each_bad_record_once_and_goes_on(
    hostile: tuple[Store, set[str]], tmp_path: Path, line: str
) -> None:
    store, broken = hostile
    output = run(line, store, tmp_path).check(1)
    assert output.out
    warnings = output.err.splitlines()
    assert len(warnings) == len(broken)
    assert all(line.startswith("warning: left out: ") and line.isprintable() for line in warnings)
    assert sum("layout version 99" in line for line in warnings) == 1
    digests = {name for name in broken if name.isalnum() and name.isascii()}
    assert all(sum(name in line for line in warnings) == 1 for name in digests)
    assert "json" in line or not any(name in output.out for name in digests)
    if line.startswith("report"):
        overview = (tmp_path / "reports" / "tables.md").read_text(encoding="utf-8")
        assert all(name in overview.split("Records left out")[1] for name in digests)
        assert mentions(overview, "of 8 recorded cells")


@pytest.fixture
def small(grid: Grid, tmp_path: Path) -> Store:
    return copied(grid, tmp_path / "results", "mcca", "sm", "plain")


@pytest.mark.parametrize("line", COMMANDS.values(), ids=COMMANDS)
def test_nothing_but_damage_is_a_failure_not_an_absence(tmp_path: Path, line: str) -> None:
    store = Store(tmp_path / "results")
    store.prepare()
    (store.runs / ("0" * 20)).mkdir()
    run(line, store, tmp_path).check(
        1, *([] if "merge" in line else ["none of the 1 records", str(store.root)])
    )


def test_values_per_query_that_contradict_the_metrics_leave_it_out_of_every_number(
    small: Store, tmp_path: Path
) -> None:
    record = next(one for one in small.records() if (one.identity.method, one.identity.seed) == ("mcca", 0))
    folder = small.runs / record.digest
    values = {series: np.full_like(ap, 0.5) for series, ap in values_of(record).items()}
    reseal(folder, "per_query.npz", encode_per_query(values))
    where = ("--results", small.root)
    output = run_command("report", *where, "--reports", tmp_path / "reports", "--only", "tables").check(
        1, str(folder)
    )
    assert output.err.count("left out") == 1
    page = (tmp_path / "reports" / "tables.md").read_text(encoding="utf-8")
    assert folder.name in page.partition("Records left out")[2]
    rows = [line for line in page.splitlines() if line.startswith("| MCCA ") and "0." in line]
    assert [row.split("|")[-2].strip() for row in rows] == ["1", "1"]  # of two seeds, in a table per protocol

    output = run_command("compare", "mcca", "sm", "--dataset", "small", *where).check(1, "left out")
    (line,) = (line for line in output.out.splitlines() if line.startswith("image→text"))
    assert line.split()[-1] == "1"  # of two seeds
    assert str(folder) in run_command("why", "sm", "small", "--seed", 0, *where, "--plugin", FAULTS).err
    listed = run_command("results", *where, "--format", "csv").check(1, f"left out: {folder}")
    with pytest.warns(UserWarning, match=folder.name):
        frame = results(small.root)
    assert not [text for text in (listed.out, *frame["record"]) if folder.name in text]
    assert listed.out.count("\n") == 1 + len(frame) > 1
    chosen = ("--plugin", FAULTS, "--jobs", 0, "--cells", 9, "--methods", "mcca,plain")
    output = run_command("verify", *where, *chosen).check(1, f"left out: {folder}")
    assert output.out.endswith("3 of 3 agree\n")
    assert str(folder) in run_command("status", *where).err
    assert small.status(folder.name) is None  # a run runs the cell again


def test_a_bundle_whose_name_no_record_could_hold_is_refused_before_it_runs(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / f"{'b' * 240}.npz")
    run = ("run", "--methods", "sm", "--datasets", bundle, "--results", tmp_path / "r")
    run_command(*run).check(2, "longer than 200")


@pytest.mark.parametrize("kind", ["pipe", "device", "nested"])
def test_what_is_kept_beside_the_records_may_be_anything(small: Store, tmp_path: Path, kind: str) -> None:
    data, reports, root = write_bundle(tmp_path / "small.npz"), tmp_path / "reports", small.root
    record = next(small.records()).digest
    kept = ["datasets.json", "fingerprints.json", "running/a.json", "trials/a.json"]
    paths = [*(root / name for name in kept), root / "models" / record / "model.json"]
    for path in (*paths, reports / "tables" / ".generated"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            path.write_bytes(NESTED)
    where = ("--results", root)
    run_command("status", *where).check(0, "done")
    run_command("merge", root, "--results", tmp_path / "other").check(1, "damaged")
    run_command("report", *where, "--reports", reports, "--only", "tables").check(0, "tables.md")
    run_command("run", *where, "--methods", "sm", "--datasets", data).check(0, "1 cell: 1 done")
