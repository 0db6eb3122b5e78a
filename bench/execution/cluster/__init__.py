"""Tasks on a Dask cluster that somebody else has started: its worker resources are the slots.

`connection` reaches the scheduler and refuses workers that do not fit, `dispatch` hands tasks out, and
`guest` is what runs inside a Dask worker. Dask is imported when a cluster is opened; nothing here brings
torch.
"""

from bench.execution.cluster.connection import Cluster, open_cluster
from bench.execution.cluster.dispatch import cluster_executor

__all__ = ["Cluster", "cluster_executor", "open_cluster"]
