"""GNN4CMR as released: P(i|j) instead of P(j|i) in the graph of labels, which is transposed."""

from torch import Tensor

from bench import training as t

from .. import gnn4cmr


class GNN4CMR(gnn4cmr.GNN4CMR):
    """Dual adversarial graph neural networks, as released."""

    def label_graph(self, counts: Tensor) -> Tensor:
        """Divide common occurrences by those of the column's class, and transpose the normalised graph."""
        shares = t.correlations(counts, self.settings.threshold).T.contiguous()
        return t.normalised(shares).T
