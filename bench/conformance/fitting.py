"""Promises about `fit`: on which data, how often the same, and what it leaves alone."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from bench.conformance.outcomes import Broken, NotApplicable, promise
from bench.conformance.samples import CLASSES, Sample
from bench.conformance.subject import PLAIN, Fitted, Subject
from bench.contract import Array, SealedTestError, sealed_test


def examine(fitted: Fitted) -> None:
    """Check that every modality is embedded as finite rows ``(n, d)`` of one width d.

    Raises:
        Broken: if not; says what was seen.
    """
    widths: dict[str, int] = {}
    for name, rows in fitted.embeddings().items():
        count = len(fitted.train[name])
        if rows.ndim != 2 or len(rows) != count:
            raise Broken(f"embed({name!r}) of {count} rows has shape {rows.shape}, not ({count}, d)")
        if not np.issubdtype(rows.dtype, np.floating):
            raise Broken(f"embed({name!r}) has dtype {rows.dtype}, not a floating one")
        if not np.isfinite(rows).all():
            raise Broken(
                f"embed({name!r}) holds {int((~np.isfinite(rows)).sum())} values that are not finite"
            )
        widths[name] = rows.shape[1]
    if len(set(widths.values())) != 1:
        raise Broken(f"the modalities are embedded in different widths {widths}")


@promise(
    "fits, and embeds every modality into one space", "embed returns finite floats (n, d), one d for all"
)
def basics(subject: Subject) -> None:
    """Without this nothing else can be said about a method."""
    try:
        examine(subject.fitted())
    except NotApplicable as error:
        raise Broken(f"two paired modalities with one class per sample: {error}") from error


@promise(
    "leaves the data it is given as they were",
    "copy first: torch.tensor(features), not torch.from_numpy(features)",
    basics,
)
def no_change(subject: Subject) -> None:
    """Features and labels are the same before and after.

    NumPy refuses to write to them, but a tensor that shares their memory can.
    """
    fitted = subject.fitted()
    fitted.embeddings()
    untouched = PLAIN.dataset()
    for part, before in (("train", untouched.train), ("validation", untouched.validation)):
        after = getattr(fitted.dataset, part)
        for name in before:
            if not np.array_equal(before[name].features, after[name].features):
                raise Broken(f"the {part} features of {name} were changed in place")
            if not np.array_equal(before[name].labels, after[name].labels):
                raise Broken(f"the {part} labels of {name} were changed in place")


@promise("never touches test data", "nothing may open a test split: rows are handed over", basics)
def sealed(subject: Subject) -> None:
    """Nothing that a method does under the harness's seal trips it, or hides that it did."""
    try:
        with sealed_test():
            fitted = subject.fit()
            method = fitted.method
            steps: list[Callable[[], Any]] = [method.notes, fitted.embeddings, fitted.similarities]
            steps += [partial(method.restore, rule) for rule in method.checkpoints()]
            for step in steps:
                with _seal_errors_only():
                    step()
    except SealedTestError as error:
        raise Broken(str(error)) from error


@contextmanager
def _seal_errors_only() -> Iterator[None]:
    """Leave errors of other kinds to the promises that they break."""
    try:
        yield
    except SealedTestError:
        raise
    except Exception:
        return


@promise(
    "gives the same bytes for the same seed",
    "draw from context.generator(stream), keep no global state",
    basics,
)
def deterministic(subject: Subject) -> None:
    """Whatever ran before in this process, and however global generators stand."""
    before = subject.fitted().embeddings()
    _disturb()
    subject.fit(Sample(rows=(20, 20)), seed=1).embeddings()
    _disturb()
    after = subject.fit().embeddings()
    for name, rows in before.items():
        if rows.tobytes() != after[name].tobytes():
            apart = float(np.abs(rows - after[name]).max()) if rows.shape == after[name].shape else np.inf
            raise Broken(f"two fits with seed 0 embed {name} differently, by up to {apart:.3g}")


@promise("takes modalities of unequal size", "batches of each modality have rows of their own", basics)
def unequal(subject: Subject) -> None:
    """Rows do not correspond; a method that needs pairs gets class-matched ones, as in a run."""
    examine(subject.fitted(Sample(rows=(26, 18), pairing="none")))


@promise(
    "copes with a class missing from a batch", "a mean over the rows of a class may be over none", basics
)
def missing_from_batch(subject: Subject) -> None:
    """Batches smaller than the number of classes cannot hold them all."""
    examine(_with_batches(subject, PLAIN, CLASSES - 1))


@promise(
    "copes with a class missing from validation", "count classes by n_classes, never by the labels", basics
)
def missing_from_validation(subject: Subject) -> None:
    """The last class, so that counting labels goes wrong."""
    examine(subject.fitted(Sample(without=CLASSES - 1)))


@promise("copes with a batch larger than the data", "an epoch has at least one batch", basics)
def large_batch(subject: Subject) -> None:
    """As published batch sizes are on small data."""
    examine(_with_batches(subject, PLAIN, 1000))


@promise(
    "copes with a last batch of one row", "batch statistics need two rows: ask the plan for a minimum", basics
)
def one_row_batch(subject: Subject) -> None:
    """A partial last batch is used, and it may be a single row."""
    examine(_with_batches(subject, Sample(rows=(25, 25)), 8))


@promise("copes with more features than rows", "regularise, or reduce the features first", basics)
def wide(subject: Subject) -> None:
    """Covariances are singular then."""
    examine(subject.fitted(Sample(widen=5)))


@promise("copes with constant feature columns", "a deviation of zero must not divide", basics)
def constant_columns(subject: Subject) -> None:
    """Dead units of a network give such columns."""
    examine(subject.fitted(Sample(constant=3)))


@promise(
    "takes float16 and float64 features alike",
    "convert features to one type first: float32 or float64",
    deterministic,
)
def float_types(subject: Subject) -> None:
    """The same values in another floating type lead to the same embedding, and to the same fit."""
    fitted = subject.fitted()
    for kind in ("float16", "float64"):
        for name, modality in fitted.train.items():
            _close(
                fitted.embed(name, modality.features),
                fitted.embed(name, modality.features.astype(kind)),
                f"embed({name!r}) of {kind} differs from that of float32",
            )
        other = subject.fitted(Sample(dtype=kind))
        _close(_cosines(fitted), _cosines(other), f"a fit on {kind} differs from that on float32")


def _cosines(fitted: Fitted) -> Array:
    """Return what the first two modalities have in common; an axis may change its sign."""
    left, right = list(fitted.embeddings().values())[:2]
    lengths = np.outer(np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1))
    return np.asarray(left @ right.T / np.where(lengths > 0, lengths, 1.0))


def _close(one: Array, other: Array, what: str, tolerance: float = 1e-2) -> None:
    if one.shape != other.shape:
        raise Broken(f"{what}: shapes {one.shape} and {other.shape}")
    scale = float(np.abs(one).max()) or 1.0
    apart = float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max())
    if not apart <= tolerance * scale:
        raise Broken(f"{what}, by up to {apart:.3g}")


def _with_batches(subject: Subject, sample: Sample, size: int) -> Fitted:
    name = subject.setting("batch")
    if name is None:
        raise NotApplicable("it has no setting for a batch size")
    return subject.fitted(sample, **{name: size})


def _disturb() -> None:
    """Leave every global generator somewhere else, torch's as well if it is loaded."""
    seed = int(np.random.default_rng().integers(2**32))
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
