"""Promises about `fit`: which data it takes, same bytes for the same seed, trace, deadline, checkpoints."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from bench.conformance.method_under_test import (
    PLAIN,
    Broken,
    Fitted,
    MethodUnderTest,
    NotApplicable,
    in_a_line,
    promise,
)
from bench.conformance.samples import CLASSES, Sample
from bench.contract import Array, DeadlineExceeded, SealedTestError, Unsupported, sealed_test
from bench.records.models import packed, unpacked

FACTOR = 1024.0
"""About a thousand. Multiplying by a power of two rounds nothing, so that a method that scales its input
sees the same bits again; with 1000 the last bits would differ, and a few steps of training (Adam divides
small gradients by their size) could make something of them."""
TOLERANCE = 1e-3
"""Relative to the largest similarity, for scaling that is itself not exact, such as a division by a mean."""


def examine(fitted: Fitted) -> None:
    """Check that every modality is embedded as finite rows ``(n, d)`` of one width d.

    Raises:
        Broken: if not.
    """
    widths: dict[str, int] = {}
    for name, rows in fitted.embeddings().items():
        count = len(fitted.train[name])
        if rows.ndim != 2 or len(rows) != count:
            raise Broken(f"embed({name!r}) of {count} rows has shape {rows.shape}, not ({count}, d)")
        if not np.issubdtype(rows.dtype, np.floating):
            raise Broken(f"embed({name!r}) has dtype {rows.dtype}, not a floating one")
        if infinite := int((~np.isfinite(rows)).sum()):
            raise Broken(f"embed({name!r}) holds {infinite} values that are not finite")
        widths[name] = rows.shape[1]
    if len(set(widths.values())) != 1:
        raise Broken(f"the modalities are embedded in different widths {widths}")


@promise(
    "fits, and embeds every modality into one space", "embed returns finite floats (n, d), one d for all"
)
def basics(method: MethodUnderTest) -> None:
    """All other promises of fitted methods need this one."""
    try:
        examine(method.fitted())
    except NotApplicable as error:
        raise Broken(f"two paired modalities with one class per sample: {error}") from error


@promise(
    "leaves the data it is given as they were",
    "copy first: torch.tensor(features), not torch.from_numpy(features)",
    basics,
)
def no_change(method: MethodUnderTest) -> None:
    """Features and labels are the same before and after.

    NumPy refuses to write to them, but a tensor that shares their memory can.
    """
    fitted = method.fitted()
    fitted.embeddings()
    untouched = PLAIN.dataset()
    for part, before in (("train", untouched.train), ("validation", untouched.validation)):
        after = getattr(fitted.dataset, part)
        for name, rows in product(before, ("features", "labels")):
            if not np.array_equal(getattr(before[name], rows), getattr(after[name], rows)):
                raise Broken(f"the {part} {rows} of {name} were changed in place")


@promise("never touches test data", "nothing may open a test split: rows are handed over", basics)
def sealed(method: MethodUnderTest) -> None:
    """A method never opens test data under the seal, and never hides that it did."""
    try:
        with sealed_test():
            fitted = method.fit()
            tested = fitted.method
            steps: list[Callable[[], Any]] = [tested.notes, fitted.embeddings, fitted.similarities]
            steps += [partial(tested.restore, rule) for rule in tested.checkpoints()]
            for step in steps:
                try:
                    step()
                except SealedTestError:
                    raise
                except Exception:  # noqa: S112 (errors of other kinds belong to the promises that they break)
                    continue
    except SealedTestError as error:
        raise Broken(str(error)) from error


@promise(
    "gives the same bytes for the same seed",
    "draw from context.generator(stream), keep no global state",
    basics,
)
def deterministic(method: MethodUnderTest) -> None:
    """Other fits in the process and states of global generators change nothing."""
    before = method.fitted().embeddings()
    _disturb()
    method.fit(Sample(rows=(20, 20)), seed=1).embeddings()
    _disturb()
    after = method.fit().embeddings()
    for name, rows in before.items():
        if rows.tobytes() != after[name].tobytes():
            apart = float(np.abs(rows - after[name]).max()) if rows.shape == after[name].shape else np.inf
            raise Broken(f"two fits with seed 0 embed {name} differently, by up to {apart:.3g}")


def _takes(sample: Sample, batch_size: int | None = None) -> Callable[[MethodUnderTest], None]:
    """Return a check that a method fits and embeds a sample, in batches of this size if one is given."""

    def check(method: MethodUnderTest) -> None:
        name = None if batch_size is None else method.setting("batch")
        if batch_size is not None and name is None:
            raise NotApplicable("it has no setting for a batch size")
        examine(method.fitted(sample, **({name: batch_size} if name else {})))

    return check


unequal = promise("takes modalities of unequal size", "draw the batches of each modality separately", basics)(
    _takes(Sample(rows=(26, 18), pairing="none"))
)
missing_from_batch = promise(
    "copes with a class missing from a batch", "a mean over the rows of a class may be over none", basics
)(_takes(PLAIN, batch_size=CLASSES - 1))
missing_from_validation = promise(
    "copes with a class missing from validation", "count classes by n_classes, never by the labels", basics
)(_takes(Sample(without=CLASSES - 1)))
large_batch = promise("copes with a batch larger than the data", "an epoch has at least one batch", basics)(
    _takes(PLAIN, batch_size=1000)
)
one_row_batch = promise(
    "copes with a last batch of one row", "batch statistics need two rows: ask the plan for a minimum", basics
)(_takes(Sample(rows=(25, 25)), batch_size=8))
wide = promise("copes with more features than rows", "regularise, or reduce the features first", basics)(
    _takes(Sample(widen=5))
)
constant_columns = promise(
    "copes with constant feature columns", "a deviation of zero must not divide", basics
)(_takes(Sample(constant=3)))


@promise(
    "takes float16 and float64 features alike",
    "convert features to one type first: float32 or float64",
    deterministic,
)
def float_types(method: MethodUnderTest) -> None:
    """The same values in another floating type lead to the same embedding, and to the same fit."""
    fitted = method.fitted()
    for kind in ("float16", "float64"):
        for name, modality in fitted.train.items():
            _close(
                fitted.embed(name, modality.features),
                fitted.embed(name, modality.features.astype(kind)),
                f"embed({name!r}) of {kind} differs from that of float32",
            )
        refitted = method.fitted(Sample(dtype=kind))
        _close(_cosines(fitted), _cosines(refitted), f"a fit on {kind} differs from that on float32")


@promise(
    "is indifferent to the scale of a modality's features in the quick profile",
    "scale features as fitted on training rows (scaling: standard or unit) before anything else; a ridge or "
    "an epsilon must be relative, or come after the scaling",
    deterministic,
)
def indifferent_to_scale(method: MethodUnderTest) -> None:
    """Features times 1024, one modality at a time, give the same similarities."""
    if method.card.family == "no learning":
        raise NotApplicable("it learns nothing: the values of a row seed its random embedding")
    usual = method.fitted().similarities()
    for name in PLAIN.modalities:
        scaled = method.fitted(replace(PLAIN, enlarged=name, factor=FACTOR)).similarities()
        apart = float(np.abs(usual - scaled).max())
        same = np.array_equal(usual, scaled, equal_nan=True)
        if not (same or apart <= TOLERANCE * float(np.abs(usual).max())):
            raise Broken(
                f"similarities differ by up to {apart:.3g} when {name} features are {FACTOR:g} times"
            )


@promise("leaves a trace", "call context.trace.add(stage, epoch, ...) in every epoch", basics)
def trace(method: MethodUnderTest) -> None:
    """Selection, curves and the oracle column all come from the trace."""
    _needs_epochs(method)
    rows = method.fitted().context.trace.rows
    if not rows:
        raise Broken("the trace is empty after fit")
    if min(map(len, rows)) <= 2:
        raise Broken("a row of the trace names its epoch and nothing else")


@promise("stops at the deadline", "call context.check_deadline() in every epoch", basics)
def deadline(method: MethodUnderTest) -> None:
    """A cell whose time is over ends before it is killed."""
    _needs_epochs(method)
    over = method.context(deadline=time.monotonic() - 1.0)
    prepared = method.prepare(PLAIN, over)
    try:
        prepared.method.fit(prepared.train, prepared.dataset.validation, over)
    except DeadlineExceeded:
        return
    except Exception as error:
        raise Broken(f"with its time over, fit raised {in_a_line(error, method.cls)}") from error
    raise Broken("fit went on to its end although its time was over")


@promise(
    "brings back what a selection rule chose",
    "restore(rule) loads copied weights, not the live ones",
    deterministic,
)
def restoring(method: MethodUnderTest) -> None:
    """Every state listed by `checkpoints` comes back byte by byte, in any order."""
    fitted = method.fit()
    rules = list(fitted.method.checkpoints())
    if not rules:
        raise NotApplicable("it lists no checkpoints: the state after fit is evaluated")
    first = {rule: _restored(fitted, rule) for rule in rules}
    again = {rule: _restored(fitted, rule) for rule in reversed(rules)}
    if changed := [rule for rule in rules if first[rule] != again[rule]]:
        raise Broken(f"restoring {', '.join(changed)} a second time gives other embeddings")
    try:
        fitted.method.restore("no such rule")
    except KeyError:
        return
    raise Broken("restore accepts a rule that is not in checkpoints(); it should raise KeyError")


@promise(
    "embeds alike when its state is stored and loaded",
    "stored_state must hold all that embed and similarity use besides settings; load_state must put it back",
    deterministic,
)
def storing(method: MethodUnderTest) -> None:
    """A new instance with the stored state gives the same bytes, without training."""
    fitted = method.fit()
    try:
        state = fitted.method.stored_state()
    except Unsupported as error:
        raise NotApplicable(str(error)) from error
    except Exception as error:
        raise Broken(f"stored_state() raised {in_a_line(error, method.cls)}") from error
    restored = replace(fitted, method=method.instance())
    try:
        restored.method.load_state(unpacked(*packed(state)), method.device)
    except Exception as error:
        raise Broken(f"load_state raised {in_a_line(error, method.cls)}") from error
    trained, loaded = fitted.embeddings(), restored.embeddings()
    if differing := [name for name, rows in trained.items() if rows.tobytes() != loaded[name].tobytes()]:
        raise Broken(f"a loaded instance embeds {', '.join(differing)} differently")
    if fitted.similarities().tobytes() != restored.similarities().tobytes():
        raise Broken("a loaded instance compares differently")


def _restored(fitted: Fitted, rule: str) -> list[bytes]:
    """Return the bytes of all embeddings in the state that a rule chose."""
    try:
        fitted.method.restore(rule)
    except Exception as error:
        raise Broken(f"restore({rule!r}) raised {in_a_line(error, type(fitted.method))}") from error
    return [rows.tobytes() for rows in fitted.embeddings().values()]


def _needs_epochs(method: MethodUnderTest) -> None:
    """Skip a method that does not train in epochs."""
    if not method.card.deep or method.setting("epochs") is None:
        raise NotApplicable("it does not train in epochs")


def _cosines(fitted: Fitted) -> Array:
    """Return the cosines between the first two modalities, which no sign of an axis changes."""
    left, right = list(fitted.embeddings().values())[:2]
    lengths = np.outer(np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1))
    return np.asarray(left @ right.T / np.where(lengths > 0, lengths, 1.0))


def _close(expected: Array, actual: Array, what: str, tolerance: float = 1e-2) -> None:
    """Require arrays that differ by little, relative to the largest value."""
    if expected.shape != actual.shape:
        raise Broken(f"{what}: shapes {expected.shape} and {actual.shape}")
    scale = float(np.abs(expected).max()) or 1.0
    apart = float(np.abs(expected.astype(np.float64) - actual.astype(np.float64)).max())
    if not apart <= tolerance * scale:
        raise Broken(f"{what}, by up to {apart:.3g}")


def _disturb() -> None:
    """Seed every global generator at random, torch's as well if it is loaded."""
    seed = int(np.random.default_rng().integers(2**32))
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
