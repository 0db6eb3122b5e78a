"""A damaged record costs itself only, in every command that reads: it is named and gives status 1."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.records import Store
from bench.records.encoding import encode_per_query
from tests.grid import FAULTS, Grid, Said, make_newer, say, write_bundle
from tests.records import making
from tests.records.making import TRACE, reseal, values_of


def truncate(folder: Path) -> None:
    (folder / "record.json").write_bytes((folder / "record.json").read_bytes()[:30])


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def move(folder: Path) -> None:
    folder.rename(folder.with_name("0" * 20))


def copied(grid: Grid, folder: Path, *methods: str) -> Store:
    """Return a results folder with the cells of some methods on one bundle."""
    store = Store(folder)
    for record in grid.store.records():
        if record.identity.method in methods and record.identity.dataset == "small":
            store.adopt(grid.store, record.digest)
    return store


@pytest.fixture
def small(grid: Grid, tmp_path: Path) -> Store:
    return copied(grid, tmp_path / "results", "mcca", "sm", "plain", "sdml")


def first_of(store: Store, method: str) -> Path:
    (record,) = (one for one in store.records() if (one.identity.method, one.identity.seed) == (method, 0))
    return store.runs / record.digest


COMMANDS = {
    "results": "results --format csv",
    "status": "status",
    "report": "report --only tables --reports REPORTS",
    "compare": "compare sm sdml --dataset small",
    "why": "why sm small --seed 0",
    "verify": f"verify --plugin {FAULTS} --jobs 0 --methods sm --cells 1",
    "explain": f"explain sm small --plugin {FAULTS}",
    "merge": "merge RESULTS --results OTHER",
}


def run(line: str, store: Store, tmp_path: Path) -> Said:
    folders = {"REPORTS": tmp_path / "reports", "RESULTS": store.root, "OTHER": tmp_path / "other"}
    words = [folders.get(word, word) for word in line.split()]
    return say(*words, *(() if "--results" in words else ("--results", store.root)))


@pytest.mark.parametrize("damage", [truncate, empty, move, make_newer])
def test_every_command_names_it_once_and_goes_on(
    small: Store, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = first_of(small, "mcca")
    damage(folder)
    folder = small.runs / ("0" * 20) if damage is move else folder
    for line in COMMANDS.values():
        said = run(line, small, tmp_path)
        assert said.status == 1, line
        assert said.out
        assert folder.name not in said.out
        (warning,) = said.err.splitlines()
        assert warning.startswith(f"warning: left out: {folder}: ")
        assert ("layout version 99" in warning) == (damage is make_newer)
    overview = (tmp_path / "reports" / "tables.md").read_text(encoding="utf-8")
    assert folder.name in overview.split("Records left out")[1]
    assert "of 7 recorded cells are done" in overview


@pytest.mark.parametrize("line", COMMANDS.values(), ids=COMMANDS)
def test_nothing_but_damage_is_a_failure_not_an_absence(small: Store, tmp_path: Path, line: str) -> None:
    for record in list(small.records()):
        (truncate if record.identity.method == "mcca" else shutil.rmtree)(small.runs / record.digest)
    named = [] if "merge" in line else [f"none of the 2 records in {small.root} can be read"]
    run(line, small, tmp_path).check(1, *named)


@pytest.fixture
def contradicted(small: Store) -> Path:
    """Return the folder of a record whose values per query are not those of its metrics."""
    folder = first_of(small, "mcca")
    (record,) = (one for one in small.records() if one.digest == folder.name)
    other = {series: np.full_like(ap, 0.5) for series, ap in values_of(record).items()}
    reseal(folder, "per_query.npz", encode_per_query(other))
    return folder


def test_values_per_query_that_contradict_the_metrics_leave_it_out_of_every_number(
    small: Store, contradicted: Path, tmp_path: Path
) -> None:
    words = ("--results", small.root, "--reports", tmp_path / "reports", "--only", "tables")
    said = say("report", *words)
    assert (said.status, said.err.count("left out"), str(contradicted) in said.err) == (1, 1, True)
    page = (tmp_path / "reports" / "tables.md").read_text(encoding="utf-8")
    assert contradicted.name in page.partition("Records left out")[2]
    rows = [line for line in page.splitlines() if line.startswith("| MCCA ") and "0." in line]
    assert len(rows) == 2  # a table for each protocol
    assert {row.split("|")[-2].strip() for row in rows} == {"1"}  # of two seeds

    said = say("compare", "mcca", "sm", "--dataset", "small", "--results", small.root)
    assert (said.status, "left out" in said.err) == (1, True)
    (line,) = (line for line in said.out.splitlines() if line.startswith("image→text"))
    assert line.split()[-1] == "1"  # of two seeds

    said = say("why", "sm", "small", "--seed", 0, "--results", small.root, "--plugin", FAULTS)
    assert str(contradicted) in said.err
    assert "sm" in said.out

    chosen = ("--plugin", FAULTS, "--jobs", 0, "--cells", 9, "--methods", "mcca,plain")
    said = say("verify", "--results", small.root, *chosen)
    said.check(1, "not checked: mcca on small (image+text), seed 0: ", "cannot be believed")
    assert said.out.endswith("3 of 4 agree\n")


NESTED = b"[" * 100_000
BROKEN: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "nested brackets": ("record.json", lambda _: NESTED),
    "nested notes": ("record.json", lambda text: text.replace(b'"notes": {', b'"notes": {"x": ' + NESTED)),
    "not UTF-8": ("record.json", lambda text: text.replace(b"drcl", b"\xff\xfe")),
    "long name": ("record.json", lambda text: text.replace(b'"emoji"', b'"' + b"e" * 240 + b'"')),
    "no metrics": ("record.json", lambda text: text[: text.index(b'"metrics"')] + b'"metrics": []}}'),
    "ragged trace": ("trace.csv", lambda content: content + b"1\n"),
    "sums not UTF-8": ("sha256sums.txt", lambda content: content + b"\xff"),
}


@pytest.fixture(scope="module")
def hostile(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder with sound records, and others that are broken in many ways."""
    store = copied(grid, tmp_path_factory.mktemp("hostile") / "results", "mcca", "sm", "plain")
    for number, (name, change) in enumerate([*BROKEN.values(), ("log.txt", bytes)]):
        record = making.record(100 + number)
        store.write(record, making.per_query(), TRACE, "")
        folder = store.runs / record.digest
        if name == "log.txt":
            (folder / name).unlink()
            os.mkfifo(folder / name)
        elif name == "sha256sums.txt":
            (folder / name).write_bytes(change((folder / name).read_bytes()))
        else:
            reseal(folder, name, change((folder / name).read_bytes()))
    for odd in (b"caf\xe9", b"red\x1b[31m"):
        (store.runs / os.fsdecode(odd)).mkdir()
    return store.root


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--format", "json"),
        ("results",),
        ("report", "--only", "tables"),
        ("why", "sm", "small", "--seed", 0, "--plugin", FAULTS),
        ("compare", "mcca", "sm", "--dataset", "small"),
        ("merge",),
    ],
    ids=lambda words: "-".join(map(str, words[:3:2])),
)
def test_a_bad_record_costs_itself_only_in_every_command(
    hostile: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    more: list[object] = ["--results", hostile]
    if words[0] == "merge":
        more = [hostile, "--results", tmp_path / "other"]
    if words[0] == "report":
        more += ["--reports", tmp_path]
    said = say(*words, *more)
    assert said.status == 1, said.err
    warnings = [line for line in said.err.splitlines() if "left out" in line]
    assert len(warnings) == len(BROKEN) + 3
    assert all(line.isprintable() for line in warnings)
    assert said.out


def test_a_bundle_whose_name_no_record_could_hold_is_refused_before_it_runs(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / f"{'b' * 240}.npz")
    said = say("run", "--methods", "sm", "--datasets", bundle, "--results", tmp_path / "r")
    assert (said.status, "longer than 200" in said.err) == (2, True)
