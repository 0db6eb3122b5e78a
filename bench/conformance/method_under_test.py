"""Checks, their outcomes, and the method under test: small, and fitted once on each tiny sample."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from bench import registry
from bench.conformance.samples import Sample
from bench.contract import (
    Array,
    BenchError,
    Context,
    Dataset,
    Method,
    MethodCard,
    Split,
    Unsupported,
    unsuitable,
)

PLAIN = Sample()
Status = Literal["passed", "failed", "skipped"]
_WIDTH_WORDS = ("hidden", "dimension", "dim", "width", "latent", "embedding")


class Broken(Exception):
    """A promise was not kept; the message describes the result."""


class NotApplicable(Exception):
    """A promise that this method does not make; the message is the reason."""


@dataclass(frozen=True)
class Check:
    """One promise.

    Attributes:
        name: the promise in words, completing "the method ...".
        hint: what to look at when it is broken.
        function: raises `Broken` or `NotApplicable`; returns where the promise is kept.
        after: a promise that this one needs; None for none.
    """

    name: str
    hint: str
    function: Callable[[Any], None]
    after: Check | None = None

    def of(self, make: Callable[[], object], cls: type) -> Outcome:
        """Return how the promise ends for what ``make`` returns, of the class ``cls`` under test."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.function(make())
        except Broken as error:
            return Outcome(self, "failed", str(error))
        except NotApplicable as error:
            return Outcome(self, "skipped", str(error))
        except (Exception, SystemExit) as error:
            return Outcome(self, "failed", f"unexpectedly raised {in_a_line(error, cls)}")
        return Outcome(self, "passed")


@dataclass(frozen=True)
class Outcome:
    """How a check ended; the reason is empty where it passed."""

    check: Check
    status: Status
    reason: str = ""


def promise(name: str, hint: str, after: Check | None = None) -> Callable[[Callable[[Any], None]], Check]:
    """Make a check of a function, as a decorator."""
    return lambda function: Check(name, hint, function, after)


@dataclass(frozen=True)
class Fitted:
    """A method after `fit`, with what it was given."""

    method: Method
    dataset: Dataset
    train: Split
    context: Context

    def embeddings(self) -> dict[str, Array]:
        """Return the embedding of every modality's training rows."""
        return {name: self.embed(name, modality.features) for name, modality in self.train.items()}

    def embed(self, name: str, features: Array) -> Array:
        """Return the embedding of a modality's rows.

        Raises:
            Broken: if the method raises anything, or returns no array.
        """
        try:
            rows = self.method.embed(name, features)
        except (Exception, SystemExit) as error:
            shape = f"{features.dtype} features {features.shape}"
            raise Broken(f"embed({name!r}, {shape}) raised {in_a_line(error, type(self.method))}") from error
        if not isinstance(rows, np.ndarray):
            raise Broken(f"embed({name!r}) returned {type(rows).__name__}, not a NumPy array")
        return rows

    def similarities(self, *, reverse: bool = False) -> Array:
        """Return the similarities ``(n, n)`` of two modalities' rows; ``reverse``: queries of the second.

        Raises:
            Broken: if the method raises anything.
        """
        pair = list(self.train.items())[:2]
        (query, left), (gallery, right) = reversed(pair) if reverse else pair
        try:
            return np.asarray(self.method.similarity(query, left.features, gallery, right.features))
        except (Exception, SystemExit) as error:
            raise Broken(f"similarity raised {in_a_line(error, type(self.method))}") from error


class MethodUnderTest:
    """A method's class with small settings as JSON values, and the fits and outcomes so far."""

    def __init__(
        self, cls: type[Method], settings: Mapping[str, Any] | None = None, device: str = "cpu"
    ) -> None:
        """Examine ``cls``; ``settings`` win over the small ones.

        Raises:
            UsageError: if ``settings`` name something unknown.
            PluginError: if the class breaks the contract so badly that it could not be registered.
        """
        self.cls = cls
        self.device = device
        described = registry.describe(cls, cls.__module__, "")
        assert isinstance(described, registry.MethodDescription)
        self.card: MethodCard = described.card
        quick = registry.resolve_settings(described)
        self.settings = registry.resolve_settings(described, overrides={**shrunk(quick), **(settings or {})})
        self.known: dict[Check, Outcome] = {}
        self._fits: dict[Any, Fitted | Exception] = {}

    def setting(self, word: str) -> str | None:
        """Return the name of the first setting that has ``word`` in it and holds a positive number."""
        positive = (name for name, value in self.settings.items() if isinstance(value, int) and value > 0)
        return next((name for name in positive if word in name), None)

    def context(self, **options: Any) -> Context:
        """Return the context of a fit with one thread."""
        return Context(device=self.device, threads=1, **options)

    def fitted(self, sample: Sample = PLAIN, **changes: Any) -> Fitted:
        """Return the method fitted on ``sample`` with changed settings; fits are made once.

        Raises:
            NotApplicable: if the card or the method declares that it cannot take this data.
            Broken: if `fit` raises anything else.
        """
        key = (sample, tuple(sorted(changes.items())))
        if key not in self._fits:
            try:
                self._fits[key] = self.fit(sample, **changes)
            except (Broken, NotApplicable) as error:
                self._fits[key] = error
        outcome = self._fits[key]
        if isinstance(outcome, Fitted):
            return outcome
        raise outcome.with_traceback(None)

    def fit(self, sample: Sample = PLAIN, seed: int = 0, **changes: Any) -> Fitted:
        """Return the method fitted anew; raises as `fitted` does."""
        prepared = self.prepare(sample, self.context(seed=seed), **changes)
        try:
            prepared.method.fit(prepared.train, prepared.dataset.validation, prepared.context)
        except Unsupported as error:
            raise NotApplicable(f"fit declined: {error}") from error
        except (Exception, SystemExit) as error:
            raise Broken(f"fit raised {in_a_line(error, self.cls)}") from error
        return prepared

    def prepare(
        self, sample: Sample, context: Context, modalities: Sequence[str] = (), **changes: Any
    ) -> Fitted:
        """Return a new instance and its data, ready for `fit`, as the harness would prepare them.

        Raises:
            NotApplicable: if the card declares that the method cannot take this data.
            Broken: if an instance cannot be made from the settings.
        """
        from bench.data import training_rows

        dataset = sample.dataset()
        train = dataset.train.select(tuple(modalities)) if modalities else dataset.train
        train = training_rows(self.card, train, context.generator("pseudo-pairs"))
        reason = unsuitable(self.card, train)
        if reason is not None:
            raise NotApplicable(reason)
        return Fitted(self.instance(**changes), dataset, train, context)

    def instance(self, **changes: Any) -> Method:
        """Return a new instance.

        Raises:
            Broken: if the settings do not convert to `Settings` of the class.
        """
        values = {**self.settings, **changes}
        try:
            return self.cls(msgspec.convert(values, self.cls.Settings))
        except (msgspec.ValidationError, TypeError, ValueError, BenchError) as error:
            raise Broken(f"settings {values} were refused: {error}") from error


def shrunk(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide how long a fit takes, made small: epochs, widths, batch size."""
    small: dict[str, Any] = {}
    for name, value in settings.items():
        is_width = any(word in name for word in _WIDTH_WORDS)
        if isinstance(value, (list, tuple)):
            if is_width and value and all(type(item) is int for item in value):
                small[name] = [16] * len(value)
        elif isinstance(value, int) and not isinstance(value, bool) and value > 0:
            if "epochs" in name:
                small[name] = min(value, 2)
            elif "batch" in name:
                small[name] = 8
            elif is_width:
                small[name] = min(value, 16)
    return small


def in_a_line(error: BaseException, cls: type) -> str:
    """Return an error in one line, with the line of the plug-in's file that raised it."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    line = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{line}"
