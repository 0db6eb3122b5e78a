"""GMLDA: linear discriminant directions of each modality, tied together by aligned rows or class means."""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from bench import linear as t


@dataclass(frozen=True)
class GMLDASettings(t.LinearSettings):
    """Settings of GMLDA; defaults as in the Readme of the released code unless marked."""

    pca_energy: float = t.setting(0.95, "share of the variance kept beforehand", "release")
    components: int | None = t.setting(None, "width of the common space; None for classes minus one", "ours")
    alignment: Literal["means", "pairs"] = t.setting(
        "means",
        "what ties modalities together: class means (mode 2, needs no pairs) or all rows in order (mode 1)",
        "ours",
    )
    weigh_means: bool = t.setting(
        True,
        "let a class mean count as many times as the class has rows (geometric mean over two modalities); "
        "no effect on pairs",
        "ours: the release counts it once, so its alignment fades as the rows per class grow",
    )
    alpha: float = t.setting(10.0, "weight of the alignment", "release")
    mu: tuple[float, ...] | None = t.setting(
        None, "weights of the within-class scatters, by modality; None for ones", "release"
    )
    equalise: bool = t.setting(
        False,
        "divide each mu by the trace of its within-class scatter, in units of the first one's",
        "release, which recommends tuning by hand; the paper's rule is true (Autopara)",
    )
    ridge: float = t.setting(1e-6, "added to the diagonal of the within-class side", "release")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha < 0.0 or self.ridge < 0.0:
            raise ValueError(f"alpha and ridge must not be negative: {self.alpha}, {self.ridge}")
        if self.mu is not None and min(self.mu, default=0.0) <= 0.0:
            raise ValueError(f"mu must hold positive numbers, not {self.mu}")


class GMLDA(t.LinearMethod):
    """Generalised multiview analysis with the linear discriminant criterion in every modality."""

    card = t.card("gmlda")
    Settings = GMLDASettings
    settings: GMLDASettings
    search = {
        "alpha": (0.1, 1.0, 10.0, 100.0),
        "pca_energy": (0.7, 0.8, 0.9, 0.95),
        "ridge": (1e-6, 1e-3, 1e-1, 1.0),
        "scaling": ("standard", "unit"),
        "weigh_means": (False, True),
    }

    def needs_pairs(self) -> bool:
        """Tell whether rows are aligned one by one."""
        return self.settings.alignment == "pairs"

    def check(self, train: t.Split) -> None:
        """Refuse data that the method cannot take.

        Raises:
            Unsupported: with the reason.
        """
        super().check(train)
        mu = self.settings.mu
        if mu is not None and len(mu) != len(train):
            raise t.Unsupported(f"gmlda was given {len(mu)} values of mu for {len(train)} modalities")

    def solve(self, moments: t.Moments) -> t.Eigenpairs:
        """Solve ``A w = lambda B w``.

        A holds S_b,v on its diagonal and ``alpha Z_u^T Z_v`` off it; B is ``blkdiag(mu_v S_w,v) + ridge I``.
        """
        s, names = self.settings, moments.names
        numerator = {(i, i): moments.between(name) for i, name in enumerate(names)}
        for i, j in combinations(range(len(names)), 2):
            numerator[i, j] = s.alpha * self._alignment(moments, names[i], names[j])
        within = [moments.within(name) for name in names]
        weights = list(s.mu or [1.0] * len(within))
        traces = [float(np.trace(part)) for part in within]
        if s.equalise and min(traces) > 0.0:  # with one row per class there is nothing to equalise
            weights = [mu * traces[0] / trace for mu, trace in zip(weights, traces, strict=True)]
        weighted = {(i, i): mu * within[i] for i, mu in enumerate(weights)}
        total = [mu * moments.axes[name].spectrum for mu, name in zip(weights, names, strict=True)]
        wanted = s.components or max(1, len(moments.counts[names[0]]) - 1)
        return t.top_eigenpairs(
            t.assemble(numerator, moments.sizes),
            t.assemble(weighted, moments.sizes),
            min(wanted, *moments.sizes),
            s.ridge,
            np.concatenate(total),
        )

    def _alignment(self, moments: t.Moments, u: str, v: str) -> t.Matrix:
        """``Z_u^T Z_v`` of aligned rows or class means of two modalities."""
        if self.needs_pairs():
            return moments.cross[u, v]
        common = moments.common_classes()
        if not len(common):
            raise t.Unsupported("gmlda aligns class means, and no class occurs in every modality")
        left, right = moments.class_means(u)[common], moments.class_means(v)[common]
        if self.settings.weigh_means:
            rows = np.sqrt(moments.counts[u][common] * moments.counts[v][common])
            left = left * rows[:, None]
        return np.asarray(left.T @ right)
