"""SM: semantic matching, a logistic regression per modality compared through its class posteriors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import contract as t
from bench.data.scaling import Scaler, Scaling

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


@dataclass(frozen=True)
class SMSettings:
    """Settings of semantic matching; the publication leaves the regression's strength open."""

    scaling: Scaling = t.setting(
        "standard", "what is done to the features first: standardised, one strength suits all", "ours"
    )
    strength: float = t.setting(
        0.02,
        "inverse of the L2 penalty's weight, C of scikit-learn",
        "ours, the best of .005 to .1 by validation mAP on emoji (within .005 from .01 to .05)",
    )
    iterations: int = t.setting(2000, "limit of the L-BFGS solver; some 20 to 100 are used", "ours")

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.strength <= 0.0:
            raise ValueError(f"strength must be positive, not {self.strength}")
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {self.iterations}")


class SM(t.Method):
    """Semantic matching: every modality alone is mapped to class posteriors, which share a space."""

    card = t.card("sm")
    Settings = SMSettings
    search = {
        "scaling": ("standard", "unit"),
        "strength": (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0),
    }
    settings: SMSettings

    def fit(self, train: t.Split, validation: t.Split, context: t.Context) -> None:
        """Fit one classifier per modality; ``validation`` is not used.

        Raises:
            Unsupported: if a modality shows fewer than two classes.
            DeadlineExceeded: if the time is over.
        """
        self._classifiers: dict[str, _Classifier] = {}
        self._add(train, context)

    def extend(self, modality: str, train: t.Split, validation: t.Split, context: t.Context) -> None:
        """Fit the classifier of one more modality."""
        self._add(train, context)

    def _add(self, train: t.Split, context: t.Context) -> None:
        for name, modality in train.items():
            context.check_deadline()
            classifier = _Classifier.fitted(modality, train.n_classes, self.settings)
            if classifier.used >= self.settings.iterations:
                warnings.warn(
                    f"sm: the regression of {name} stopped at {self.settings.iterations} iterations before "
                    "it had converged; raise the setting iterations",
                    stacklevel=2,
                )
            self._classifiers[name] = classifier

    def embed(self, modality: str, features: t.Array) -> t.Array:
        """Return class posteriors ``(n, C)``, float32; 0 for classes that this modality never showed.

        Raises:
            UsageError: if there is no such modality.
        """
        known: Mapping[str, _Classifier] = getattr(self, "_classifiers", {})
        classifier = t.fitted_part(known, modality, "sm")
        return np.asarray(classifier.posteriors(features), dtype=np.float32)

    def stored_state(self) -> t.State:
        """Return scaling and regressions of every modality."""
        arrays: dict[str, t.Array] = {}
        for name, part in self._classifiers.items():
            arrays |= part.scaler.arrays(f"{name}/") | {f"{name}/constant": part.constant}
            for number, (column, model) in enumerate(part.columns):
                stored = {"classes": np.atleast_1d(column), "weights": model.coef_, "bias": model.intercept_}
                arrays |= {f"{name}/{number}/{key}": value for key, value in stored.items()}
        return t.State(arrays)

    def load_state(self, state: t.State, device: str = "cpu") -> None:
        """Take over the classifiers of a stored fit.

        Raises:
            DataError: if it is none of this method.
        """
        names = [key.removesuffix("/constant") for key in state.arrays if key.endswith("/constant")]
        self._classifiers = {name: _Classifier.stored(name, state, self.settings) for name in names}

    def notes(self) -> Mapping[str, Any]:
        """Return solver iterations (the most over classes) and whether all converged, per modality."""
        fitted = getattr(self, "_classifiers", {})
        return {
            "iterations": {name: part.used for name, part in fitted.items()},
            "converged": {name: part.used < self.settings.iterations for name, part in fitted.items()},
        }


@dataclass(frozen=True)
class _Classifier:
    """Scaling and regressions of one modality: a multinomial one, or one per class for multi-label data."""

    scaler: Scaler
    constant: t.Array  # posteriors (C,) of classes without a regression
    columns: list[tuple[Any, LogisticRegression]]
    used: int = 0  # iterations of the solver, the most over classes

    @classmethod
    def fitted(cls, modality: t.Modality, n_classes: int, settings: SMSettings) -> _Classifier:
        scaler, constant = Scaler.fit(modality.features, settings.scaling), np.zeros(n_classes)
        rows, columns = scaler(modality.features), list[tuple[Any, Any]]()
        if modality.multi_label:
            constant = modality.labels.mean(axis=0)
            mixed = np.flatnonzero((constant > 0.0) & (constant < 1.0))
            columns = [(c, _regression(rows, modality.labels[:, c] != 0, settings)) for c in mixed]
        elif len(classes := np.unique(modality.labels)) > 1:
            columns = [(classes, _regression(rows, modality.labels, settings))]
        if not columns:
            raise t.Unsupported("sm needs rows of at least two classes in every modality")
        return cls(scaler, constant, columns, max(int(model.n_iter_.max()) for _, model in columns))

    @classmethod
    def stored(cls, name: str, state: t.State, settings: SMSettings) -> _Classifier:
        """Return the classifier of a modality whose parts are in a stored state.

        Raises:
            DataError: if they do not fit together.
        """
        from sklearn.linear_model import LogisticRegression

        width = state.arrays[f"{name}/0/weights"].shape[-1] if f"{name}/0/weights" in state.arrays else 0
        constant = state.array(f"{name}/constant", None)
        made = cls(Scaler.of_state(settings.scaling, state, f"{name}/", width), constant, [])
        while (classes := state.arrays.get(f"{name}/{len(made.columns)}/classes")) is not None:
            known = classes.ndim == 1 and len(classes) and classes.dtype.kind in "iu"
            if not known or not ((classes >= 0) & (classes < len(constant))).all():
                raise t.DataError(f"the stored classifier of {name} has classes that do not exist")
            part, model = f"{name}/{len(made.columns)}", LogisticRegression(C=settings.strength)
            rows = 1 if len(classes) < 3 else len(classes)
            model.coef_ = state.array(f"{part}/weights", rows, width)
            model.intercept_ = state.array(f"{part}/bias", rows)
            # one class of multi-label data: present or not
            model.classes_ = np.array([False, True]) if len(classes) == 1 else classes
            made.columns.append((classes[0] if len(classes) == 1 else classes, model))
        return made

    def posteriors(self, features: t.Array) -> t.Array:
        """Return class posteriors ``(n, C)`` of features ``(n, d)``, float64."""
        rows = self.scaler(features)
        result = np.tile(self.constant, (len(rows), 1))
        for column, model in self.columns:
            p = model.predict_proba(rows)
            result[:, column] = p if np.ndim(column) else p[:, 1]
        return result


def _regression(rows: t.Array, labels: t.Array, settings: SMSettings) -> LogisticRegression:
    # Imported here, since the import takes seconds and a list of methods does not need it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=settings.strength, max_iter=settings.iterations)
    with warnings.catch_warnings():
        # `SM.fit` warns once per modality and names the setting.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(rows, labels)
