"""Look-alikes: the card's shapes, classes everywhere, reproducible bytes, a plausible difficulty."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from bench.contract import Character, DatasetCard, Fact, ModalityCard, Split, UsageError
from bench.data import look_alike
from bench.data.look_alike import (
    AMBIGUOUS,
    CONTENT,
    DEVIATION,
    DRAW,
    MODES,
    NEAR,
    _draw_classes,
    _draw_content,
    rule_digest,
)
from bench.data.partition import QUICK_LOOK_ALIKE, RowLimits
from datasets.inria_websearch import InriaWebsearch
from datasets.nus_wide import NusWide
from datasets.wikipedia import Wikipedia
from datasets.xmedia import XMedia
from datasets.xmedianet import XMediaNet

BENCHMARKS = [Wikipedia.card, NusWide.card, InriaWebsearch.card, XMedia.card, XMediaNet.card]


def card(classes: int = 6, *, paired: bool = True, multi_label: bool = False, rows: int = 400) -> DatasetCard:
    characters: tuple[Character, ...] = ("sparse", "counts", "topics", "dense")
    modalities = tuple(
        ModalityCard(
            name,
            Fact("made up", "confirmed"),
            dimension=Fact(40, "confirmed"),
            rows=Fact((rows, 60, 120), "confirmed"),
            character=name,
        )
        for name in characters
    )
    return DatasetCard(
        "tiny",
        "Tiny",
        modalities,
        Fact(classes, "confirmed"),
        "none",
        "none",
        paired=Fact(paired, "confirmed"),
        multi_label=multi_label,
        has_look_alike=True,
    )


def nearest_mean_accuracy(train: Split, test: Split, name: str) -> float:
    x, y = train[name].features, train[name].labels
    scale = x.std(axis=0) + 1e-6
    means = np.stack([x[y == c].mean(axis=0) for c in range(train.n_classes)])
    nearest = cdist(test[name].features / scale, means / scale).argmin(axis=1)
    return float((nearest == test[name].labels).mean())


@pytest.mark.parametrize("benchmark_card", BENCHMARKS, ids=lambda found: found.name)
def test_quick_look_alikes_have_the_card_s_modalities_every_class_and_a_plausible_difficulty(
    benchmark_card: DatasetCard,
) -> None:
    splits = look_alike(benchmark_card, QUICK_LOOK_ALIKE)
    classes = min(benchmark_card.n_classes.value, QUICK_LOOK_ALIKE.classes)
    limits = QUICK_LOOK_ALIKE.rows(classes)
    for index, part in enumerate(("train", "validation", "test")):
        split = splits[part]
        assert tuple(split) == tuple(modality.name for modality in benchmark_card.modalities)
        assert split.paired == benchmark_card.paired.value
        for modality in benchmark_card.modalities:
            found = split[modality.name]
            assert modality.rows.value is not None
            width = min(modality.dimension.value or 512, QUICK_LOOK_ALIKE.dimension)
            assert found.features.shape == (min(modality.rows.value[index], limits[part]), width)
            assert found.features.dtype == np.float32
            assert found.features.flags.c_contiguous
            assert np.isfinite(found.features).all()
            assert found.features.any(axis=1).all()
            assert set(found.labels) == set(range(classes)) == set(range(split.n_classes))
    for modality in benchmark_card.modalities:
        accuracy = nearest_mean_accuracy(splits["train"], splits["test"], modality.name)
        assert 2.5 / classes < accuracy < 0.7


def test_without_limits_the_card_s_sizes_are_generated_and_stated_ones_where_it_has_none() -> None:
    splits = look_alike(card(30))
    assert set(splits["test"]["sparse"].labels) == set(range(30))
    assert splits["train"]["sparse"].features.shape == (400, 40)
    unknown = replace(card().modalities[0], dimension=Fact(None, "doubtful"), rows=Fact(None, "doubtful"))
    train = look_alike(replace(card(), modalities=(unknown,)))["train"]
    assert train["sparse"].features.shape == (1000, 512)


def test_the_same_rule_gives_the_same_bytes() -> None:
    """A change of this digest needs a new VERSION: records tell look-alikes apart by it."""
    content = hashlib.sha256()
    for split in look_alike(card(), RowLimits(50, 20, 30, 16)).values():
        for modality in split.values():
            content.update(modality.features.tobytes())
            content.update(modality.labels.tobytes())
    assert content.hexdigest() == "1675ed6f6271a7d26d69263e1d73b841317a43469b38e776271cbda36afa804a"


def test_the_rule_s_digest_changes_with_whatever_decides_the_bytes() -> None:
    digests = [
        rule_digest(card()),
        rule_digest(card(), QUICK_LOOK_ALIKE),
        rule_digest(card(), replace(QUICK_LOOK_ALIKE, test=499)),
        rule_digest(card(7)),
        rule_digest(card(paired=False)),
        rule_digest(card(multi_label=True)),
        rule_digest(card(rows=401)),
        rule_digest(replace(card(), name="other")),
    ]
    assert len(set(digests)) == len(digests)
    assert rule_digest(card()) == rule_digest(replace(card(), title="words change no byte"))


def test_the_environment_may_state_another_draw_which_is_other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, digest = look_alike(card())["test"]["dense"].features, rule_digest(card())
    monkeypatch.setenv("BENCH_LOOK_ALIKE_DRAW", str(DRAW))
    assert rule_digest(card()) == digest
    monkeypatch.setenv("BENCH_LOOK_ALIKE_DRAW", "21")
    assert rule_digest(card()) != digest
    assert not np.array_equal(look_alike(card())["test"]["dense"].features, usual)


@pytest.mark.parametrize("given", ["x", "-1", "2.5", "1" * 10, "²"])
def test_a_draw_that_is_no_whole_number_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("BENCH_LOOK_ALIKE_DRAW", given)
    with pytest.raises(UsageError, match="BENCH_LOOK_ALIKE_DRAW"):
        look_alike(card())


def test_features_have_the_character_of_their_kind() -> None:
    train = look_alike(card())["train"]
    sparse, counts, topics = (train[name].features for name in ("sparse", "counts", "topics"))
    assert sparse.min() == 0
    assert 0.1 < (sparse > 0).mean() < 0.6
    np.testing.assert_array_equal(counts, np.floor(counts))
    assert counts.min() == 0
    np.testing.assert_allclose(topics.sum(axis=1), 1, rtol=1e-5)
    assert topics.min() > 0
    assert train["dense"].features.min() < 0


def residual_agreement(train: Split) -> float:
    """Share of one modality's variation within a class that another modality explains."""
    within = []
    for part in (train["dense"], train["sparse"]):
        rows = [part.features[part.labels == c].astype(float) for c in range(6)]
        within.append(np.concatenate([group - group.mean(axis=0) for group in rows]))
    order = np.random.default_rng(0).permutation(len(within[0]))
    (fit, left), (fitted, right) = (np.array_split(rows[order], 2) for rows in within)
    residual = right - left @ np.linalg.lstsq(fit, fitted, rcond=None)[0]
    return float(1 - (residual**2).sum() / (right**2).sum())


def test_paired_rows_show_the_same_instance_and_unpaired_rows_do_not() -> None:
    assert residual_agreement(look_alike(card(rows=3000))["train"]) > 0.1
    unpaired = look_alike(card(paired=False, rows=3000))["train"]
    assert unpaired.pairing == "none"
    assert not np.array_equal(unpaired["dense"].labels, unpaired["sparse"].labels)
    sorted_rows = {name: np.argsort(unpaired[name].labels, kind="stable") for name in unpaired}
    assert residual_agreement(unpaired.take(sorted_rows)) < 0.02


def test_classes_of_one_super_class_lie_nearer_to_each_other() -> None:
    classes = _draw_classes(card(60), 60)
    centres = classes.modes.mean(axis=1)
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    same = classes.super_class[:, None] == classes.super_class[None]
    np.fill_diagonal(same, False)
    off = ~np.eye(60, dtype=bool)
    assert distance[same].mean() < 0.95 * distance[~same & off].mean()


def test_ambiguous_samples_lie_between_modes_of_two_classes() -> None:
    classes = _draw_classes(card(12), 12)
    modes = classes.modes.reshape(-1, CONTENT)
    for mode, near in enumerate(classes.near.reshape(-1, NEAR)):
        assert (near // MODES != mode // MODES).all()
        others = np.flatnonzero(np.arange(len(modes)) // MODES != mode // MODES)
        distance = np.linalg.norm(modes - modes[mode], axis=1)
        assert set(near) == set(others[np.argsort(distance[others])[:NEAR]])
    labels = np.arange(3000) % 12
    content = _draw_content(classes, labels, np.random.default_rng(0))
    distance = np.linalg.norm(content[:, None] - classes.modes[labels], axis=2).min(axis=1)
    assert (distance > 4 * DEVIATION).mean() == pytest.approx(AMBIGUOUS, abs=0.1)


def test_a_class_has_modes_that_the_nearest_of_them_classifies_better_than_its_mean() -> None:
    classes = _draw_classes(card(10), 10)
    labels = np.arange(2000) % 10
    content = _draw_content(classes, labels, np.random.default_rng(0))

    def share_right(centres: np.ndarray) -> float:
        found = np.linalg.norm(content[:, None] - centres.reshape(-1, CONTENT), axis=2).argmin(axis=1)
        return float((found // (len(centres.reshape(-1, CONTENT)) // 10) == labels).mean())

    assert share_right(classes.modes) > share_right(classes.modes.mean(axis=1)) + 0.08


def test_multi_label_look_alikes_have_one_or_two_classes_per_row() -> None:
    train = look_alike(card(multi_label=True))["train"]
    assert train.multi_label
    assert set(train["dense"].labels.sum(axis=1)) == {1, 2}
    assert train["dense"].labels.any(axis=0).all()
