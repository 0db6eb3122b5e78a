"""Findings about a dataset's content that change what its numbers mean, each with its effect and a remedy."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.contract import Array, Modality, Split, UsageError
from bench.data.scaling import CONSTANT, blocks, mean_and_deviation

Splits = Mapping[str, Split]

FAR_SCALES: Final = 100.0
"""From this ratio of mean row lengths on, unscaled features of two modalities are worth a finding."""

MANY: Final = 0.02
"""Share of test rows: up to so many that are also in train are named by `data doctor` only."""

_LENGTHS_SAMPLED: Final = 2000
_PERFECT: Final = 0.9999


@dataclass(frozen=True)
class Finding:
    """A property of the data that a user should know before comparing numbers.

    Attributes:
        kind: a word for programs; `without` takes those in `REMOVABLE`.
        what: what was found, with counts.
        effect: what it does to numbers.
        remedy: what to do about it; empty where it is a fact to state.
        severe: whether `run` prints it as well.
    """

    kind: str
    what: str
    effect: str
    remedy: str = ""
    severe: bool = False

    def __str__(self) -> str:
        """Return one sentence."""
        return f"{self.what}: {self.effect}" + (f"; {self.remedy}" if self.remedy else "")


def findings(splits: Splits, path: Path | None = None) -> list[Finding]:
    """Return what is noteworthy in the splits ``train``, ``validation``, ``test`` and perhaps ``gallery``.

    With the ``path`` of a user's files, remedies are commands for them.
    """
    found = [finding for check in _CHECKS for finding in check(splits)]
    if path is None:
        return found
    file, output = shlex.quote(str(path)), shlex.quote(f"{path.stem}_without_overlap.npz")
    commands = {
        "overlap": f"python -m bench data import {file} --without overlap --output {output} leaves them out "
        "of the earlier part",
        "scales": "the quick profile scales them; in the paper profile, python -m bench run --datasets "
        f"{file} --set '*.scaling=standard'",
    }
    return [replace(one, remedy=commands.get(one.kind, one.remedy)) if one.remedy else one for one in found]


def _overlaps(splits: Splits) -> Iterator[Finding]:
    """Find rows of later parts that are also in earlier ones."""
    digests = {part: {name: _digests(m) for name, m in split.items()} for part, split in splits.items()}

    def shared(part: str, *earlier: str) -> dict[str, int]:
        """Count the rows of a part that are also in one of the earlier parts, by modality."""
        counts = {
            name: int(_are_in(modality, *(digests[other][name] for other in earlier)).sum())
            for name, modality in splits[part].items()
        }
        return counts if any(counts.values()) else {}

    remedy = "leave them out of the earlier part: data import --without overlap"
    for part, earlier in (("test", ("train", "validation")), ("validation", ("train",))):
        if counts := shared(part, *earlier):
            selected = shared(part, "validation") if len(earlier) > 1 else {}
            where = f"; {max(selected.values())} of them in validation rows" if selected else ""
            what = f"{max(counts.values())} {part} rows stand in train ({_by_modality(counts)}{where})"
            effect = "a method can memorise them, so that numbers are too high"
            many = max(counts.values()) > MANY * len(next(iter(splits[part].values())))
            yield Finding("overlap", what, effect, remedy, severe=part == "test" and many)
    if "gallery" in splits and (counts := shared("gallery", "train", "validation")):
        what = f"{max(counts.values())} gallery rows stand in train ({_by_modality(counts)})"
        yield Finding("overlap", what, "their embeddings were fitted, which papers of this layout allow")


def _by_modality(counts: Mapping[str, int]) -> str:
    """Return counts in words."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _repeated(splits: Splits) -> Iterator[Finding]:
    """Find rows that repeat another row of their part, beyond rows with the same id."""
    for part, split in splits.items():
        for name, modality in split.items():
            count = len(modality) - len(np.unique(_digests(modality)))
            allowed = 0 if modality.ids is None else len(modality) - len(np.unique(modality.ids))
            if count > allowed:
                what = f"{count} {part} rows of {name} repeat another row"
                effect = "they count several times" if part == "train" else "they tie with each other"
                yield Finding("repeated", what, effect)


def _identical(splits: Splits) -> Iterator[Finding]:
    """Find modalities with the same training features."""
    train = splits["train"]
    for a, b in combinations(train, 2):
        if np.array_equal(train[a].features, train[b].features):
            what = f"{a} and {b} hold the same features"
            yield Finding("identical", what, "retrieval between them finds the item itself", severe=True)


def _readable(splits: Splits) -> Iterator[Finding]:
    """Find features of which columns are the labels, by correlation."""
    train = splits["train"]
    for name, modality in train.items():
        known = modality.labelled
        features = modality.features if known.all() else modality.features[known]
        targets = train.targets(name)[known].astype(np.float64)
        targets = targets[:, targets.any(axis=0) & ~targets.all(axis=0)]
        if targets.shape[1] == 0 or modality.dimension > 20_000:
            continue
        numbers = modality.labels[known][:, None] if modality.labels.ndim == 1 else targets[:, :0]
        found = _correlations(np.hstack([targets, numbers]), features).max(axis=1, initial=0.0) > _PERFECT
        if found[: targets.shape[1]].all() or found[targets.shape[1] :].any():
            what = f"the labels are columns of the features of {name}"
            effect = "its queries are solved without learning"
            yield Finding("readable", what, effect, "take the columns of the labels out", severe=True)


def _classes(splits: Splits) -> Iterator[Finding]:
    """Find classes without training rows or without any, and queries without relevant items."""
    rows = {
        part: sum(split.targets(name).sum(axis=0) for name in split).astype(np.int64)
        for part, split in splits.items()
    }
    tested = np.add.reduce([rows[part] for part in ("test", "gallery") if part in rows])
    if (unseen := np.flatnonzero((rows["train"] == 0) & (tested > 0))).size:
        what = f"{_numbers(unseen)} {_have(unseen)} test rows, but no training row"
        yield Finding("unseen", what, "nothing can be learnt of what their queries ask for", severe=True)
    if (dead := np.flatnonzero((rows["train"] == 0) & (tested == 0))).size:
        what = f"{_numbers(dead)} {_have(dead)} no row"
        yield Finding("dead", what, "outputs and prototypes are made for nothing")
    queries, items = splits["test"], splits.get("gallery", splits["test"])
    for query in queries:
        for asked in (name for name in items if name != query):
            offered = items.targets(asked).sum(axis=0) > 0
            lost = int((~(queries.targets(query)[:, offered] > 0).any(axis=1)).sum())
            if lost:
                what = f"{lost} test queries of {query} have no relevant {asked} item"
                yield Finding("no-relevant", what, "each counts as average precision 0")


def _labels(splits: Splits) -> Iterator[Finding]:
    """Find training rows without a label."""
    for name, modality in splits["train"].items():
        if count := int((~modality.labelled).sum()):
            what = f"{count} of {len(modality)} training rows of {name} have no label"
            yield Finding("unlabelled", what, "only methods without labels train on them")


def _columns(splits: Splits) -> Iterator[Finding]:
    """Find columns that are constant in training, and rows of zeros."""
    for name, modality in splits["train"].items():
        mean, deviation = mean_and_deviation(modality.features)
        if count := int((deviation <= CONSTANT * np.abs(mean)).sum()):
            what = f"{count} of {modality.dimension} columns of {name} are constant in training"
            yield Finding("constant", what, "they have no information, and standardising sets them to 0")
    for part, split in splits.items():
        for name, modality in split.items():
            if count := int((~modality.features.any(axis=1)).sum()):
                what = f"{count} {part} rows of {name} are zero"
                remedy = "if they are missing, write NaN instead"
                yield Finding("zero", what, "they have no direction, and tie with everything", remedy)


def _scales(splits: Splits) -> Iterator[Finding]:
    """Find modalities whose rows are far longer than those of others."""
    train = splits["train"]
    lengths = {
        name: float(np.linalg.norm(m.features[:_LENGTHS_SAMPLED].astype(np.float64), axis=1).mean())
        for name, m in train.items()
    }
    ordered = sorted((length, name) for name, length in lengths.items() if length > 0)
    if ordered and ordered[-1][0] > FAR_SCALES * ordered[0][0]:
        (small, low), (large, high) = ordered[0], ordered[-1]
        what = f"rows of {high} are {large / small:.0f} times as long as those of {low}"
        remedy = "the quick profile scales them, elsewhere use --set METHOD.scaling=standard"
        yield Finding("scales", what, "unscaled, learning rates fit one modality only", remedy)


_CHECKS: Final[tuple[Callable[[Splits], Iterator[Finding]], ...]] = (
    *(_overlaps, _identical, _readable, _classes),
    *(_labels, _repeated, _columns, _scales),
)


def without(splits: Splits, kind: str) -> dict[str, Split]:
    """Return splits without what a finding names.

    Args:
        splits: as for `findings`.
        kind: ``overlap``: training and validation rows that are also in test, and training rows in
            validation, in any modality, with all rows of their ids.

    Raises:
        UsageError: for another kind.
    """
    if kind != "overlap":
        raise UsageError(f"only 'overlap' can be left out, not {kind!r}")
    left = dict(splits)
    for part, later in (("validation", ("test",)), ("train", ("test", "validation"))):
        split = splits.get(part)
        if split is None:
            continue
        bad = {
            name: _are_in(m, *(_digests(splits[p][name]) for p in later if p in splits))
            for name, m in split.items()
        }
        ids = [m.ids[bad[name]] for name, m in split.items() if m.ids is not None]
        for name, m in split.items():
            if m.ids is not None:
                bad[name] |= np.isin(m.ids, np.concatenate(ids))
        left[part] = split.take({name: np.flatnonzero(~rows) for name, rows in bad.items()})
    return left


def _are_in(modality: Modality, *digests: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which rows are among those of some digests; rows of zeros are no item, and never are."""
    return np.isin(_digests(modality), np.concatenate(digests)) & modality.features.any(axis=1)


def _digests(modality: Modality) -> NDArray[Any]:
    """Return 16 bytes ``(n,)`` per row that are equal where features are equal."""
    rows = (row + 0.0 for row in modality.features)  # -0 and 0 are equal
    digests = b"".join(blake2b(row.tobytes(), digest_size=16).digest() for row in rows)
    return np.frombuffer(digests, dtype="V16").view("S16") if digests else np.empty(0, "S16")


def _correlations(wanted: NDArray[np.float64], columns: Array) -> NDArray[np.float64]:
    """Return the absolute correlation of each wanted column that varies with each other column."""
    wanted = wanted - wanted.mean(axis=0)
    mean, deviation = mean_and_deviation(columns)
    total = np.zeros((wanted.shape[1], columns.shape[1]))
    for rows, block in blocks(columns):
        total += wanted[rows].T @ (block - mean)
    lengths = np.linalg.norm(wanted, axis=0)[:, None] * (deviation * np.sqrt(len(columns)))
    return np.asarray(np.abs(total) / np.where(lengths > 0, lengths, np.inf))


def _numbers(classes: NDArray[np.intp]) -> str:
    """Name classes, runs of them as ``3 to 7``."""
    ends = np.flatnonzero(np.diff(classes) > 1) + 1
    runs = [classes[a:b] for a, b in pairwise([0, *ends.tolist(), len(classes)])]
    words = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    shown = ", ".join(words[:5]) + (" and others" if len(words) > 5 else "")
    return f"class {shown}" if len(classes) == 1 else f"classes {shown}"


def _have(classes: NDArray[np.intp]) -> str:
    """Return the verb for one class or several."""
    return "has" if len(classes) == 1 else "have"
