"""Promises about rows under conditions: without labels, without partners, in a late modality."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from bench.conformance.fitting import basics, deterministic, examine
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
from bench.contract import Array, Split, Unsupported

UNLABELLED: Final = Sample(unlabelled=-1)
LAST_CLASS: Final = Sample(unlabelled=CLASSES - 1)
"""The same rows, with the last class where there is no label."""

NO_PAIRS: Final = Sample(shift=1000)


@promise(
    "takes rows without a label, if its card says so",
    "a label of -1 is no class: leave such rows out of label losses; or leave unlabelled=False in the card",
    deterministic,
)
def unlabelled_rows(method: MethodUnderTest) -> None:
    """Other methods get the labelled rows alone; -1 as an index would mean the last class."""
    fitted = method.fitted(UNLABELLED)
    examine(fitted)
    if not method.card.unlabelled:
        return
    given, last, known = (_bytes(method.fitted(sample)) for sample in (UNLABELLED, LAST_CLASS, PLAIN))
    if given == last and given != known:
        raise Broken("rows without a label are taken for rows of the last class")


@promise(
    "takes partial pairs",
    "ids say which rows correspond: Split.pairs, Split.aligned; corresponding rows may be at any position",
    basics,
)
def partial_pairs(method: MethodUnderTest) -> None:
    """Half of the rows have a partner, and another one than the row of their number."""
    examine(method.fitted(Sample(shift=12)))


@promise(
    "makes no use of pairs, if its card says so",
    "where batches, losses or equations relate rows, the card has pairs='optional', 'labels' or 'needed'",
    deterministic,
)
def pairs_unused(method: MethodUnderTest) -> None:
    """Cells on data without pairs take the numbers of those with pairs."""
    if method.card.pairs != "unused":
        raise NotApplicable(f"its card says that pairs are {method.card.pairs}")
    if _bytes(method.fitted()) != _bytes(method.fitted(NO_PAIRS)):
        raise Broken("ids that correspond nowhere lead to other embeddings")


@promise(
    "adds late modalities one after the other and leaves the others as they are, if its card says so",
    "extend trains what is new alone, and reads no row of an earlier call; or leave late=False in the card",
    deterministic,
)
def late_modality(method: MethodUnderTest) -> None:
    """The rows of a fit are overwritten before a modality is added, so that reading them has an effect."""
    any_number = method.card.any_modalities
    names = ("image", "text", "audio") if any_number else ("image", "audio")
    late = Sample(modalities=names, rows=(24,) * len(names))
    if not method.card.late:
        data = late.dataset()
        try:
            train, validation = data.train.select(names[-1:]), data.validation.select(names[-1:])
            method.fitted().method.extend(names[-1], train, validation, method.context())
        except Unsupported:
            raise NotApplicable("its card does not say that it takes late modalities") from None
        except Exception as error:
            raise Broken(f"extend raised {in_a_line(error, method.cls)}, not Unsupported") from error
        raise Broken("extend takes a late modality, and the card does not say late=True")
    usual, overwritten = (_extended(method, late, 1, overwrite=overwrite) for overwrite in (False, True))
    examine(usual)
    if _bytes(usual) != _bytes(overwritten):
        raise Broken("extend reads rows of the earlier modalities that it or fit was given")
    if any_number:
        examine(_extended(method, late, 2, overwrite=True))


def _extended(method: MethodUnderTest, sample: Sample, early: int, *, overwrite: bool) -> Fitted:
    """Return the method fitted on the first modalities, and extended by the others one after the other.

    Raises:
        Broken: if that fails, or changes how those before are embedded.
    """
    names, context = sample.modalities, method.context()
    first = method.prepare(sample, context, names[:early])
    data = sample.dataset()
    train, validation = data.train, data.validation
    given = first.train
    try:
        first.method.fit(given, validation.select(names[:early]), context)
        _restore_best(first)
        for late in names[early:]:
            before = _rows_embedded(first, data.test, names[: names.index(late)])
            for modality in [*given.values(), *(validation[name] for name in given)] if overwrite else ():
                _overwrite(modality.features)
                _overwrite(modality.labels)
            given = train.select((late,))
            first.method.extend(late, given, validation.select((late,)), context)
            _restore_best(first)
            after = _rows_embedded(first, data.test, before)
            if changed := [name for name in before if before[name] != after[name]]:
                raise Broken(f"extend({late!r}) changes how {', '.join(changed)} is embedded")
    except Broken:
        raise
    except Exception as error:
        raise Broken(f"fit or extend raised {in_a_line(error, method.cls)}") from error
    return replace(first, train=sample.dataset().train)


def _rows_embedded(fitted: Fitted, split: Split, names: Iterable[str]) -> dict[str, bytes]:
    """Return the bytes of the embeddings of modalities."""
    return {name: fitted.embed(name, split[name].features).tobytes() for name in names}


def _restore_best(fitted: Fitted) -> None:
    """Bring back the best state, if the method keeps one."""
    if "best" in fitted.method.checkpoints():
        fitted.method.restore("best")


def _overwrite(array: Array) -> None:
    """Fill the memory behind a read-only view."""
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    base.flags.writeable = True
    base[...] = -1 if base.dtype.kind in "iu" else np.nan


def _bytes(fitted: Fitted) -> list[bytes]:
    """Return how rows are embedded; the same rows for all samples of the same modalities."""
    return [*_rows_embedded(fitted, fitted.dataset.test, fitted.train).values()]
