"""MCCA: directions of maximal correlation between paired modalities, whatever their classes."""

from dataclasses import dataclass

import numpy as np

from bench import linear as t


@dataclass(frozen=True)
class MCCASettings(t.LinearSettings):
    """Settings of MCCA. The comparisons that report it state none."""

    components: int | None = t.setting(None, "width of the common space; None for classes minus one", "ours")
    shrinkage: float = t.setting(
        0.1,
        "c in (1 - c) C_vv + c I: 0 is MCCA as first defined, 1 is partial least squares",
        "ours: without it more features than rows give training correlations of 1",
    )
    eigenvalue_power: float = t.setting(
        0.0,
        "p of the column weights lambda^p; 1 to 4 favour well-correlated directions",
        "0 as first defined; others: Gong et al., IJCV 2014",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.shrinkage <= 1.0:
            raise ValueError(f"shrinkage must lie in [0, 1], not {self.shrinkage}")
        if self.eigenvalue_power < 0.0:
            raise ValueError(f"eigenvalue_power must not be negative: {self.eigenvalue_power}")


class MCCA(t.LinearMethod):
    """Multiset canonical correlation analysis, sum-of-correlations form."""

    card = t.card("mcca")
    Settings = MCCASettings
    settings: MCCASettings
    search = {
        "components": (5, 10, 20, 50, None),
        "pca_limit": (50, 100, 200, None),
        "scaling": ("standard", "unit"),
        "shrinkage": (0.0, 0.01, 0.1, 0.5, 1.0),
    }

    def solve(self, moments: t.Moments) -> t.Eigenpairs:
        """Solve ``A w = lambda B w``: A has the covariances between modalities, B the shrunk ones within.

        The columns are scaled to ``w^T B w = V``, so that every modality has unit variance on average, and
        weighted by ``lambda^p``; a direction of no correlation counts nothing unless p is 0.
        """
        s, names = self.settings, moments.names
        shared = min(moments.rows.values()) - 1
        index = {name: position for position, name in enumerate(names)}
        between = {(index[u], index[v]): block / shared for (u, v), block in moments.cross.items()}
        variances = np.concatenate([moments.axes[name].spectrum for name in names]) / shared
        wanted = s.components or max(1, len(moments.counts[names[0]]) - 1)
        pairs = t.top_eigenpairs(
            t.assemble(between, moments.sizes),
            (1.0 - s.shrinkage) * variances + s.shrinkage,
            min(wanted, *moments.sizes),
        )
        emphasis = np.maximum(pairs.values, 0.0) ** s.eigenvalue_power
        return t.Eigenpairs(pairs.values, pairs.vectors * np.sqrt(len(names)) * emphasis)
