"""The same ranking with torch, for embeddings that live on a CUDA device.

Imported only where a tensor of such a device was passed. The arrangement is made on the CPU; products,
sorting and bisection run on the device; places of relevant items come back.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from bench.evaluation.arrays import Indices
from bench.evaluation.ranking import Columns, Counts, Ranks
from bench.evaluation.similarity import Side, Similarities, lift_for
from bench.evaluation.ties import tie_groups


class DeviceCosineSimilarities(Similarities):
    """Signed squared cosines, as `CosineSimilarities`, on a torch device."""

    def __init__(self, queries: Side, gallery: Side, device: str) -> None:
        """Move both sides to ``device``."""
        self._arrangement = queries.arrangement
        self._lift = float(lift_for(queries.rows))
        self._queries = torch.as_tensor(queries.rows, device=device)
        self._gallery = self._queries if gallery is queries else torch.as_tensor(gallery.rows, device=device)
        self._squares = torch.as_tensor(gallery.squares, device=device)
        member = gallery.arrangement.member
        self._member = None if member is None else torch.as_tensor(member, device=device)

    def block(self, places: Indices) -> torch.Tensor:
        """Return signed squared cosines ``(b, n)``, up to a positive factor per query."""
        rows = torch.as_tensor(self._arrangement.members(places), device=self._queries.device)
        block = (self._queries[rows] * self._lift) @ self._gallery.T
        block = block.mul_(block.abs()).div_(self._squares)
        return block if self._member is None else block[:, self._member]


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
    tied = (row, column, above[row, column], size[row, column])
    return Ranks(_counts(above), tie_groups(*map(_counts, tied)), n_gallery)


def _counts(values: torch.Tensor) -> Counts:
    return cast("Counts", np.asarray(values.cpu().numpy(), dtype=np.int64))
