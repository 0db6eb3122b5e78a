"""What the report of a cell is made from: origins of settings, trace summary, rank in a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bench import registry
from bench.analysis.convergence import trace_summary
from bench.analysis.findings import ranks_in_table, row_with_record
from bench.analysis.groups import Data
from bench.analysis.settings import settings_provenance
from bench.analysis.tables import AVERAGE, Entry, Row, Table
from bench.contract import DataKind
from bench.records import Record, Selected
from bench.records.schema import MethodSnapshot
from tests.records import making
from tests.wording import mentions


def of_method(
    name: str, command: str = "", profile: str = "quick", variant: str = "full", **changes: Any
) -> Record:
    """Return a record with a registered method's settings on emoji, some of them changed."""
    cell: dict[str, Any] = {"profile": profile, "variant": variant, "dataset": "emoji"}
    settings = registry.resolve_settings(registry.method(name), **cell)
    record = making.record(method=name, settings={**settings, **changes}, **cell)
    return msgspec.structs.replace(record, environment=making.environment(command=command))


def words_of(record: Record) -> dict[str, str]:
    return settings_provenance(record)[1]


def test_every_setting_has_the_origin_of_its_value() -> None:
    words = words_of(of_method("drcl", "python -m bench run --set 'drcl.eta=2.0'", eta=2.0, lr=0.5))
    expected = {
        "epochs": "quick profile ... all methods",
        "spl_epochs": "quick profile ... this method",
        "batch_size": "tuned ... trials on validation data",
        "alpha": "default ... weight of J_D (release)",
        "eta": "--set ... 1.0",
    }
    assert all(mentions(words[name], key) for name, key in expected.items()), words
    usual = registry.covered(registry.settings_layers(registry.method("drcl"), dataset="emoji"))
    assert mentions(words["lr"], f"earlier settings file ... {usual['lr']}")
    assert list(words) == list(registry.method("drcl").defaults)
    assert "released code" in settings_provenance(of_method("drcl"))[0]


def test_a_record_with_origins_needs_no_settings_file(edited_settings: Callable[[], None]) -> None:
    old = of_method("drcl", eta=2.0, lr=0.5)
    layers = registry.settings_layers(registry.method("drcl"), dataset="emoji")
    origins: dict[str, str] = {key: layer.origin for layer in layers for key in layer.values}
    snapshot = MethodSnapshot(card={}, usual=registry.covered(layers), origins={**origins, "eta": "set"})
    record = msgspec.structs.replace(old, method=snapshot)
    before = words_of(record)
    assert mentions(before["epochs"], "quick profile ... all methods")
    assert mentions(before["eta"], "--set ... 1.0")
    edited_settings()
    assert words_of(record) == before
    assert words_of(old) != before


def test_published_values_and_variants_are_named() -> None:
    assert mentions(words_of(of_method("drcl", profile="paper"))["epochs"], "published ... emoji ... ours")
    variant, changed = next(
        (name, change) for name, change in registry.method("drcl").variants.items() if "mix" in change
    )
    words = words_of(of_method("drcl", variant=variant))
    assert {words[key] for key in changed} == {f"variant {variant}"}


@pytest.mark.parametrize("kind", ["real", "look-alike"])
def test_a_record_with_the_usual_settings_of_its_kind_of_data_has_nothing_typed(kind: DataKind) -> None:
    for name in registry.method_names():
        usual = registry.resolve_settings(registry.method(name), dataset="wikipedia", kind=kind)
        record = making.record(method=name, dataset="wikipedia", data_kind=kind, settings=usual)
        assert not [words for words in words_of(record).values() if "typed" in words]


def test_settings_that_are_gone_or_of_a_method_that_is_gone_are_shown_unexplained() -> None:
    record = making.record(method="gone")
    assert words_of(record) == dict.fromkeys(record.identity.settings, "unknown method 'gone'")
    assert words_of(of_method("drcl", zeal=1))["zeal"].startswith("unknown: ")


def test_a_trace_summary_has_first_last_and_selected_epochs() -> None:
    losses = {"train_loss/a": 0.1, "J_L/a": 7.0}
    trace: list[dict[str, object]] = []
    trace += [{"stage": "prior", "epoch": epoch, "train_loss/a": 1.0 / epoch} for epoch in (1, 2, 3)]
    trace += [{"stage": "fit", "epoch": epoch, **losses, "validation_map": 0.1} for epoch in (1, 2, 3, 4)]
    chosen = Selected(rule="best", criterion="c", epoch={"a": 2, "b": 4}, value=None)
    last = Selected(rule="last", criterion="l", epoch=4, value=None)
    result = msgspec.structs.replace(making.result(), selected=[chosen, last])
    brief = trace_summary(trace, result)
    shown = [(why, row["stage"], row["epoch"]) for why, row in brief.rows]
    selected = [("first", "fit", 1), ("best of a", "fit", 2), ("last, best of b", "fit", 4)]
    assert shown == [("first", "prior", 1), ("last", "prior", 3), *selected]
    assert brief.columns == ("stage", "epoch", "train_loss/a", "validation_map")
    assert (brief.epochs, brief.left_out) == (7, ("J_L/a",))
    assert trace_summary([], None).rows == ()


IT = ("image", "text")


def row(label: str, mean: float | None, role: str = "baseline") -> Row:
    entry = Entry(None, reason="failed")
    if mean is not None:
        entry = Entry(mean, None, 1, (f"digest of {label}",))
    return Row(label.lower(), label, "", role, {IT: entry, AVERAGE: entry})


@pytest.fixture
def table() -> Table:
    rows = (row("A", 0.5), row("B", 0.7), row("C", 0.5), row("D", None), row("Floor", 0.9, "reference"))
    return Table(Data("real", "quick", "emoji", "f", "cpu", ""), "map@all", "best", (IT, AVERAGE), rows)


def test_a_row_is_found_by_its_records(table: Table) -> None:
    assert row_with_record(table, "digest of B") is table.rows[1]
    assert row_with_record(table, "digest of D") is None


def test_reference_points_and_missing_numbers_do_not_compete(table: Table) -> None:
    ranks = {
        row.label: [(found.rank, found.of, found.best) for found in ranks_in_table(table, row)]
        for row in table.rows
    }
    assert ranks["B"] == [(1, 3, "A")] * 2
    assert ranks["A"] == ranks["C"] == [(2, 3, "B")] * 2
    assert ranks["D"] == []
    assert ranks["Floor"] == [(1, 4, "B")] * 2
    assert ranks_in_table(table, table.rows[0])[0].points == {"Floor": 0.9}
    assert ranks_in_table(table, table.rows[-1])[0].points == {}


def test_variants_and_other_settings_do_not_compete_with_the_method_itself(table: Table) -> None:
    variants = [replace(row(f"B {name}", 0.8), method="b", usual=False) for name in ("x", "y")]
    whole = replace(table, rows=(*table.rows, *variants))
    assert [(one.rank, one.of, one.best) for one in ranks_in_table(whole, whole.rows[0])] == [(2, 3, "B")] * 2
    assert [one.rank for one in ranks_in_table(whole, whole.rows[1])] == [1, 1]
    assert [(one.rank, one.of) for one in ranks_in_table(whole, variants[0])] == [(1, 4)] * 2
