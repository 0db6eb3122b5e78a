"""MCCA: directions of maximal correlation between paired modalities, whatever their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bench.contract import MethodCard
from bench.linear import Eigenpairs, LinearMethod, LinearSettings, Matrix, Moments, assemble, top_eigenpairs


@dataclass(frozen=True)
class MCCASettings(LinearSettings):
    """Settings of MCCA. The comparisons that report it state none, so the defaults are ours where marked.

    Attributes:
        components: dimensions of the common space; None for the number of classes minus one (ours).
        shrinkage: c in ``(1 - c) C_vv + c I``: 0 is MCCA as first defined, 1 is partial least squares.
            Ours: .1, because without it more features than rows give training correlations of 1.
        eigenvalue_power: p of the column weights ``lambda^p``; 0 leaves the columns as they are (the plain
            method), 1 to 4 favour well-correlated directions (Gong et al., IJCV 2014).
    """

    components: int | None = None
    shrinkage: float = 0.1
    eigenvalue_power: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        if not 0.0 <= self.shrinkage <= 1.0:
            raise ValueError(f"shrinkage must lie in [0, 1], not {self.shrinkage}")
        if self.eigenvalue_power < 0.0:
            raise ValueError(f"eigenvalue_power must not be negative: {self.eigenvalue_power}")


class MCCA(LinearMethod):
    """Multiset canonical correlation analysis, sum-of-correlations form."""

    card = MethodCard(
        name="mcca",
        title="MCCA",
        authors="Kettenring; Rupnik and Shawe-Taylor",
        year=2010,
        venue="SiKDD",
        family="linear unsupervised",
        role="baseline",
        deep=False,
        pairs="needed",
        any_modalities=True,
        multi_label=True,
        selects_by="none",
        from_paper=(
            "The covariances are shrunk towards the identity by .1 unless set otherwise.",
            "Directions without any variance are left out before solving.",
        ),
        from_release=(
            "No release is followed; weights equal those of cca-zoo 4.0.1 (linear.MCCA) up to sign.",
        ),
        parity="weights, scores, correlations: cca-zoo 4.0.1",
        citation="rupnik2010mcca",
        position=1,
    )
    Settings = MCCASettings
    settings: MCCASettings
    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        "components": (5, 10, 20, 50, None),
        "pca_limit": (50, 100, 200, None),
        "scaling": ("standard", "unit"),
        "shrinkage": (0.0, 0.01, 0.1, 0.5, 1.0),
    }

    def solve(self, moments: Moments) -> Eigenpairs:
        """Solve ``A w = lambda B w``: A has the covariances between modalities, B the shrunk ones within.

        The columns are scaled to ``w^T B w = V``, so that every modality has unit variance on average.
        """
        own = self.settings
        shared = min(moments.rows.values()) - 1
        index = {name: position for position, name in enumerate(moments.names)}
        between = {(index[u], index[v]): block / shared for (u, v), block in moments.cross.items()}
        variances = np.concatenate([moments.axes[name].spectrum for name in moments.names]) / shared
        wanted = own.components or max(1, len(moments.counts[moments.names[0]]) - 1)
        pairs = top_eigenpairs(
            assemble(between, moments.sizes),
            (1.0 - own.shrinkage) * variances + own.shrinkage,
            min(wanted, *moments.sizes),
        )
        weights = pairs.vectors * np.sqrt(len(moments.names)) * _emphasis(pairs.values, own.eigenvalue_power)
        return Eigenpairs(pairs.values, weights)


def _emphasis(values: Matrix, power: float) -> Matrix:
    """``lambda^p``; a direction of no correlation counts nothing unless p is 0."""
    return np.asarray(np.maximum(values, 0.0) ** power)
