"""A grid in shards: each cell in one of them, whatever is recorded, and nobody gets all that is slow."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.contract import UsageError
from bench.experiment.grid import Cell, Shard, cells_of_shard, parse_shard
from tests.records import making


def grid(methods: int, datasets: int, seeds: int) -> list[Cell]:
    """Return cells in the order of `plan`: datasets outermost, seeds innermost."""
    return [
        Cell(making.identity(seed, method=f"m{method}", dataset=f"d{dataset}"), f"d{dataset}")
        for dataset in range(datasets)
        for method in range(methods)
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("of", [1, 2, 3, 4, 6, 7, 16, 500])
@pytest.mark.parametrize("size", [(16, 6, 1), (16, 6, 5), (1, 1, 7), (3, 2, 4)])
def test_every_cell_is_in_exactly_one_shard_in_the_order_of_the_grid(
    size: tuple[int, int, int], of: int
) -> None:
    cells = grid(*size)
    shards = [cells_of_shard(cells, Shard(number, of)) for number in range(1, of + 1)]
    together = Counter(cell.identity.digest for shard in shards for cell in shard)
    assert together == Counter(cell.identity.digest for cell in cells)
    for shard in shards:
        assert shard == [cell for cell in cells if cell in shard]


@pytest.mark.parametrize("of", [2, 3, 4, 6, 8])
def test_methods_and_datasets_spread_evenly(of: int) -> None:
    cells = grid(16, 6, 1)
    for number in range(1, of + 1):
        shard = cells_of_shard(cells, Shard(number, of))
        assert abs(len(shard) - len(cells) / of) <= 2
        by_method = Counter(cell.identity.method for cell in shard)
        assert all(abs(by_method[f"m{method}"] - 6 / of) < 1 for method in range(16))
        by_dataset = Counter(cell.identity.dataset for cell in shard)
        assert all(abs(by_dataset[f"d{dataset}"] - 16 / of) < 1 for dataset in range(6))


def test_a_shard_is_read_as_it_is_written() -> None:
    assert parse_shard("2/3") == Shard(2, 3)
    assert str(Shard(2, 3)) == "shard 2/3"


@pytest.mark.parametrize(
    "text", ["5/3", "0/3", "a/b", "1", "1/0", "-1/3", "1/3/5", "1.5/3", "", "/", "1/" + "9" * 20]
)
def test_anything_else_is_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="is not one of n parts of the grid; write i/n") as caught:
        parse_shard(text)
    assert "\n" not in str(caught.value)
