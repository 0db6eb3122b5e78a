"""The reports folder: the same records give the same bytes, and nothing that is not ours is touched."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.contract import UsageError
from bench.records import Record
from bench.report import ReportData, write_report
from tests.grid import FAULTS, Grid, only_plugins
from tests.records import making
from tests.report.making import HOSTILE


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_tables(records: Sequence[Record], folder: Path, **more: Any) -> list[Path]:
    files = write_report(ReportData(records, **more), folder, parts=["tables"])
    return [files[0], *(path for path in files if path.parent == folder / "tables")]


@pytest.fixture(scope="module")
def records(grid: Grid) -> list[Record]:
    return list(grid.store.records())


def test_the_same_records_give_the_same_bytes_in_any_order(records: list[Record], tmp_path: Path) -> None:
    with only_plugins(FAULTS):
        files = write_tables(records, tmp_path / "one")
        write_tables(records, tmp_path / "two")
        write_tables(records, tmp_path / "two")
        write_tables(random.Random(0).sample(records, len(records)), tmp_path / "three")
    first = content(tmp_path / "one")
    assert first == content(tmp_path / "two") == content(tmp_path / "three")
    named = "ablations.md citations.bib convergence.md costs.md tables/.generated ledger.md ledger.csv "
    named += "optimism.md optimism.csv protocol.md protocol.tex"
    beside = {name for name in first if name.startswith("methods/")} | {*named.split()}
    assert {str(path.relative_to(tmp_path / "one")) for path in files} | beside == set(first)
    assert {"methods/index.md", "methods/drcl.md"} <= set(first)
    assert b"@article{pu2025drcl" in first["citations.bib"]
    assert len(files) == 1 + (2 + 1) * 2 * 4  # two datasets and all of them, two protocols, four formats


def test_the_overview_holds_every_table_every_failure_and_every_departure(
    records: list[Record], tmp_path: Path
) -> None:
    with only_plugins(FAULTS):
        overview, *files = write_tables(records, tmp_path)
    text = overview.read_text(encoding="utf-8")
    for path in files:
        if path.suffix == ".md":
            assert path.read_text(encoding="utf-8").strip() in text
    assert "22 of 41 recorded cells are done." in text
    for record in records:
        if record.failure is not None:
            assert record.digest in text
    assert "**DRCL**\n\n- From the paper:" in text
    assert "## Look-alikes" not in text
    assert r"Plain &amp; 100% \$x\_1\$ &lt;b&gt;\|\*a\*\| \[1\]" in text


def test_only_what_a_report_wrote_is_removed_by_the_next(tmp_path: Path) -> None:
    write_tables([making.record(), making.record(dataset="wikipedia")], tmp_path)
    (tmp_path / "tables" / "thesis.tex").write_text("mine")
    (tmp_path / "notes.md").write_text("mine")
    assert len(list(tmp_path.glob("tables/wikipedia*"))) == 8
    write_tables([making.record()], tmp_path)
    assert not list(tmp_path.glob("tables/wikipedia*"))
    assert len(list(tmp_path.glob("tables/emoji*"))) == 8
    assert (tmp_path / "tables" / "thesis.tex").read_text() == "mine"
    assert (tmp_path / "notes.md").read_text() == "mine"


@pytest.mark.parametrize("listing", ["../notes.md\n..\n.\n\n.generated\n/etc/hostname\n", "\xff\xfe"])
def test_a_forged_list_of_files_removes_nothing_elsewhere(tmp_path: Path, listing: str) -> None:
    write_tables([making.record()], tmp_path)
    (tmp_path / "notes.md").write_text("mine")
    (tmp_path / "tables" / ".generated").write_text(listing, encoding="latin-1")
    write_tables([making.record()], tmp_path)
    assert (tmp_path / "notes.md").read_text() == "mine"
    assert len(list(tmp_path.glob("tables/emoji*"))) == 8


def test_real_and_look_alike_profiles_and_data_versions_never_share_a_file(tmp_path: Path) -> None:
    records = [making.record(), making.record(seed=1, data_kind="look-alike")]
    records += [making.record(seed=2, profile="paper"), making.record(seed=3, fingerprint="0" * 16)]
    files = write_tables(records, tmp_path, protocols=["map@all"])
    tables = [path for path in files if path.suffix == ".csv"]
    assert len(tables) == 4
    for path in tables:
        with path.open(encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        kinds = {(line["data_kind"], line["profile"], line["fingerprint"]) for line in lines}
        assert len(kinds) == 1
    text = files[0].read_text(encoding="utf-8")
    real, fake = text.partition("\n## Methods\n")[0].split("## Look-alikes")
    assert "LOOK-ALIKE" not in real
    assert fake.count("### ") == 1


def test_damaged_records_are_named_in_the_overview(tmp_path: Path) -> None:
    overview, *_ = write_tables([making.record()], tmp_path, problems=[("x", "runs/ab_c: *damaged*")])
    assert "**Records left out**" in overview.read_text(encoding="utf-8")
    assert r"runs/ab\_c: \*damaged\*" in overview.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write .*file.tables\.md: .*; choose another place"):
        write_tables([making.record()], tmp_path / "file")


def test_a_file_that_would_be_the_same_is_left_alone(tmp_path: Path) -> None:
    files = write_tables([making.record()], tmp_path)
    before = {path: path.stat().st_ino for path in files}
    write_tables([making.record()], tmp_path)
    assert {path: path.stat().st_ino for path in files} == before
    files[0].write_bytes(files[0].read_bytes()[::-1])
    assert write_tables([making.record()], tmp_path)[0].read_text(encoding="utf-8").startswith("# mAP tables")


def test_files_have_names_that_every_system_takes(tmp_path: Path) -> None:
    hostile = making.record(dataset="../my: données*?", variant="a/b", method="x|y")
    files = write_tables([hostile], tmp_path)
    for path in files[1:]:
        assert path.parent == tmp_path / "tables"
        assert path.name.isascii()
        assert not set(path.name) & set('/\\:*?"<>| ')


def test_names_with_html_or_latex_in_them_are_markup_in_no_file(tmp_path: Path) -> None:
    hostile = f"<script>alert(1)</script>{HOSTILE}\\input{{/etc/passwd}}"
    names: dict[str, Any] = {"method": hostile, "dataset": hostile, "variant": hostile}
    each: list[dict[str, Any]] = [{}, *({name: hostile} for name in names)]
    records = [making.record(**changes) for changes in each]
    records.append(making.record(seed=1, status="failed", reason=hostile, **names))
    material = ReportData(records, problems=[("x", hostile)])
    write_report(material, tmp_path, parts=["tables", "statistics"])
    files = content(tmp_path)
    assert sum(b"alert" in text for text in files.values()) > 20
    for name, text in files.items():
        if name.endswith((".md", ".html")):
            assert b"<script" not in text, name
            assert b"<b>" not in text, name
        if name.endswith(".tex"):
            assert b"\\input" not in text, name
