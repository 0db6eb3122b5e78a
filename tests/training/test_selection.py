"""Selection rules: decided from the trace, and never by something that is not a number."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bench.training import BY_LOSS, BY_MAP, LAST
from bench.training.selection import Row


@given(st.lists(st.floats(0, 1) | st.just(math.nan) | st.none(), min_size=1))
def test_the_first_of_the_highest_maps_is_chosen(values: list[float | None]) -> None:
    rows = [{"validation_map": value} for value in values]
    numbers = [-1.0 if value is None or math.isnan(value) else value for value in values]
    assert BY_MAP.choose(rows, ("a", "b")) == dict.fromkeys("ab", 1 + numbers.index(max(numbers)))


def test_losses_are_chosen_per_track_and_least() -> None:
    rows = [
        {"validation_loss/a": 3.0, "validation_loss/b": 1.0},
        {"validation_loss/a": 2.0, "validation_loss/b": math.inf},
    ]
    assert BY_LOSS.choose(rows, ("a", "b")) == {"a": 2, "b": 1}
    assert BY_LOSS.values(rows, ("a", "b")) == {"a": 2.0, "b": 1.0}


def test_an_epoch_that_could_not_be_ranked_is_not_chosen_by_its_loss() -> None:
    rows: list[Row] = [
        {"validation_loss/a": 3.0, "validation_map": 0.5},
        {"validation_loss/a": 2.0, "validation_map": 0.2},
        {"validation_loss/a": 1.0, "validation_map": None},
    ]
    assert BY_LOSS.choose(rows, ("a",)) == {"a": 2}
    assert replace(BY_LOSS, rankable=False).choose(rows, ("a",)) == {"a": 3}
    unscored: list[Row] = [{"validation_loss/a": row["validation_loss/a"]} for row in rows]
    assert BY_LOSS.choose(unscored, ("a",)) == {"a": 3}


def test_the_last_epoch_compares_nothing() -> None:
    assert LAST.choose([{}, {}, {}], ("a",)) == {"a": 3}
    assert LAST.values([{}], ("a",)) is None
