"""Batch plans: every row is visited, draws depend on the stream alone, last batches follow the options."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract import Context, Modality, Split
from bench.training import AlignedPairs, ClassCovering, Independent, Joint, Plan, Rows
from bench.training.batches import cut


def split(**rows: int) -> Split:
    return Split(
        {name: Modality(np.zeros((count, 2)), np.arange(count) % 3) for name, count in rows.items()}, 3
    )


def drawn(plan: Plan, train: Split, epochs: int = 1, seed: int = 0, scope: str = "data") -> list[list[Rows]]:
    return list(islice(plan.epochs(train, Context(seed=seed, scope=(scope,)), "batches/train"), epochs))


def visited(epoch: list[Rows], name: str) -> list[int]:
    return sorted(np.concatenate([batch[name] for batch in epoch]).tolist())


@given(count=st.integers(1, 60), size=st.integers(1, 70), minimum=st.integers(1, 5))
def test_cut_keeps_every_row_once_and_no_short_rest(count: int, size: int, minimum: int) -> None:
    parts = cut(np.arange(count), size, minimum)
    assert np.concatenate(parts).tolist() == list(range(count))
    full, rest = divmod(count, size)
    assert len(parts) == max(1, full + (full > 0 and rest >= minimum))
    assert all(len(part) == size for part in parts[:-1])


@given(count=st.integers(1, 60), size=st.integers(1, 70))
def test_without_the_rest_all_batches_are_full_or_hold_everything(count: int, size: int) -> None:
    parts = cut(np.arange(count), size, keep_rest=False)
    assert all(len(part) == size for part in parts) or [len(part) for part in parts] == [count]


def test_aligned_pairs_take_the_same_rows_everywhere_in_a_new_order_each_epoch_unless_unshuffled() -> None:
    train = split(image=10, text=10)
    first, second = drawn(AlignedPairs(4), train, epochs=2)
    for epoch in (first, second):
        assert visited(epoch, "image") == list(range(10))
        assert all(np.array_equal(batch["image"], batch["text"]) for batch in epoch)
    assert not all(np.array_equal(a["image"], b["image"]) for a, b in zip(first, second, strict=True))
    (epoch,) = drawn(AlignedPairs(4, shuffle=False), train)
    assert np.concatenate([batch["text"] for batch in epoch]).tolist() == list(range(10))


def test_a_lone_modality_is_visited_as_beside_others() -> None:
    alone = drawn(Independent(4, ("image",)), split(image=10, text=10))
    beside = drawn(Independent(4), split(image=10, text=10))
    assert [b["image"].tolist() for b in alone[0]] == [b["image"].tolist() for b in beside[0]]
    assert [b["image"].tolist() for b in beside[0]] != [b["text"].tolist() for b in beside[0]]


@pytest.mark.parametrize(
    ("length", "count", "whole", "rows"), [("longest", 5, "image", 18), ("shortest", 2, "text", 7)]
)
def test_independent_epochs_end_with_the_longest_or_the_shortest(
    length: Any, count: int, whole: str, rows: int
) -> None:
    epochs = drawn(Independent(4, length=length), split(image=18, text=7), epochs=3)
    assert [len(epoch) for epoch in epochs] == [count] * 3
    assert visited(epochs[2], whole) == list(range(rows))


@settings(max_examples=40, deadline=None)
@given(
    classes=st.lists(st.integers(0, 4), min_size=5, max_size=60),
    size=st.integers(1, 30),
)
def test_class_covering_batches_hold_every_class_and_visit_every_row(classes: list[int], size: int) -> None:
    labels = np.array(classes)
    modality = Modality(np.zeros((len(labels), 2)), labels)
    train = Split({"image": modality, "text": modality}, 6)
    for epoch in drawn(ClassCovering(size), train, epochs=2):
        for name in train:
            assert set(visited(epoch, name)) == set(range(len(labels)))
        for batch in epoch:
            for label in set(classes):
                assert (labels[batch["image"]] == label).any()


def test_class_covering_counts_every_class_of_a_sample() -> None:
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0]])
    modality = Modality(np.zeros((6, 2)), labels)
    (epoch,) = drawn(ClassCovering(2), Split({"image": modality, "text": modality}, 3))
    assert len(epoch) == 3
    assert all(labels[batch["text"]].any(axis=0).all() for batch in epoch)


def test_draws_depend_on_scope_seed_and_stream_alone() -> None:
    train, plan = split(image=30, text=30), AlignedPairs(30)
    order = drawn(plan, train)[0][0]["image"].tolist()
    assert drawn(plan, train)[0][0]["image"].tolist() == order
    assert drawn(plan, train, seed=1)[0][0]["image"].tolist() != order
    assert drawn(plan, train, scope="other")[0][0]["image"].tolist() != order


def test_joint_batches_are_pairs_where_there_are_pairs_and_independent_elsewhere() -> None:
    plan, loose = Joint(4, minimum=2), split(image=9, text=9)
    paired = Split(loose.modalities, 3, "natural")
    for train, same in ((paired, AlignedPairs(4, minimum=2)), (loose, Independent(4, minimum=2))):
        found, expected = (
            [{name: rows.tolist() for name, rows in batch.items()} for batch in drawn(each, train)[0]]
            for each in (plan, same)
        )
        assert found == expected
