"""The embedded sets `icons` (multi-label) and `emoji_views` (five modalities, ids, unequal counts)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bench.contract import Dataset
from bench.data import load_dataset
from datasets.emoji import Emoji
from datasets.emoji_views import EmojiViews
from datasets.icons import LEAST, Icons


@pytest.fixture(scope="module")
def icons() -> Dataset:
    return load_dataset(Icons, profile="paper")


@pytest.fixture(scope="module")
def views() -> Dataset:
    return load_dataset(EmojiViews, profile="paper")


def test_icons_have_several_tags_all_in_every_part(icons: Dataset) -> None:
    assert (icons.kind, icons.train.multi_label, icons.n_classes) == ("real", True, 53)
    splits = (icons.train, icons.validation, icons.test)
    labels = [split["image"].labels for split in splits]
    assert sum(map(len, labels)) == 5327
    assert sum((one.sum(axis=1) > 1).sum() for one in labels) == 1332
    assert min(sum(one.sum(axis=0, dtype=int) for one in labels)) >= LEAST
    assert labels[0].sum(axis=0).min() >= 5
    assert labels[2].sum(axis=0).min() >= 4
    for split in splits:
        assert split.pairing == "natural"


def test_texts_and_pictures_of_icons_belong_to_the_test_rows(icons: Dataset) -> None:
    texts, pictures = icons.items.shown["text"], icons.items.shown["image"]
    assert len(texts) == len(pictures) == len(icons.test["text"])
    named = [i for i, text in enumerate(texts) if "airplane" in text]
    flying = [icons.items.classes.index(name) for name in icons.items.classes if "Flying" in name]
    assert icons.test["text"].labels[named][:, flying].mean() > 0.5


def test_views_have_unequal_counts_and_correspond_by_ids(views: Dataset) -> None:
    assert views.modalities == ("image", "text", "drawing", "japanese", "speech")
    counts = {
        name: sum(len(split[name]) for split in (views.train, views.validation, views.test))
        for name in views.modalities
    }
    assert counts == {"image": 1895, "text": 1895, "drawing": 1586, "japanese": 1572, "speech": 1895}
    for split in (views.train, views.validation, views.test):
        assert split.pairing == "partial"
        for a, b in combinations(views.modalities, 2):
            left, right = split.pairs(a, b)
            assert len(left) > 0.6 * min(len(split[a]), len(split[b]))
            np.testing.assert_array_equal(split[a].labels[left], split[b].labels[right])


def test_no_emoji_is_in_two_parts_and_the_test_rows_are_those_of_emoji(views: Dataset) -> None:
    parts = [
        {int(one) for name in views.modalities for one in split[name].ids}  # type: ignore[union-attr]
        for split in (views.train, views.validation, views.test)
    ]
    assert not any(a & b for a, b in combinations(parts, 2))
    emoji = load_dataset(Emoji, profile="paper")
    for name in ("image", "text"):
        np.testing.assert_array_equal(views.test[name].features, emoji.test[name].features)
        np.testing.assert_array_equal(views.test[name].labels, emoji.test[name].labels)


def test_items_of_views_belong_to_the_test_rows(views: Dataset) -> None:
    shown = views.items.shown
    assert {name: len(items) for name, items in shown.items()} == {
        name: len(views.test[name]) for name in views.modalities
    }
    spoken, japanese = views.test["speech"].ids, views.test["japanese"].ids
    assert spoken is not None
    assert japanese is not None
    row = list(shown["speech"]).index("mushroom")
    assert "キノコ" in shown["japanese"][int(np.flatnonzero(japanese == spoken[row])[0])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"),
    [("image", 0.75), ("text", 0.88), ("drawing", 0.45), ("japanese", 0.76), ("speech", 0.45)],
)
def test_every_view_knows_something_of_the_classes(name: str, least: float, views: Dataset) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=400))
    learned = [
        np.concatenate([getattr(split[name], key) for split in (views.train, views.validation)])
        for key in ("features", "labels")
    ]
    test = views.test[name]
    assert model.fit(*learned).score(test.features, test.labels) >= least
