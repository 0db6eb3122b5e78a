"""Ranks of relevant items on a CUDA device, for measures that NumPy computes; imported only where used."""

from __future__ import annotations

import numpy as np
import torch

from bench.evaluation.device_side import DeviceSide, similarities
from bench.evaluation.ranking import Columns
from bench.evaluation.similarity import Block
from bench.evaluation.ties import Counts, Ranks, tie_groups


def compared_on(queries: DeviceSide, gallery: DeviceSide) -> Block:
    """Return similarities as `bench.evaluation.similarity.compared` does, computed on a torch device."""
    compare = similarities(queries, gallery)
    return lambda positions: compare(torch.as_tensor(positions, device=queries.rows.device))


def rank_torch(block: torch.Tensor, columns: Columns) -> Ranks:
    """Rank with torch; see `bench.evaluation.ranking.rank_numpy`."""
    chosen = columns if isinstance(columns, slice) else torch.as_tensor(columns, device=block.device)
    relevant = block[:, chosen].sort(dim=1).values
    everything = block.sort(dim=1).values
    n_gallery = block.shape[1]
    end = torch.searchsorted(everything, relevant, right=True)
    start = torch.searchsorted(everything, relevant, right=False)
    above = (n_gallery - end).flip(1)
    size = (end - start).flip(1)
    row, column = torch.nonzero(size > 1, as_tuple=True)

    def counts(values: torch.Tensor) -> Counts:
        return np.asarray(values.cpu().numpy(), dtype=np.int64)

    tied = tie_groups(*map(counts, (row, column, above[row, column], size[row, column])))
    return Ranks(counts(above), tied, n_gallery)
