"""Cosine rankings on a CUDA device, with torch; imported only where one is used.

The canonical order is made on the CPU; products, sorting and bisection run on the device; the ranks of
relevant items come back.
"""

from __future__ import annotations

import numpy as np
import torch

from bench.evaluation.inputs import Indices
from bench.evaluation.ranking import Columns
from bench.evaluation.similarity import Block, Side, lift_for
from bench.evaluation.ties import Counts, Ranks, tie_groups


def cosine_on(device: str, queries: Side, gallery: Side) -> Block:
    """Return similarities as `bench.evaluation.similarity.cosine` does, computed on a torch device."""
    lift = float(lift_for(queries.rows))
    left, right, squares = (
        torch.as_tensor(values, device=device) for values in (queries.rows, gallery.rows, gallery.squares)
    )
    member = gallery.order.member
    expand = None if member is None else torch.as_tensor(member, device=device)

    def block(positions: Indices) -> torch.Tensor:
        rows = torch.as_tensor(queries.order.members(positions), device=left.device)
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")  # whatever a method trains with
        values = (left[rows] * lift) @ right.T
        torch.set_float32_matmul_precision(precision)
        values = values.mul_(values.abs()).div_(squares)
        return values if expand is None else values[:, expand]

    return block


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
