"""A request's cells: one per method, variant, dataset, modalities and seed, none twice; each in one shard."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import registry
from bench.contract import UsageError
from bench.experiment.grid import (
    Cell,
    DataSource,
    Request,
    Shard,
    cells_of_shard,
    describe_data,
    parse_shard,
    plan,
)
from tests.grid import write_bundle
from tests.records import making

TWO = DataSource("two", "two", "real", "f" * 64, ("image", "text"))
FIVE = DataSource("five", "five", "real", "e" * 64, ("image", "text", "audio", "3d", "video"))
DATA = {"two": TWO, "five": FIVE}


pytestmark = pytest.mark.usefixtures("faults")


def planned(methods: list[str], datasets: list[str], **more: Any) -> list[Cell]:
    return plan(Request(methods, datasets, **more), DATA)


def test_a_method_for_any_number_gets_all_modalities_at_once_one_for_two_gets_every_pair() -> None:
    assert [cell.identity.modalities for cell in planned(["mcca"], ["five"])] == [FIVE.modalities]
    pairs = [cell.identity.modalities for cell in planned(["pairwise"], ["five"])]
    assert len(pairs) == len(set(pairs)) == 10
    assert all(FIVE.modalities.index(a) < FIVE.modalities.index(b) for a, b in pairs)
    assert [cell.identity.modalities for cell in planned(["pairwise"], ["two"])] == [TWO.modalities]


def test_of_a_look_alike_the_quick_profile_takes_three_modalities_unless_some_are_named() -> None:
    data = {"five": replace(FIVE, kind="look-alike")}
    usual = [cell.identity.modalities for cell in plan(Request(["mcca"], ["five"]), data)]
    assert usual == [FIVE.modalities[:3]]
    named = plan(Request(["mcca"], ["five"], modalities=FIVE.modalities), data)
    assert [cell.identity.modalities for cell in named] == [FIVE.modalities]
    whole = plan(Request(["mcca"], ["five"], profile="paper"), data)
    assert [cell.identity.modalities for cell in whole] == [FIVE.modalities]


def test_datasets_can_be_confined_to_some_modalities_in_their_own_order() -> None:
    chosen = ["audio", "image", "text"]
    (joint,) = planned(["mcca"], ["five"], modalities=chosen)
    assert joint.identity.modalities == ("image", "text", "audio")
    pairs = [cell.identity.modalities for cell in planned(["pairwise"], ["five"], modalities=chosen)]
    assert pairs == [("image", "text"), ("image", "audio"), ("text", "audio")]
    assert set(pairs) < {cell.identity.modalities for cell in planned(["pairwise"], ["five"])}


def test_modalities_that_a_dataset_lacks_are_named() -> None:
    with pytest.raises(UsageError, match=r"unknown modality 'vidoe' of these datasets .did you mean 'video'"):
        planned(["mcca"], ["five"], modalities=["image", "vidoe"])
    with pytest.raises(UsageError, match="vidoe"):
        planned(["mcca"], ["five"], conditions=["", "late@vidoe"])
    with pytest.raises(UsageError, match="two has image, text, of image, audio fewer than the two"):
        planned(["mcca"], ["five", "two"], modalities=["image", "audio"])


METHODS = ("mcca", "sm", "plain", "pairwise", "drcl")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from(METHODS), min_size=1, unique=True),
    st.lists(st.sampled_from(METHODS), unique=True),
    st.lists(st.sampled_from(["two", "five"]), min_size=1, unique=True),
    st.sets(st.integers(0, 5), min_size=1),
)
def test_more_methods_more_datasets_and_more_seeds_never_change_a_cell(
    methods: list[str], others: list[str], datasets: list[str], seeds: set[int]
) -> None:
    few = planned(methods, datasets[:1], seeds=sorted(seeds)[:1])
    many = planned(list(dict.fromkeys([*others, *methods])), datasets, seeds=sorted(seeds))
    digests = [cell.identity.digest for cell in many]
    assert len(set(digests)) == len(digests)
    assert {cell.identity.digest for cell in few} <= set(digests)


def test_a_method_without_a_variant_is_left_out_of_it() -> None:
    cells = planned(["plain", "sm"], ["two"], variants=["full", "loud"])
    found = [(cell.identity.method, cell.identity.variant) for cell in cells]
    assert found == [("plain", "full"), ("plain", "loud"), ("sm", "full")]
    assert cells[1].identity.settings["word"] == "b"
    with pytest.raises(UsageError, match=r"unknown variant 'lout'.*did you mean 'loud'"):
        planned(["plain"], ["two"], variants=["lout"])
    with pytest.raises(UsageError, match="nothing to run"):
        planned([], ["two"])
    assert len(planned(["mcca", "mcca"], ["two", "two"], seeds=[0, 0], variants=["full", "full"])) == 1


def test_a_setting_for_all_reaches_those_that_have_it_and_one_for_a_method_wins() -> None:
    overrides = {"*": {"seconds": 2.0, "word": "c"}, "twin": {"word": "d"}}
    cells = planned(["plain", "twin", "mcca"], ["two"], overrides=overrides)
    words = [cell.identity.settings.get("word") for cell in cells]
    assert words == ["c", "d", None]
    assert "seconds" not in cells[2].identity.settings


@pytest.mark.parametrize(
    ("given_", "plain"),
    [
        ({"seconds": 30}, {}),  # the usual value in another spelling is the usual cell
        ({"seconds": 5}, {"seconds": 5.0}),
        ({"widths": [4]}, {"widths": [4]}),
        ({"rates": {"image": 1}}, {"rates": {"image": 1.0}}),
        ({"rates": None}, {}),
    ],
)
def test_a_setting_is_spelled_as_the_method_spells_it(given_: dict[str, Any], plain: dict[str, Any]) -> None:
    (usual,) = planned(["plain"], ["two"])
    (cell,) = planned(["plain"], ["two"], overrides={"plain": given_})
    assert repr(cell.identity.settings) == repr({**usual.identity.settings, **plain})
    assert (cell.identity.digest == usual.identity.digest) == (not plain)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"plain": {"seconds": "abc"}}, "settings of plain: seconds: Expected float, got str"),
        ({"plain": {"widths": [1, "x"]}}, r"settings of plain: widths\[1\]: Expected int"),
        ({"plain": {"secons": 1}}, "unknown setting 'secons' of plain.*did you mean 'seconds'"),
        ({"*": {"epoch": 1}}, "unknown setting 'epoch' of any of the methods"),
        ({"twin": {"seconds": 1}}, "settings are given for twin, which is not among the methods"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_runs(
    overrides: dict[str, dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        planned(["plain", "sm"], ["two"], overrides=overrides)


def test_usual_settings_are_planned_without_importing_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the class was imported")

    monkeypatch.setattr(registry, "checked_settings", never)
    assert planned(["plain"], ["two"])


def test_profiles_datasets_and_data_versions_are_different_cells() -> None:
    other = DataSource("two", "two", "real", "0" * 64, ("image", "text"))
    cells = [
        *planned(["mcca"], ["two", "five"]),
        *planned(["mcca"], ["two"], profile="paper"),
        *planned(["mcca"], ["two"], threads=2),
        *plan(Request(["mcca"], ["two"]), {"two": other}),
    ]
    assert len({cell.identity.digest for cell in cells}) == 5


def test_a_bundle_is_described_by_what_is_in_it(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "mine.npz", ("image", "text", "audio"))
    source = describe_data(str(path), None, "quick", None)
    assert (source.name, source.kind, source.modalities) == ("mine", "real", ("image", "text", "audio"))
    changed = write_bundle(tmp_path / "mine.npz", ("image", "text", "audio"), seed=1)
    assert describe_data(str(changed), None, "quick", None).fingerprint != source.fingerprint


def studied(datasets: list[str], **more: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Return variants and modalities of all variants of a method of which some are for one modality."""
    return [
        (cell.identity.variant, cell.identity.modalities)
        for cell in planned(["drcl"], datasets, variants=["all"], **more)
    ]


def test_all_variants_are_those_that_the_modalities_of_the_data_admit() -> None:
    everything = ["full", *registry.method("drcl").variants]
    assert [variant for variant, _ in studied(["five"])] == everything
    elsewhere = {"prior_audio", "prior_3d", "prior_video"}
    assert [variant for variant, _ in studied(["two"])] == [v for v in everything if v not in elsewhere]
    confined = [variant for variant, _ in studied(["five"], modalities=["text", "video"])]
    assert {v for v in confined if v.startswith("prior_")} == {"prior_text", "prior_video"}
    # Who names a variant gets it: the cell's record says why it cannot be.
    assert planned(["drcl"], ["two"], variants=["prior_audio"])


def test_a_setting_that_would_undo_a_variant_is_refused() -> None:
    overrides = {"*": {"word": "c"}}
    with pytest.raises(UsageError, match=r'plain.word="c" would undo the variant loud, which sets word'):
        planned(["plain"], ["two"], variants=["full", "loud"], overrides=overrides)
    same, other = {"plain": {"word": "b"}}, {"plain": {"seconds": 3}}
    assert len(planned(["plain"], ["two"], variants=["loud"], overrides=same)) == 1
    assert len(planned(["plain"], ["two"], variants=["all"], overrides=other)) == 2


def test_cells_of_a_sweep_are_told_apart_by_what_was_changed() -> None:
    (usual,) = planned(["plain"], ["two"], overrides={"plain": {"seconds": 30}})
    (changed,) = planned(["plain"], ["two"], overrides={"plain": {"word": "c", "seconds": 3}})
    assert usual.title == usual.identity.title
    assert changed.title == f'{usual.identity.title} [seconds=3.0, word="c"]'
    assert changed == Cell(changed.identity, changed.source)  # the same cell, whatever was typed


def shardable(methods: int, datasets: int, seeds: int) -> list[Cell]:
    """Return cells in the order of `plan`: datasets outermost, seeds innermost."""
    return [
        Cell(making.identity(seed, method=f"m{method}", dataset=f"d{dataset}"), f"d{dataset}")
        for dataset in range(datasets)
        for method in range(methods)
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("of", [1, 2, 3, 7, 500])
@pytest.mark.parametrize("size", [(16, 6, 1), (1, 1, 7), (3, 2, 4)])
def test_every_cell_is_in_exactly_one_shard_in_the_order_of_the_grid(
    size: tuple[int, int, int], of: int
) -> None:
    cells = shardable(*size)
    shards = [cells_of_shard(cells, Shard(number, of)) for number in range(1, of + 1)]
    together = Counter(cell.identity.digest for shard in shards for cell in shard)
    assert together == Counter(cell.identity.digest for cell in cells)
    assert all(shard == [cell for cell in cells if cell in shard] for shard in shards)


@pytest.mark.parametrize("of", [2, 3, 8])
def test_methods_and_datasets_spread_evenly(of: int) -> None:
    cells = shardable(16, 6, 1)
    for number in range(1, of + 1):
        shard = cells_of_shard(cells, Shard(number, of))
        assert abs(len(shard) - len(cells) / of) <= 2
        for field, expected in (("method", 6 / of), ("dataset", 16 / of)):
            counts = Counter(getattr(cell.identity, field) for cell in shard)
            names = {getattr(cell.identity, field) for cell in cells}
            assert all(abs(counts[name] - expected) < 1 for name in names)


def test_a_shard_is_read_as_it_is_written_and_anything_else_is_one_sentence() -> None:
    assert parse_shard("2/3") == Shard(2, 3)
    assert str(Shard(2, 3)) == "shard 2/3"
    for text in ("5/3", "0/3", "a/b", "1", "1/0", "-1/3", "1/3/5", "1.5/3", "", "/", "1/" + "9" * 20):
        with pytest.raises(UsageError, match="is not one of n parts of the grid; write i/n") as caught:
            parse_shard(text)
        assert "\n" not in str(caught.value)
