"""A method whose result for a row depends on other rows, or on positions, is refused; others are not."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from bench.contract import Array, Modality, PluginError, Split
from bench.evaluation.independence import check_independence
from tests.evaluation.samples import AsGiven, Cubes, Embeds

ROWS = np.random.default_rng(0).standard_normal((150, 4))
Rule = Callable[[Array], Array]


class Compares(Embeds):
    """Applies the rule to its similarities."""

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        return self.rule(queries @ gallery.T)


def check(method: AsGiven, rows: int = 150) -> None:
    part = Modality(ROWS[:rows], np.arange(rows) % 3)
    check_independence(method, Split({"image": part, "text": part}, 3))


def _where_few(change: float) -> Rule:
    """Return a rule that moves entries by a share of the largest where not all rows are given."""
    return lambda rows: rows + (len(rows) < 64) * change * np.abs(rows).max()


@pytest.mark.parametrize("rows", [1, 2, 150])
@pytest.mark.parametrize(
    "method", [AsGiven(), Cubes(), Embeds(lambda rows: 0 * rows), Embeds(_where_few(5e-4))]
)
def test_rows_that_are_treated_one_by_one_are_accepted_up_to_rounding(method: AsGiven, rows: int) -> None:
    check(method, rows)


@pytest.mark.parametrize("kind", [Embeds, Compares])
@pytest.mark.parametrize(
    "rule",
    [
        lambda rows: rows - rows.mean(axis=0),
        lambda rows: rows + np.arange(len(rows))[:, None],
        lambda rows: rows + (len(rows) == 1),
        lambda rows: np.where(len(rows) == 1, np.nan, rows),
        lambda rows: np.where(np.arange(len(rows))[:, None] == len(rows) // 3, -np.inf, rows),
        _where_few(2e-3),
    ],
)
def test_batch_statistics_positions_and_sizes_are_refused(kind: type[Embeds], rule: Rule) -> None:
    with pytest.raises(PluginError, match="of image"):
        check(kind(rule))


def test_a_large_constant_column_hides_nothing() -> None:
    check(Embeds(lambda rows: np.c_[rows, np.full(len(rows), 5e3)]))
    with pytest.raises(PluginError, match="of image"):
        check(Embeds(lambda rows: np.c_[rows - rows.mean(axis=0), np.full(len(rows), 5e3)]))


def _shifted(rows: Array) -> Array:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch: the array is not writable
        shared = torch.from_numpy(rows)
    shared -= 1.0
    return np.asarray(shared.numpy().copy())


class WritesAndCompares(AsGiven):
    """Shifts its queries in place before it compares them."""

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        return np.asarray(_shifted(queries) @ gallery.T)


@pytest.mark.parametrize("method", [Embeds(_shifted), WritesAndCompares()])
def test_features_that_are_changed_in_place_are_named_as_the_reason(method: AsGiven) -> None:
    with pytest.raises(PluginError, match=r"image.*copy"):
        check(method)


def test_another_width_for_fewer_rows_is_refused() -> None:
    with pytest.raises(PluginError, match="shape"):
        check(Embeds(lambda rows: rows[:, : max(1, len(rows) - 60)]))


@pytest.mark.parametrize("kind", [Embeds, Compares])
@pytest.mark.parametrize(
    "rule",
    [
        lambda rows: rows[0],
        lambda rows: rows[:-1],
        lambda rows: np.where(np.arange(len(rows))[:, None] == 0, np.nan, rows),
    ],
)
def test_what_cannot_be_ranked_is_left_to_the_evaluation(kind: type[Embeds], rule: Rule) -> None:
    check(kind(rule))
