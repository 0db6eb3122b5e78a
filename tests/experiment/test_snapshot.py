"""Snapshots: the curves of the evaluation, the same rows for every method, and a bounded size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import Context, create_method, load_dataset
from bench.contract import Dataset, Items, Method, Modality, Split
from bench.evaluation import evaluate, precision_at_k, precision_recall
from bench.experiment.snapshot import LEVELS, MEASURES, classes_of, snapshot_of
from bench.records.snapshot import Snapshot, encode_snapshot
from tests.experiment.running import done, run, seen
from tests.grid import write_bundle
from tests.wording import mentions

pytestmark = pytest.mark.usefixtures("faults")


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return a dataset of five modalities that are no pairs, with more rows than are ever kept."""
    random = np.random.default_rng(0)
    names = ("image", "text", "audio", "3d", "video")
    parts = [
        Split(
            {
                name: Modality(random.standard_normal((rows, 40)), np.arange(rows) * 7 % 15)
                for name, rows in zip(names, (900, 700, 300, 40, 60), strict=True)
            },
            15,
        )
        for _ in range(3)
    ]
    card = load_dataset("emoji").card
    return Dataset("five", card, parts[0], parts[1], "real", "f", "standard", lambda: parts[2])


def view_by(name: str, dataset: Dataset, **settings: Any) -> tuple[Method, Snapshot]:
    method = create_method(name, **settings)
    method.fit(dataset.train, dataset.validation, Context(seed=0))
    evaluation = evaluate(method, dataset.test, ["map@all"], measures=MEASURES)
    return method, snapshot_of(method, dataset, evaluation)


def test_the_curves_are_means_of_those_of_the_evaluation(small: Path) -> None:
    view, test = seen(run("plain", small)), load_dataset(small).test
    assert [(one.query, one.gallery) for one in view.curves] == [("image", "text"), ("text", "image")]
    for one in view.curves:
        sides = [test[name] for name in (one.query, one.gallery)]
        left, right = (side.features[:, :4] + 10.0 for side in sides)
        given = left, right, sides[0].labels, sides[1].labels
        assert one.ranks.tolist() == [1, 2, 5, 10, 20]  # of a gallery of 30
        expected = precision_at_k(*given, one.ranks.tolist()).mean(axis=0)
        np.testing.assert_allclose(one.precision, expected, atol=1e-12)
        np.testing.assert_allclose(
            one.interpolated, precision_recall(*given, LEVELS).mean(axis=0), atol=1e-12
        )


def test_the_first_results_are_those_of_the_ranking_that_is_measured(small: Path) -> None:
    finished, test = run("plain", small), load_dataset(small).test
    for one in seen(finished).galleries:
        left, right = (test[name].features[:, :4] + 10.0 for name in (one.query, one.gallery))
        cosine = (left @ right.T) / np.linalg.norm(left, axis=1)[:, None] / np.linalg.norm(right, axis=1)
        assert one.results.shape == (12, 10)
        np.testing.assert_array_equal(one.results, np.argsort(-cosine[one.rows], axis=1)[:, :10])
        same = test[one.query].labels[one.rows][:, None] == test[one.gallery].labels[one.results]
        np.testing.assert_array_equal(one.relevant, same)
        ap = finished.per_query["none", "map@all", one.query, one.gallery]
        np.testing.assert_array_equal(one.ap, ap[one.rows])


def test_the_same_cell_gives_the_same_bytes_and_methods_get_the_same_rows(small: Path) -> None:
    first, second = (seen(run("sdml", small, epochs=2)) for _ in range(2))
    assert encode_snapshot(first) == encode_snapshot(second)
    other = seen(run("plain", small))
    assert first.space is not None
    assert other.space is not None
    for name in ("image", "text"):
        np.testing.assert_array_equal(first.space.rows[name], other.space.rows[name])
    for mine, theirs in zip(first.galleries, other.galleries, strict=True):
        np.testing.assert_array_equal(mine.rows, theirs.rows)
    # these rows are pairs
    np.testing.assert_array_equal(first.space.rows["image"], first.space.rows["text"])
    np.testing.assert_array_equal(first.galleries[0].rows, first.galleries[1].rows)


def test_the_shown_state_is_the_selected_one_whatever_was_evaluated_last(small: Path) -> None:
    finished = run("sdml", small, epochs=4)
    galleries = seen(finished).galleries
    assert [gallery.query for gallery in galleries] == ["image", "text"]
    for gallery in galleries:
        ap = finished.per_query["best", "map@all", gallery.query, gallery.gallery]
        np.testing.assert_array_equal(gallery.ap, ap[gallery.rows])


def test_distances_of_the_sample_are_those_between_unit_embeddings_in_the_space(small: Path) -> None:
    view, test = seen(run("plain", small)), load_dataset(small).test
    assert view.space is not None
    assert view.space.explained == pytest.approx(1.0)
    rows = np.concatenate([test[name].features[:, :4] + 10.0 for name in ("image", "text")])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    points = np.concatenate(list(view.space.points.values()))
    expected = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(points[:, None] - points[None], axis=2), expected, atol=1e-6)
    for name in ("image", "text"):
        np.testing.assert_array_equal(view.space.classes[name], test[name].labels[view.space.rows[name]])


def test_what_is_kept_is_bounded_for_five_modalities_and_many_rows(five: Dataset) -> None:
    _, view = view_by("chance", five)
    assert view.space is not None
    chosen = np.unique(np.concatenate(list(view.space.classes.values())))
    assert len(chosen) == 10  # of 15
    counts = {name: len(rows) for name, rows in view.space.rows.items()}
    few = {name: int(np.isin(five.test[name].labels, chosen).sum()) for name in ("3d", "video")}
    assert counts == {"image": 80, "text": 80, "audio": 80, **few}
    assert len(view.curves) == len(view.galleries) == 20
    assert len(encode_snapshot(view)) < 100_000
    for one in view.galleries:  # queries are spread over the classes
        classes = five.test[one.query].labels[one.rows]
        assert len(set(classes.tolist())) == len(classes) == 6


def test_a_learned_similarity_ranks_the_gallery_and_has_no_map(small: Path) -> None:
    dataset = load_dataset(small)
    method, view = view_by("drsl", dataset, epochs=1)
    assert view.space is None
    assert "similarity" in view.no_space
    assert seen(run("drsl", small, epochs=1)).space is None
    for one in view.galleries:
        left, right = dataset.test[one.query].features[one.rows], dataset.test[one.gallery].features
        scores = method.similarity(one.query, left, one.gallery, right)
        np.testing.assert_array_equal(one.results, np.argsort(-scores, axis=1, kind="stable")[:, :10])


def test_of_several_classes_the_rarest_is_shown_and_any_shared_one_is_relevant(tmp_path: Path) -> None:
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 1, 0]])
    assert classes_of(labels).tolist() == [1, 0, 2, 0, 1]
    multi = write_bundle(tmp_path / "multi.npz", multi_label=True)
    test = load_dataset(multi).test
    for one in seen(run("plain", multi)).galleries:
        shared = test[one.query].labels[one.rows] @ test[one.gallery].labels.T > 0
        np.testing.assert_array_equal(one.relevant, np.take_along_axis(shared, one.results, axis=1))


def test_what_the_dataset_shows_of_the_rows_is_kept_with_them() -> None:
    dataset = load_dataset("emoji")
    _, view = view_by("chance", dataset)
    assert view.class_names[3] == "Food & Drink"
    assert len(encode_snapshot(view)) < 120_000
    texts, pictures = view.details["text"], view.details["image"]
    assert texts.texts is not None
    shown = dataset.items.shown
    for row, text in zip(texts.rows, texts.texts, strict=True):
        whole = shown["text"][row]
        assert text == whole or (len(text) == 120 and str(whole).startswith(text[:-1]) and text[-1] == "…")
    errors = [
        np.abs(np.asarray(shown["image"][row], float) - pictures.picture(number)).mean()
        for number, row in enumerate(pictures.rows)
    ]
    assert max(errors) < 12  # of 255: few colours, but those of the picture


def test_what_cannot_be_drawn_costs_no_number(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: Any, **more: Any) -> Dataset:
        return replace(load_dataset(*arguments, **more), open_items=lambda: Items({"text": [1]}))  # type: ignore[list-item]

    monkeypatch.setattr("bench.experiment.cell.load_dataset", load)
    finished = run("plain", small)
    assert finished.view is None
    assert mentions(finished.log, "drawn ... cell")
    assert done(finished).snapshot_error.startswith("PluginError: the items of 'text'")
    assert run("raises", small).view is None
