"""SM: semantic matching, a logistic regression per modality compared through its class posteriors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bench.contract import Array, Context, Method, MethodCard, Modality, Split, Unsupported, fitted_part
from bench.data.scaling import Scaler, Scaling

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


@dataclass(frozen=True)
class SMSettings:
    """Settings of semantic matching; the publication leaves the regression's strength open.

    Attributes:
        scaling: see `bench.data.scaling.Scaling`; standardised, so that one strength suits all features.
        strength: inverse of the L2 penalty's weight, ``C`` of scikit-learn. Ours: .02, the best of .005 to
            .1 by validation mAP on the compact and the full emoji features (within .005 from .01 to .05).
        iterations: limit of the L-BFGS solver; some 20 to 100 are used.
    """

    scaling: Scaling = "standard"
    strength: float = 0.02
    iterations: int = 2000

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.strength <= 0.0:
            raise ValueError(f"strength must be positive, not {self.strength}")
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {self.iterations}")


class SM(Method):
    """Semantic matching: every modality alone is mapped to class posteriors, which share a space."""

    card = MethodCard(
        name="sm",
        title="SM",
        authors="Rasiwasia et al.",
        year=2010,
        venue="ACM Multimedia",
        family="linear supervised, independent",
        role="reference",
        deep=False,
        pairs="unused",
        any_modalities=True,
        multi_label=True,
        selects_by="none",
        from_paper=(
            "Posteriors are compared by the cosine; the paper compares several measures.",
            "Several labels per sample: one sigmoid posterior per class.",
        ),
        parity="none: nothing was released",
        citation="rasiwasia2010sm",
        position=2001,
    )
    Settings = SMSettings
    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        "scaling": ("standard", "unit"),
        "strength": (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0),
    }
    settings: SMSettings

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        """Fit one classifier per modality; ``validation`` is not used.

        Raises:
            Unsupported: if a modality shows fewer than two classes.
            DeadlineExceeded: if the time is over.
        """
        self._classifiers: dict[str, _Classifier] = {}
        for name, modality in train.items():
            context.check_deadline()
            classifier = _Classifier(modality, train.n_classes, self.settings)
            if not classifier.converged:
                warnings.warn(
                    f"sm: the regression of {name} stopped at {self.settings.iterations} iterations before "
                    "it had converged; raise the setting iterations",
                    stacklevel=2,
                )
            self._classifiers[name] = classifier

    def embed(self, modality: str, features: Array) -> Array:
        """Return class posteriors ``(n, C)``, float32; 0 for classes that this modality never showed.

        Raises:
            UsageError: if there is no such modality.
        """
        known: Mapping[str, _Classifier] = getattr(self, "_classifiers", {})
        classifier = fitted_part(known, modality, "sm")
        return np.asarray(classifier.posteriors(features), dtype=np.float32)

    def notes(self) -> Mapping[str, Any]:
        """Return solver iterations (the most over classes) and whether all converged, per modality."""
        fitted = getattr(self, "_classifiers", {})
        return {
            "iterations": {name: one.used for name, one in fitted.items()},
            "converged": {name: one.converged for name, one in fitted.items()},
        }


class _Classifier:
    """Scaling and regressions of one modality: a multinomial one, or one per class for multi-label data."""

    def __init__(self, modality: Modality, n_classes: int, settings: SMSettings) -> None:
        self.scaler = Scaler.fit(modality.features, settings.scaling)
        rows = self.scaler(modality.features)
        self.constant = np.zeros(n_classes)
        self.columns: list[tuple[Any, LogisticRegression]] = []
        if modality.multi_label:
            self.constant = modality.labels.mean(axis=0)
            mixed = np.flatnonzero((self.constant > 0.0) & (self.constant < 1.0))
            self.columns = [(c, _regression(rows, modality.labels[:, c] != 0, settings)) for c in mixed]
        elif len(classes := np.unique(modality.labels)) > 1:
            self.columns = [(classes, _regression(rows, modality.labels, settings))]
        if not self.columns:
            raise Unsupported("sm needs rows of at least two classes in every modality")
        self.used = max(int(model.n_iter_.max()) for _, model in self.columns)
        self.converged = self.used < settings.iterations

    def posteriors(self, features: Array) -> Array:
        """Return class posteriors ``(n, C)`` of features ``(n, d)``, float64."""
        rows = self.scaler(features)
        result = np.tile(self.constant, (len(rows), 1))
        for column, model in self.columns:
            found = model.predict_proba(rows)
            result[:, column] = found if np.ndim(column) else found[:, 1]
        return result


def _regression(rows: Array, labels: Array, settings: SMSettings) -> LogisticRegression:
    # Here, since it takes seconds to import: whoever lists the methods should not wait for it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=settings.strength, max_iter=settings.iterations)
    with warnings.catch_warnings():
        # Said once per modality by `SM.fit`, in words that name the setting.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(rows, labels)
