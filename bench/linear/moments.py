"""All that the linear methods need to know of a training set, in the coordinates of its principal axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bench.contract import Context, Split
from bench.linear.principal import PrincipalAxes, principal_axes
from bench.linear.rows import CentredRows, Matrix
from bench.linear.scatter import between_scatter, class_means, class_sums, cross_scatter


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments and class sums of centred rows along each modality's principal axes.

    Attributes:
        names: modalities, in order.
        rows: number of rows of each modality.
        axes: principal axes of each; its total scatter there is ``diag(axes.spectrum)``.
        sums: class sums ``(C, k_v)`` of each.
        counts: rows per class ``(C,)`` of each.
        cross: ``X_u^T X_v`` ``(k_u, k_v)`` for u before v; empty where rows are not pairs or not asked for.
    """

    names: tuple[str, ...]
    rows: Mapping[str, int]
    axes: Mapping[str, PrincipalAxes]
    sums: Mapping[str, Matrix]
    counts: Mapping[str, Matrix]
    cross: Mapping[tuple[str, str], Matrix]

    @classmethod
    def of(
        cls,
        train: Split,
        rows: Mapping[str, CentredRows],
        context: Context,
        *,
        energy: float = 1.0,
        limit: int | None = None,
        pairs: bool = False,
    ) -> Moments:
        """Accumulate the moments of ``train``.

        Args:
            train: gives labels and pairing.
            rows: its centred rows.
            context: asked about the deadline between the passes.
            energy: see `principal_axes`.
            limit: see `principal_axes`.
            pairs: whether the cross scatters are needed.

        Raises:
            DeadlineExceeded: if the time is over.
            Unsupported: if a modality does not vary.
        """
        axes: dict[str, PrincipalAxes] = {}
        sums: dict[str, Matrix] = {}
        counts: dict[str, Matrix] = {}
        for name, modality in rows.items():
            context.check_deadline()
            axes[name] = principal_axes(modality, energy, limit)
            raw, counts[name] = class_sums(modality, train[name].labels, train.n_classes)
            sums[name] = raw @ axes[name].basis
        cross: dict[tuple[str, str], Matrix] = {}
        for u, v in combinations(rows, 2) if pairs else ():
            context.check_deadline()
            cross[u, v] = axes[u].basis.T @ cross_scatter(rows[u], rows[v]) @ axes[v].basis
        context.check_deadline()
        return cls(tuple(rows), {name: len(r) for name, r in rows.items()}, axes, sums, counts, cross)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of axes of each modality: the block widths of joint matrices."""
        return tuple(self.axes[name].count for name in self.names)

    def between(self, name: str) -> Matrix:
        """Return the between-class scatter ``(k, k)`` of a modality."""
        return between_scatter(self.sums[name], self.counts[name])

    def within(self, name: str) -> Matrix:
        """Return the within-class scatter ``(k, k)`` of a modality: total minus between."""
        return np.asarray(np.diag(self.axes[name].spectrum) - self.between(name))

    def class_means(self, name: str) -> Matrix:
        """Return the class means ``(C, k)`` of a modality; zeros for a class without rows."""
        return class_means(self.sums[name], self.counts[name])

    def common_classes(self) -> NDArray[np.intp]:
        """Return the numbers of the classes that have rows in every modality."""
        present = [self.counts[name] > 0 for name in self.names]
        return np.flatnonzero(np.logical_and.reduce(present))
