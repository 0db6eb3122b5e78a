"""Queries of a search as features of a modality: rows, texts and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.contract import Array, DataError, Encoding, UsageError
from bench.experiment.models import StoredMethod


class Query(NamedTuple):
    """A query.

    Attributes:
        title: what it is, in words.
        modality: of the model.
        features: ``(1, d_v)``.
        row: of the test split, where it is one.
    """

    title: str
    modality: str
    features: Array
    row: int | None = None


def encoded(
    model: StoredMethod,
    item: str | Path,
    modality: str | None = None,
    plugins: Sequence[Path] = (),
    device: str = "cpu",
) -> Query:
    """Return a text, or the file of a picture or sound, in features of the same encoder as the dataset's.

    Args:
        model: whose modality it becomes.
        item: a text, or a path.
        modality: of the model; None for the only one that such items can be encoded for.
        plugins: files that may define the encoder.
        device: to encode on.

    Raises:
        UsageError: if it is not known how the modality's features were made, or that cannot be done here.
        DataError: if the file cannot be read.
    """
    from bench.encoders import create_encoder

    kinds = ("text",) if isinstance(item, str) else ("image", "audio")
    name, encoding = _encoding(model, kinds, modality)
    encoder = create_encoder(encoding.kind, encoding.encoder, plugins, device)
    if encoder.card.fitted:
        raise UsageError(
            f"the features of {name} are of {encoding.encoder}, which was fitted on the dataset's training "
            "items and is not kept; give a row or features as the query"
        )
    if encoder.checksum() != encoding.sha256:
        raise UsageError(
            f"the features of {name} were made by {encoding.encoder} with weights {encoding.sha256[:12]}, "
            f"but those at hand are {encoder.checksum()[:12]}; a query must be encoded alike"
        )
    features = encoder.encode([item if isinstance(item, str) else _read(item, encoding)])
    title = f"{item!r}" if isinstance(item, str) else item.name
    return Query(title, name, np.asarray(features, dtype=np.float32))


def _read(path: Path, encoding: Encoding) -> Any:
    from bench.encoders import read_picture, read_sound

    try:
        return (read_picture if encoding.kind == "image" else read_sound)(path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _encoding(model: StoredMethod, kinds: Sequence[str], modality: str | None) -> tuple[str, Encoding]:
    """Return the modality that items of some kinds belong to, and how its features were made."""
    known = {name: one for name, one in model.encodings.items() if one is not None and one.kind in kinds}
    if modality is not None:
        known = {name: one for name, one in known.items() if name == modality}
    if len(known) == 1:
        return next(iter(known.items()))
    what = " or ".join(kinds)
    if known:
        raise UsageError(f"a {what} may be {' or '.join(known)} for this model; name one with --modality")
    where = f"modality {modality}" if modality else "any modality"
    raise UsageError(
        f"{model.identity.dataset} does not say by which {what} encoder the features of {where} were made, "
        "so that no new item can be made alike; give a row or features as the query"
    )
