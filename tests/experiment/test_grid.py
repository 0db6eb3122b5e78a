"""A request's cells: one per method, variant, dataset, modalities and seed, none twice; each in one shard."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations, product
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


def modalities_of(cells: list[Cell]) -> list[tuple[str, ...]]:
    return [cell.identity.modalities for cell in cells]


def test_a_method_for_any_number_gets_all_modalities_at_once_one_for_two_gets_every_pair() -> None:
    assert modalities_of(planned(["mcca"], ["five"])) == [FIVE.modalities]
    assert modalities_of(planned(["pairwise"], ["two"])) == [TWO.modalities]
    assert modalities_of(planned(["pairwise"], ["five"])) == [*combinations(FIVE.modalities, 2)]
    chosen = ["audio", "image", "text"]  # in another order than in the data
    assert modalities_of(planned(["mcca"], ["five"], modalities=chosen)) == [("image", "text", "audio")]
    pairs = [*combinations(("image", "text", "audio"), 2)]
    assert modalities_of(planned(["pairwise"], ["five"], modalities=chosen)) == pairs


def test_of_a_look_alike_the_quick_profile_takes_three_modalities_unless_some_are_named() -> None:
    data, usual = {"five": replace(FIVE, kind="look-alike")}, Request(["mcca"], ["five"])
    assert modalities_of(plan(usual, data)) == [FIVE.modalities[:3]]
    for request in (replace(usual, modalities=FIVE.modalities), replace(usual, profile="paper")):
        assert modalities_of(plan(request, data)) == [FIVE.modalities]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({"modalities": ["image", "vidoe"]}, r"modality 'vidoe'.*'video'"),
        ({"conditions": ["", "late@vidoe"]}, "vidoe"),
        ({"modalities": ["image", "audio"]}, r"two has image, text, of image, audio"),
        ({"methods": []}, "nothing to run"),
        ({"overrides": {"plain": {"secons": 1}}}, r"'secons' of plain.*'seconds'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(request_: dict[str, Any], names: str) -> None:
    with pytest.raises(UsageError, match=names):
        planned(**{"methods": ["plain", "sm"], "datasets": ["five", "two"], **request_})


METHODS = ("mcca", "sm", "plain", "pairwise", "drcl")


@settings(max_examples=10, deadline=None)
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
    variants = [(cell.identity.method, cell.identity.variant) for cell in cells]
    assert variants == [("plain", "full"), ("plain", "loud"), ("sm", "full")]
    assert cells[1].identity.settings["word"] == "b"
    assert len(planned(["mcca", "mcca"], ["two", "two"], seeds=[0, 0], variants=["full", "full"])) == 1
    same, other = {"plain": {"word": "b"}}, {"plain": {"seconds": 3}}
    assert len(planned(["plain"], ["two"], variants=["loud"], overrides=same)) == 1
    assert len(planned(["plain"], ["two"], variants=["all"], overrides=other)) == 2


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


def test_usual_settings_are_planned_without_importing_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "checked_settings", lambda *_: pytest.fail("the class was imported"))
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
    names = ("image", "text", "audio")
    first, second = (
        describe_data(str(write_bundle(tmp_path / "mine.npz", names, seed=seed)), None, "quick", None)
        for seed in range(2)
    )
    assert (first.name, first.kind, first.modalities) == ("mine", "real", names)
    assert first.fingerprint != second.fingerprint


def test_all_variants_are_those_that_the_modalities_of_the_data_admit() -> None:
    def variants(dataset: str, **more: Any) -> list[str]:
        return [cell.identity.variant for cell in planned(["drcl"], [dataset], variants=["all"], **more)]

    everything = ["full", *registry.method("drcl").variants]
    assert variants("five") == everything
    absent = {"prior_audio", "prior_3d", "prior_video"}
    assert variants("two") == [name for name in everything if name not in absent]
    confined = variants("five", modalities=["text", "video"])
    assert {name for name in confined if name.startswith("prior_")} == {"prior_text", "prior_video"}
    # A variant that is named is planned: the cell's record says why it cannot be run.
    assert planned(["drcl"], ["two"], variants=["prior_audio"])


def test_titles_of_a_sweeps_cells_name_what_was_changed() -> None:
    (usual,) = planned(["plain"], ["two"], overrides={"plain": {"seconds": 30}})
    (changed,) = planned(["plain"], ["two"], overrides={"plain": {"word": "c", "seconds": 3}})
    assert usual.title == usual.identity.title
    assert changed.title == f'{usual.identity.title} [seconds=3.0, word="c"]'
    assert changed == Cell(changed.identity, changed.source)  # the same cell, whatever was typed


def test_titles_tell_data_of_the_same_name_apart() -> None:
    other = replace(TWO, given="elsewhere/two", fingerprint="d" * 64)
    both = plan(Request(["plain"], ["two", "elsewhere/two", "five"]), {**DATA, "elsewhere/two": other})
    titles = [cell.title for cell in both]
    assert titles[:2] == [f"{both[0].identity.title} [data {digits}]" for digits in ("f" * 8, "d" * 8)]
    assert {cell.title for cell in both[2:]} == {cell.identity.title for cell in both[2:]}
    assert both[0] == Cell(both[0].identity, both[0].source)


@pytest.mark.parametrize("of", [1, 2, 3, 7, 8, 500])
@pytest.mark.parametrize("size", [(16, 6, 1), (1, 1, 7), (3, 2, 4)])
def test_every_cell_is_in_one_shard_and_methods_and_datasets_spread_evenly(
    size: tuple[int, int, int], of: int
) -> None:
    methods, datasets, seeds = size
    cells = [
        Cell(making.identity(seed, method=f"m{method}", dataset=f"d{dataset}"), f"d{dataset}")
        for dataset, method, seed in product(range(datasets), range(methods), range(seeds))
    ]
    shards = [cells_of_shard(cells, Shard(number, of)) for number in range(1, of + 1)]
    together = Counter(cell.identity.digest for shard in shards for cell in shard)
    assert together == Counter(cell.identity.digest for cell in cells)
    for shard in shards:
        assert shard == [cell for cell in cells if cell in shard]  # in the order of the grid
        if seeds == 1 and of <= 8:
            assert abs(len(shard) - len(cells) / of) <= 2
            for field, count in (("method", methods), ("dataset", datasets)):
                counts = Counter(getattr(cell.identity, field) for cell in shard)
                for name in {getattr(cell.identity, field) for cell in cells}:
                    assert abs(counts[name] - len(cells) / count / of) < 1


def test_a_shard_is_read_as_it_is_written_and_anything_else_is_one_sentence() -> None:
    assert parse_shard("2/3") == Shard(2, 3)
    assert str(Shard(2, 3)) == "shard 2/3"
    for text in ("5/3", "0/3", "a/b", "1", "1/0", "-1/3", "1/3/5", "1.5/3", "", "/", "1/" + "9" * 20):
        with pytest.raises(UsageError, match="--shard"):
            parse_shard(text)
