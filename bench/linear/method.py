"""Base class of closed-form linear methods and of their projections: a method is an eigenvalue problem."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from bench.contract import (
    Array,
    Context,
    Method,
    Split,
    State,
    Unsupported,
    UsageError,
    fitted_part,
    setting,
    unsuitable,
)
from bench.data.scaling import Scaler, Scaling
from bench.linear.eigen import Eigenpairs, Matrix, split
from bench.linear.moments import CentredRows, Moments, block_size


@dataclass(frozen=True)
class LinearSettings:
    """Settings that every linear method has.

    Methods add fields; the dimension of the common space is called ``components``, None for one less than
    there are classes.
    """

    scaling: Scaling = setting("none", "what is done to the features first; the literature only centres them")
    pca_energy: float = setting(
        1.0,
        "share of each modality's variance kept by a principal component analysis beforehand; 1 keeps all "
        "of it (axes without any variance are always dropped, at no loss)",
    )
    pca_limit: int | None = setting(None, "largest number of principal components; None for no limit")

    def __post_init__(self) -> None:
        """Refuse values out of range, ``components`` included where a method has it."""
        if not 0.0 < self.pca_energy <= 1.0:
            raise ValueError(f"pca_energy must lie in (0, 1], not {self.pca_energy}")
        for name in ("pca_limit", "components"):
            value = getattr(self, name, None)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")


@dataclass(frozen=True, eq=False)
class Projection:
    """Scale, centre, and project.

    Attributes:
        scaler: as fitted in training.
        mean: ``(d_v,)`` mean of the scaled training rows.
        weights: ``(d_v, d)``.
    """

    scaler: Scaler
    mean: Matrix
    weights: Matrix

    def __call__(self, features: Array) -> Matrix:
        """Map ``(n, d_v)``, of any floating type, to ``(n, d)`` float64, a block of rows at a time.

        Raises:
            UsageError: if the width is not that of training.
        """
        width = len(self.weights)
        if features.ndim != 2 or features.shape[1] != width:
            raise UsageError(
                f"features of shape {features.shape} cannot be embedded; (n, {width}) are needed"
            )
        embedded = np.empty((len(features), self.weights.shape[1]))
        size = block_size(width)
        for start in range(0, len(features), size):
            rows = self.scaler(features[start : start + size].astype(np.float64))
            embedded[start : start + size] = (rows - self.mean) @ self.weights
        return embedded


class LinearMethod(Method):
    """Scale, centre, rotate to principal axes, solve one eigenvalue problem, project.

    A subclass writes `solve`; it may refine `check` and `needs_pairs`.

    Attributes:
        projections: after `fit`, the map of each modality, in float64.
    """

    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        "pca_energy": (0.8, 0.9, 0.95, 0.99),
        "scaling": ("standard", "unit"),
    }
    projections: Mapping[str, Projection]
    _notes: Mapping[str, Any]

    @abstractmethod
    def solve(self, moments: Moments) -> Eigenpairs:
        """Return joint weights ``(sum of k_v, d)``, one block of rows per modality, in order."""

    def needs_pairs(self) -> bool:
        """Tell whether `solve` uses the cross scatters of paired rows."""
        return self.card.pairs == "needed"

    def check(self, train: Split) -> None:
        """Refuse data that the method cannot take.

        Raises:
            Unsupported: with the reason, and what to do about it.
        """
        if (reason := unsuitable(self.card, train)) is not None:
            raise Unsupported(reason)
        if self.needs_pairs() and not train.paired:
            raise Unsupported(
                f"{self.card.title} with these settings needs rows that correspond, and these do not; "
                "align them with Split.aligned, or pair them with class_matched first"
            )

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        """Solve in closed form; nothing is selected, so ``validation`` is not used.

        Raises:
            Unsupported: see `check`; also if a modality's features are all equal.
            DeadlineExceeded: if the time is over.
        """
        self.check(train)
        with threadpool_limits(context.threads) if context.threads else nullcontext():
            rows = {
                name: CentredRows.of(part.features, self.settings.scaling) for name, part in train.items()
            }
            pca = {"energy": self.settings.pca_energy, "limit": self.settings.pca_limit}
            moments = Moments.of(train, rows, context, **pca, pairs=self.needs_pairs())
            solution = self.solve(moments)
            weights = split(solution.vectors, moments.sizes)
            self.projections = {
                name: Projection(rows[name].scaler, rows[name].mean, moments.axes[name].basis @ part)
                for name, part in zip(moments.names, weights, strict=True)
            }
        self._notes = {
            "components": int(solution.vectors.shape[1]),
            "eigenvalues": [float(value) for value in solution.values],
            "principal_axes": dict(zip(moments.names, moments.sizes, strict=True)),
            "pca_energy": {name: moments.axes[name].energy for name in moments.names},
        }

    def embed(self, modality: str, features: Array) -> Array:
        """Project the features ``(n, d_v)`` of any floating type to ``(n, d)``.

        The sums are done in float64 and rounded to float32 at the end, whatever the input: a ranking needs
        no more, and the galleries of the larger benchmarks take half the memory.

        Raises:
            UsageError: if there is no such modality, or its features have another width.
        """
        known: Mapping[str, Projection] = getattr(self, "projections", {})
        projection = fitted_part(known, modality, self.card.name)
        return np.asarray(projection(features), dtype=np.float32)

    def stored_state(self) -> State:
        """Return scaling, mean and weights of every modality."""
        arrays: dict[str, Array] = {}
        for name, part in self.projections.items():
            arrays |= part.scaler.arrays(f"{name}/") | {
                f"{name}/mean": part.mean,
                f"{name}/weights": part.weights,
            }
        return State(arrays)

    def load_state(self, state: State, device: str = "cpu") -> None:
        """Take over the projections of a stored fit.

        Raises:
            DataError: if it is none of this method.
        """
        names = [key.removesuffix("/weights") for key in state.arrays if key.endswith("/weights")]
        weights = {name: state.array(f"{name}/weights", None, None) for name in names}
        self.projections = {
            name: Projection(
                Scaler.of_state(self.settings.scaling, state, f"{name}/", len(part)),
                state.array(f"{name}/mean", len(part)),
                part,
            )
            for name, part in weights.items()
        }

    def notes(self) -> Mapping[str, Any]:
        """Return the number of components, their eigenvalues, and the principal axes kept."""
        return getattr(self, "_notes", {})
