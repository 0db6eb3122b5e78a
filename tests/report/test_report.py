"""The reports folder: the same records give the same bytes, and files of the user stay as they are."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import results
from bench.contract import UsageError
from bench.records import Record, Store
from bench.report import ReportData, write_report
from tests.grid import FAULTS, Grid, only_plugins
from tests.records import making
from tests.report.making import HOSTILE
from tests.wording import mentions


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_tables(records: Sequence[Record], folder: Path, **more: Any) -> list[Path]:
    """Write the part ``tables``; returns the overview, then the single tables."""
    files = write_report(ReportData(records, **more), folder, parts=["tables"])
    return [files[0], *(path for path in files if path.parent == folder / "tables")]


@pytest.fixture(scope="module")
def records(grid: Grid) -> list[Record]:
    return list(grid.store.records())


@pytest.fixture(scope="module")
def written(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    with only_plugins(FAULTS):
        return write_tables(records, tmp_path_factory.mktemp("report"))


def test_the_same_records_give_the_same_bytes_in_any_order(
    records: list[Record], written: list[Path], tmp_path: Path
) -> None:
    with only_plugins(FAULTS):
        write_tables(random.Random(0).sample(records, len(records)), tmp_path)
    folder = written[0].parent
    first = content(folder)
    assert first == content(tmp_path)
    named = "ablations.md citations.bib convergence.md costs.md tables/.generated ledger.md ledger.csv "
    named += "optimism.md optimism.csv protocol.md protocol.tex"
    beside = {name for name in first if name.startswith("methods/")} | {*named.split()}
    assert {str(path.relative_to(folder)) for path in written} | beside == set(first)
    assert {"methods/index.md", "methods/drcl.md"} <= set(first)
    assert b"@article{pu2025drcl" in first["citations.bib"]
    assert len(written) == 1 + (2 + 1) * 2 * 4  # two datasets and all of them, two protocols, four formats


@pytest.mark.parametrize("value", [0.1 + 0.2, 1 / 3, 0.1 + 0.7])
def test_a_number_is_the_same_to_the_last_bit_from_its_record_to_the_files(
    tmp_path: Path, value: float
) -> None:
    store, record = Store(tmp_path / "results"), making.record(method="mcca")
    record = msgspec.structs.replace(record, result=making.result(value))
    store.write(record, making.per_query(value, 0.1), making.TRACE, "")
    assert {*results(store.root)["value"]} == {value}
    write_report(ReportData(list(store.records())), tmp_path / "report", parts=["tables", "page"])
    (file,) = (tmp_path / "report" / "tables").glob("emoji*map@all*.csv")
    with file.open(encoding="utf-8", newline="") as lines:
        assert {float(line["mean"]) for line in csv.DictReader(lines)} == {value}
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert f'data-value="{value!r}"' in page


def test_the_overview_holds_every_table_every_failure_and_every_departure(
    records: list[Record], written: list[Path]
) -> None:
    overview, *files = written
    text = overview.read_text(encoding="utf-8")
    for path in files:
        if path.suffix == ".md":
            assert path.read_text(encoding="utf-8").strip() in text
    assert mentions(text, "22 of 41 recorded cells")
    assert all(record.digest in text for record in records if record.failure is not None)
    assert "**DRCL**\n\n- From the paper:" in text
    assert "## Look-alikes" not in text
    assert r"Plain &amp; 100% \$x\_1\$ &lt;b&gt;\|\*a\*\| \[1\]" in text


@pytest.mark.parametrize("forged", ["", "../notes.md\n..\n.\n\n.generated\n/etc/hostname\n", "\xff\xfe"])
def test_only_what_a_report_wrote_is_removed_by_the_next(tmp_path: Path, forged: str) -> None:
    write_tables([making.record(), making.record(dataset="wikipedia")], tmp_path)
    mine = [tmp_path / "tables" / "thesis.tex", tmp_path / "notes.md"]
    for path in mine:
        path.write_text("mine")
    assert len(list(tmp_path.glob("tables/wikipedia*"))) == 8
    if forged:
        (tmp_path / "tables" / ".generated").write_text(forged, encoding="latin-1")
    write_tables([making.record()], tmp_path)
    assert len(list(tmp_path.glob("tables/wikipedia*"))) == (8 if forged else 0)
    assert len(list(tmp_path.glob("tables/emoji*"))) == 8
    assert [path.read_text() for path in mine] == ["mine", "mine"]


def test_real_and_look_alike_profiles_and_data_versions_never_share_a_file(tmp_path: Path) -> None:
    records = [making.record(), making.record(seed=1, data_kind="look-alike")]
    records += [making.record(seed=2, profile="paper"), making.record(seed=3, fingerprint="0" * 16)]
    overview, *files = write_tables(records, tmp_path, protocols=["map@all"])
    tables = [path.read_text(encoding="utf-8") for path in files if path.suffix == ".csv"]
    assert len(tables) == 4
    for text in tables:
        lines = csv.DictReader(text.splitlines())
        assert len({(line["data_kind"], line["profile"], line["fingerprint"]) for line in lines}) == 1
    text = overview.read_text(encoding="utf-8")
    real, fake = text.partition("\n## Methods\n")[0].split("## Look-alikes")
    assert "LOOK-ALIKE" not in real
    assert fake.count("### ") == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file.tables\.md"):
        write_tables([making.record()], tmp_path / "file")


def test_a_file_that_would_be_the_same_is_left_alone(tmp_path: Path) -> None:
    files = write_tables([making.record()], tmp_path)
    before = {path: path.stat().st_ino for path in files}
    write_tables([making.record()], tmp_path)
    assert {path: path.stat().st_ino for path in files} == before
    files[0].write_bytes(files[0].read_bytes()[::-1])
    assert write_tables([making.record()], tmp_path)[0].read_text(encoding="utf-8").startswith("# mAP tables")


def test_names_are_markup_in_no_file_and_files_have_names_that_every_system_takes(tmp_path: Path) -> None:
    hostile = f"../<script>alert(1)</script>{HOSTILE}\\input{{/etc/passwd}}: donn\u00e9es*?"
    names: dict[str, Any] = {"method": hostile, "dataset": hostile, "variant": hostile}
    each: list[dict[str, Any]] = [{}, *({name: hostile} for name in names)]
    records = [making.record(**changes) for changes in each]
    records.append(making.record(seed=1, status="failed", reason=hostile, **names))
    data = ReportData(records, problems=[("x", hostile)])
    write_report(data, tmp_path / "reports", parts=["tables", "statistics"])
    assert [path.name for path in tmp_path.iterdir()] == ["reports"]
    files = content(tmp_path / "reports")
    assert b"**Records left out**" in files["tables.md"]
    assert sum(b"alert" in text for text in files.values()) > 20
    for name, text in files.items():
        assert name.isascii()
        assert not set(name) & set('\\:*?"<>| ')
        if name.endswith((".md", ".html")):
            assert b"<script" not in text, name
            assert b"<b>" not in text, name
        if name.endswith(".tex"):
            assert b"\\input" not in text, name
