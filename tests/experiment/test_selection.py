"""From words to names: groups, globs and paths; a word that fits nothing is an error with a near miss."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import registry
from bench.contract import UsageError
from bench.experiment.selection import MOST_SEEDS, parse_seeds, select_datasets, select_methods, split_words
from tests.grid import write_bundle


def nothing_real(name: str) -> bool:
    return name == "emoji"


def test_groups_are_made_of_the_cards_alone() -> None:
    cards = {name: registry.method(name).card for name in registry.method_names()}
    roster = set(select_methods(["roster"]))
    assert roster == {name for name, card in cards.items() if card.role in ("proposed", "baseline")}
    assert set(select_methods(["linear"])) | set(select_methods(["deep"])) == roster
    assert not set(select_methods(["linear"])) & set(select_methods(["deep"]))
    assert set(select_methods(["all"])) == roster | set(select_methods(["references"]))
    assert set(select_methods(["baselines"])) < roster


def test_methods_come_in_the_rosters_order_each_once_however_they_are_asked_for() -> None:
    assert select_methods(["sm,mcca", "drcl", "mcca", "references"]) == ["drcl", "mcca", "chance", "sm"]
    names = registry.method_names()
    assert select_methods(["m*"]) == [name for name in names if name.startswith("m")]


@pytest.mark.parametrize(("word", "near"), [("drlc", "'drcl'"), ("DRCL", "'drcl'"), ("lineer", "'linear'")])
def test_a_word_that_fits_nothing_names_the_near_ones(word: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"method '{word}'.*did you mean.*{near}"):
        select_methods([word])
    with pytest.raises(UsageError, match=r"dataset 'Wikipedia'.*'wikipedia'"):
        select_datasets(["Wikipedia"], nothing_real)


def test_groups_of_datasets() -> None:
    assert select_datasets(["real"], nothing_real) == ["emoji"]
    assert set(select_datasets(["every"], nothing_real)) == set(registry.dataset_names())
    everything = select_datasets(["all"], nothing_real)
    assert "emoji" in everything
    assert "emoji_fine" not in everything
    assert select_datasets(["emoji*", "emoji"], nothing_real) == ["emoji", "emoji_fine", "emoji_views"]


@pytest.mark.parametrize(("name", "more"), [("mine.npz", ["emoji"]), ("with space.npz", []), ("a,b.npz", [])])
def test_a_bundles_path_may_hold_spaces_and_commas(tmp_path: Path, name: str, more: list[str]) -> None:
    path = write_bundle(tmp_path / name)
    assert select_datasets([",".join([str(path), *more])], nothing_real) == [str(path.resolve()), *more]


@pytest.mark.parametrize("name", ["mien.npz", "mine", "x" * 300 + ".npz", "x" * 300 + "/mine.npz"])
def test_a_path_without_a_file_is_refused(tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path / "mine.npz")
    with pytest.raises(UsageError, match="file") as caught:
        select_datasets([str(tmp_path / name)], nothing_real)
    assert ("did you mean 'mine.npz'" in str(caught.value)) == (len(name) < 300)


def test_a_bundle_may_not_have_the_name_of_a_dataset(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "wikipedia.npz")
    with pytest.raises(UsageError, match="name"):
        select_datasets([str(path)], nothing_real)


@given(st.lists(st.integers(0, 10**9 - 1), min_size=1, max_size=20), st.integers(1, MOST_SEEDS))
def test_a_number_means_the_first_seeds_and_named_ones_are_sorted(seeds: list[int], count: int) -> None:
    assert parse_seeds(",".join(f"{seed}-{seed}" for seed in seeds)) == sorted(set(seeds))
    assert parse_seeds(str(count)) == list(range(count)) == parse_seeds(f"0-{count - 1}")
    assert parse_seeds("7, 2-4,3") == [2, 3, 4, 7]


@pytest.mark.parametrize(
    "text",
    ["", "0", "x", "-1", "3-", "5-2", "0,5-2", "1,,2", "1.5", "²", "٣", "1--2", "20240101", "0-999999999"],
)
def test_what_is_no_seed_or_too_many_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        parse_seeds(text)


@given(st.lists(st.lists(st.text("ab*", min_size=1), min_size=1), min_size=1))
def test_commas_and_repetition_mean_the_same(parts: list[list[str]]) -> None:
    assert split_words([",".join(part) for part in parts]) == [word for part in parts for word in part]
