"""PLS: directions along which paired modalities covary most, by one singular value decomposition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import linalg

from bench.contract import MethodCard
from bench.linear import Eigenpairs, LinearMethod, LinearSettings, Moments, fix_signs


@dataclass(frozen=True)
class PLSSettings(LinearSettings):
    """Settings of PLS; the comparisons that report it state none.

    Attributes:
        components: dimensions of the common space; None for the number of classes minus one (ours).
    """

    components: int | None = None


class PLS(LinearMethod):
    """Partial least squares between two modalities, the symmetric (SVD) form."""

    card = MethodCard(
        name="pls",
        title="PLS",
        authors="Sharma, Jacobs",
        year=2011,
        venue="CVPR",
        family="linear unsupervised",
        role="extra",
        deep=False,
        pairs="needed",
        any_modalities=False,
        multi_label=True,
        selects_by="none",
        from_paper=(
            "All components come from one singular value decomposition (PLS-SB), without the deflation of "
            "the iterative form.",
        ),
        from_release=("No release is followed.",),
        parity="weights, scores, covariances: cca-zoo 4.0.1 (linear.PLS)",
        citation="sharma2011pls",
        position=1001,
    )
    Settings = PLSSettings
    settings: PLSSettings
    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        "components": (5, 10, 20, 50, None),
        "scaling": ("standard", "unit"),
    }

    def solve(self, moments: Moments) -> Eigenpairs:
        """Return the leading singular vectors of ``X_1^T X_2 / (n - 1)``, and its singular values."""
        first, second = moments.names
        covariance = moments.cross[first, second] / (moments.rows[first] - 1)
        left, values, right = linalg.svd(covariance, full_matrices=False, check_finite=False)
        wanted = self.settings.components or max(1, len(moments.counts[first]) - 1)
        vectors = fix_signs(np.vstack([left, right.T])[:, :wanted])
        return Eigenpairs(values[:wanted], vectors)
