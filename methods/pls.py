"""PLS: directions along which paired modalities covary most, by one singular value decomposition."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from bench import linear as t


@dataclass(frozen=True)
class PLSSettings(t.LinearSettings):
    """Settings of PLS; the comparisons that report it state none."""

    components: int | None = t.setting(None, "width of the common space; None for classes minus one", "ours")


class PLS(t.LinearMethod):
    """Partial least squares between two modalities, the symmetric (SVD) form."""

    card = t.card("pls")
    Settings = PLSSettings
    settings: PLSSettings
    search = {"components": (5, 10, 20, 50, None), "scaling": ("standard", "unit")}

    def solve(self, moments: t.Moments) -> t.Eigenpairs:
        """Return the leading singular vectors of ``X_1^T X_2 / (n - 1)``, and its singular values."""
        first, second = moments.names
        covariance = moments.cross[first, second] / (moments.rows[first] - 1)
        left, values, right = linalg.svd(covariance, full_matrices=False, check_finite=False)
        wanted = self.settings.components or max(1, len(moments.counts[first]) - 1)
        vectors = t.fix_signs(np.vstack([left, right.T])[:, :wanted])
        return t.Eigenpairs(values[:wanted], vectors)
