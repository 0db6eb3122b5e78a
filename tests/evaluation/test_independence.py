"""A method whose result for a row depends on other rows, or on positions, is refused; others are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.contract import Array, Modality, PluginError, Split
from bench.evaluation.independence import check_independence
from tests.evaluation.samples import AsGiven, Cubes

ROWS = np.random.default_rng(0).standard_normal((150, 4))


def split(rows: int = 150) -> Split:
    names = ("image", "text")
    return Split({name: Modality(ROWS[:rows], np.arange(rows) % 3) for name in names}, 3)


class Embeds(AsGiven):
    def __init__(self, rule: Callable[[Array], Array]) -> None:
        super().__init__()
        self._rule = rule

    def embed(self, modality: str, features: Array) -> Array:
        return self._rule(features)


class Compares(Embeds):
    """Applies the rule to its similarities."""

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        return self._rule(queries @ gallery.T)


def _where_few(change: float) -> Callable[[Array], Array]:
    """Return a rule that moves entries by a share of the largest where not all rows are asked for."""
    return lambda rows: rows + (len(rows) < 64) * change * np.abs(rows).max()


@pytest.mark.parametrize("rows", [1, 2, 150])
@pytest.mark.parametrize("method", [AsGiven(), Cubes(), Embeds(lambda rows: 0 * rows)])
def test_rows_that_are_treated_one_by_one_are_accepted(method: AsGiven, rows: int) -> None:
    check_independence(method, split(rows))


@pytest.mark.parametrize("kind", [Embeds, Compares])
@pytest.mark.parametrize(
    "rule",
    [
        lambda rows: rows - rows.mean(axis=0),
        lambda rows: rows + np.arange(len(rows))[:, None],
        lambda rows: rows + (len(rows) == 1),
    ],
)
def test_batch_statistics_positions_and_sizes_are_refused(
    kind: type[Embeds], rule: Callable[[Array], Array]
) -> None:
    with pytest.raises(PluginError, match="of image"):
        check_independence(kind(rule), split())


def test_another_width_for_fewer_rows_is_refused() -> None:
    with pytest.raises(PluginError, match="in shape"):
        check_independence(Embeds(lambda rows: rows[:, : max(1, len(rows) - 60)]), split())


def test_rounding_is_tolerated_and_more_is_not() -> None:
    check_independence(Embeds(_where_few(5e-4)), split())
    with pytest.raises(PluginError, match="by up to"):
        check_independence(Embeds(_where_few(2e-3)), split())


@pytest.mark.parametrize("kind", [Embeds, Compares])
@pytest.mark.parametrize(
    "rule",
    [
        lambda rows: rows[0],
        lambda rows: rows[:-1],
        lambda rows: np.where(np.arange(len(rows))[:, None] == 0, np.nan, rows),
    ],
)
def test_what_cannot_be_ranked_is_left_to_the_evaluation(
    kind: type[Embeds], rule: Callable[[Array], Array]
) -> None:
    check_independence(kind(rule), split())
