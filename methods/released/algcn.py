"""ALGCN as released: P(i|j) instead of P(j|i), a transposed graph, and counts of shared labels."""

from torch import Tensor

from .. import algcn


class ALGCN(algcn.ALGCN):
    """Adaptive label-aware graph convolutional networks, as released."""

    counted = True

    def neighbours(self, counts: Tensor) -> Tensor:
        """Divide common occurrences by those of the column's class."""
        return super().neighbours(counts).T.contiguous()

    def normalised(self, adjacency: Tensor) -> Tensor:
        """Transpose the normalised graph."""
        return super().normalised(adjacency).T
