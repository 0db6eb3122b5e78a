"""Nothing that a condition took away can be reached from what a method is given: labels, pairs, rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.conditions import conditions, parse_conditions
from bench.contract import Split
from bench.experiment.grid import Request, describe_data, plan
from bench.experiment.run_context import RunContext
from bench.experiment.running import run_cell
from tests.experiment.reachable import SEEN, Looking, holds_rows, same
from tests.grid import only_plugins, write_bundle

PLUGIN = """
from dataclasses import replace
from tests.experiment import reachable


class Looks(reachable.Looking):
    card = replace(reachable.Looking.card)
"""


def _words() -> Iterator[str]:
    for name, cls in conditions().items():
        levels = [level for level in cls.card.levels if isinstance(level, float)]
        for variant in cls.card.variants or ("",):
            head = f"{name}/{variant}" if variant else name
            if variant != "blocks":  # it needs all rows side by side
                yield f"{head}@{levels[0]:g}" if levels else f"{head}@text"


WORDS = [*_words(), "label-noise/same@.4", "few-labels/same@.1"]

Calls = list[tuple[str, Split, list[np.ndarray]]]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    folder = tmp_path_factory.mktemp("reachable")
    (folder / "looking.py").write_text(PLUGIN, encoding="utf-8")
    return {multi: _in_other_order(folder / f"{multi}.npz", multi) for multi in (False, True)}


def _in_other_order(path: Path, multi_label: bool) -> Path:
    """Write a bundle with ids whose texts are in another order than its pictures."""
    with np.load(write_bundle(path, multi_label=multi_label, rows=90, classes=5)) as file:
        arrays = {name: file[name] for name in file.files if name != "paired"}
    order = np.random.default_rng(0).permutation(90)
    for name in ("train_text", "train_text_labels"):
        arrays[name] = arrays[name][order]
    for part, count in (("train", 90), ("validation", 45), ("test", 45)):
        arrays |= {f"{part}_{name}_ids": np.arange(count) + 1000 for name in ("image", "text")}
    arrays["train_text_ids"] = order + 1000
    np.savez(path, **arrays)
    return path


def _given(bundle: Path, word: str) -> tuple[Split, Calls]:
    """Return the training rows of a bundle, and the calls of a method in a cell under a condition."""
    SEEN.clear()
    with only_plugins(bundle.with_name("looking.py")):
        names = [applied.id if applied else "" for applied in parse_conditions([word])]
        source = describe_data(str(bundle), None, "quick", None)
        (cell,) = plan(Request(["looking"], [str(bundle)], conditions=names), {str(bundle): source})
        record = run_cell(cell, RunContext()).record
    assert record.status == "done", record.failure
    return bench.load_dataset(bundle).train, [*SEEN]


def test_what_is_there_is_found(bundles: dict[bool, Path]) -> None:
    whole, ((name, _, found),) = _given(bundles[False], "clean")
    assert (name, Looking.card.name) == ("fit", "looking")
    for modality in whole.values():
        assert modality.ids is not None
        for part in (modality.features, modality.labels, modality.ids):
            assert any(same(array, part) for array in found)
        assert any(holds_rows(array, modality.features[5:6]) for array in found)


@pytest.mark.parametrize("word", WORDS)
def test_what_was_taken_away_cannot_be_reached(word: str, bundles: dict[bool, Path]) -> None:
    whole, calls = _given(bundles[word.startswith("label-noise-multi")], word)
    assert [name for name, *_ in calls] == (["fit", "extend"] if word.startswith("late") else ["fit"])
    taken = _require_out_of_reach(whole, calls)
    assert taken or word.startswith("feature-noise")


def test_features_that_are_set_to_zero_cannot_be_reached(tmp_path: Path) -> None:
    (tmp_path / "looking.py").write_text(PLUGIN, encoding="utf-8")
    whole, calls = _given(write_bundle(tmp_path / "pairs.npz"), "missing/blocks@.8")
    assert _require_out_of_reach(whole, calls) == round(0.8 * len(whole["image"]))


def test_each_of_several_late_modalities_is_out_of_reach_before_and_after_its_turn(tmp_path: Path) -> None:
    (tmp_path / "looking.py").write_text(PLUGIN, encoding="utf-8")
    bundle = write_bundle(tmp_path / "three.npz", ("image", "text", "audio"), paired=False)
    whole, calls = _given(bundle, "late@last-2")
    names = [(name, *train) for name, train, _ in calls]
    assert names == [("fit", "image"), ("extend", "text"), ("extend", "audio")]
    assert _require_out_of_reach(whole, calls) >= 2 * sum(map(len, whole.values()))


def _require_out_of_reach(whole: Split, calls: Calls) -> int:
    """Require that calls reach nothing that they were not given; returns how much that is."""
    taken = 0
    for _, train, found in calls:
        for name, before in whole.items():
            given = train.modalities.get(name)
            rows = {bytes(row) for row in given.features} if given is not None else set()
            gone = before.features[[bytes(row) not in rows for row in before.features]]
            assert not any(holds_rows(array, gone) for array in found)
            for old, new in ((before.labels, given and given.labels), (before.ids, given and given.ids)):
                if old is not None and (new is None or not same(new, old)):
                    assert not any(same(array, old) for array in found)
                    taken += 1
            taken += len(gone)
    return taken
