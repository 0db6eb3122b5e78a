"""Stored models: the selected state of a cell, stored after its evaluation and loaded without training."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import registry
from bench.contract import (
    Array,
    BenchError,
    DataError,
    Dataset,
    Method,
    MethodCard,
    Split,
    Unsupported,
    UsageError,
    opened_by_harness,
)
from bench.evaluation.independence import SAMPLE
from bench.evaluation.inputs import to_array
from bench.evaluation.similarity import similarities
from bench.experiment.failures import failure_of
from bench.experiment.stale import versions_apart
from bench.records.environment import describe_versions
from bench.records.models import (
    CARD,
    ModelCard,
    ModelModality,
    ModelStore,
    model_files,
    read_model,
    verified_model,
)
from bench.records.schema import Identity, Record, Selected

_EMBEDDING: Final = ("contract ", "data ")
"""Packages that embeddings depend on, besides the method and its toolkit."""

_DIGEST = re.compile(r"[0-9a-f]{4,20}")


def kept_model(
    method: Method, dataset: Dataset, identity: Identity, selected: Selected | None, device: str
) -> tuple[dict[str, bytes], str]:
    """Return the files of a fitted method in its present state and "", or a card alone and its reason.

    ``selected`` describes the state, None in closed form. The stored state is loaded into a new instance,
    which must give the same bits for validation rows. Of the test split only the names of classes are read.
    """
    classes: list[str] = []
    with suppress(Exception), opened_by_harness():  # a plug-in's items; the model does not depend on them
        classes = [*dataset.items.classes]
    encodings = {modality.name: modality.encoding for modality in dataset.card.modalities}
    card = ModelCard(
        identity=identity,
        modalities={
            name: ModelModality(width=part.dimension, encoding=encodings.get(name))
            for name, part in dataset.train.items()
        },
        n_classes=dataset.n_classes,
        classes=classes,
        selected=selected,
        facts={},
        versions=dict(describe_versions()),
        reason="not stored yet",
    )
    try:
        files = model_files(card, method.stored_state())
        _, state = verified_model(identity.digest, files)
        loaded = registry.instantiate(identity.method, identity.settings)
        assert state is not None
        loaded.load_state(state, device)
        _require_alike(method, loaded, dataset.validation)
    except Exception as error:  # a plug-in's fault costs its model and nothing else
        reason = failure_of(error)[1].reason
        return model_files(msgspec.structs.replace(card, reason=reason), None), reason
    return files, ""


def _require_alike(method: Method, loaded: Method, split: Split) -> None:
    """Compare the results of two methods for the first rows of a split.

    Raises:
        Unsupported: if it differs by a bit.
    """
    rows = {name: part.features[:SAMPLE] for name, part in split.items()}
    calls: dict[str, tuple[Any, ...]]
    if type(method).similarity is not Method.similarity:
        calls = {f"{a} and {b}": ("similarity", a, rows[a], b, rows[b]) for a, b in permutations(rows, 2)}
    else:
        calls = {name: ("embed", name, part) for name, part in rows.items()}
    for what, (name, *arguments) in calls.items():
        left, right = (to_array(getattr(instance, name)(*arguments)) for instance in (method, loaded))
        if (left.shape, left.dtype, left.tobytes()) != (right.shape, right.dtype, right.tobytes()):
            raise Unsupported(
                f"{method.card.title} cannot be stored: loaded again, it gives other results for {what}; "
                "what embed uses must be in stored_state, or be made by build without looking at the data"
            )


class StoredMethod:
    """A trained method, loaded from a stored model; it embeds unscaled features as in a dataset's files.

    Attributes:
        card: of the method.
        identity: of the cell: method, variant, settings, dataset, seed and versions of the code.
        modalities: that it embeds, by name, with the width of their features.
        classes: names of the classes by number; empty where they have none.
        n_classes: number of classes.
        size: bytes of the stored arrays.
        changes: versions of the code that have changed since; empty if none has.
    """

    def __init__(self, card: ModelCard, method: Method) -> None:
        """Take a method that is in its stored state."""
        self.card: MethodCard = method.card
        self.identity = card.identity
        self.modalities: Mapping[str, int] = {
            name: modality.width for name, modality in card.modalities.items()
        }
        self.encodings = {name: modality.encoding for name, modality in card.modalities.items()}
        self.classes = tuple(card.classes)
        self.n_classes = card.n_classes
        self.size = card.size
        self.method = method
        versions = registry.Versions()
        then, now = (
            ", ".join(part for part in text.split(", ") if part.startswith(_EMBEDDING))
            for text in (card.identity.harness, versions.harness)
        )
        code = versions.code(card.identity.method)
        self.changes = versions_apart((then, card.identity.code), (now, code))

    @property
    def has_space(self) -> bool:
        """Whether the method compares embeddings, rather than features by a learned similarity."""
        return type(self.method).similarity is Method.similarity

    def embed(self, modality: str, features: Any) -> NDArray[np.float32]:
        """Return the embeddings ``(n, d)`` of features ``(n, d_v)``, float32.

        The stored scaling is applied: features are as in the dataset's files.

        Raises:
            UsageError: if there is no such modality, or the features are not finite numbers of its width.
        """
        rows = self.checked(modality, features)
        return np.asarray(to_array(self.method.embed(modality, rows)), dtype=np.float32)

    def similarity(
        self, query_modality: str, queries: Any, gallery_modality: str, gallery: Any
    ) -> NDArray[np.floating[Any]]:
        """Return similarities ``(n_queries, n_gallery)`` of features; higher is nearer.

        They are cosines, inner products, minus distances, or learned, as stated by the method's card.

        Raises:
            UsageError: as `embed`.
        """
        if not self.has_space:
            left, right = self.checked(query_modality, queries), self.checked(gallery_modality, gallery)
            return np.asarray(self.method.similarity(query_modality, left, gallery_modality, right))
        left, right = self.embed(query_modality, queries), self.embed(gallery_modality, gallery)
        return similarities(self.card.similarity, left, right)

    def checked(self, modality: str, features: Any) -> Array:
        """Return features that fit the method.

        Raises:
            UsageError: as `embed`.
        """
        if modality not in self.modalities:
            raise registry.unknown("modality of this model", modality, self.modalities)
        rows, width = to_array(features), self.modalities[modality]
        if rows.ndim != 2 or rows.shape[1] != width or rows.dtype.kind not in "biuf":
            raise UsageError(
                f"features of {modality} must be numbers (n, {width}) for this model, not {rows.dtype} of "
                f"shape {rows.shape}"
            )
        rows = rows if rows.dtype.kind == "f" else rows.astype(np.float32)
        if not np.isfinite(rows).all():
            raise UsageError(f"features of {modality} hold NaN or infinite values; leave such rows out")
        return rows


def load_method(
    record_or_path: Record | str | os.PathLike[str],
    results: str | os.PathLike[str] = "results",
    device: str = "cpu",
) -> StoredMethod:
    """Return the trained method that ``run --keep-models`` stored with a record; nothing is trained.

    Nothing in the file is executed: the method's code is that of the registry, and its settings are checked.

    Args:
        record_or_path: a record; or the first digits of its digest; or the folder of a record or a model.
        results: results folder, for records and digests.
        device: torch name of the device.

    Raises:
        UsageError: if there is no such model, or its method is not registered.
        DataError: if its files are damaged, or do not fit the registered method.
    """
    folder = model_folder(record_or_path, results)
    card, state = read_model(folder)
    identity = card.identity
    if state is None:
        raise UsageError(f"{folder}: no model of {identity.title} was kept: {card.reason}")
    if _DIGEST.fullmatch(folder.name) and folder.name != identity.digest:
        raise DataError(f"{folder} holds the model of another cell, {identity.digest}")
    name = identity.method
    if set(registry.method(name).defaults) != set(identity.settings):
        raise DataError(
            f"{folder}: {name} now has other settings than those that were stored; run the cell again"
        )
    method = registry.instantiate(name, identity.settings)
    try:
        method.load_state(state, device)
        stored = StoredMethod(card, method)
        for modality, width in stored.modalities.items():
            method.embed(modality, np.zeros((1, width), np.float32))
    except BenchError as error:
        raise DataError(f"{folder}: {error}") from error
    except Exception as error:
        raise DataError(f"{folder}: {name} cannot take this state: {failure_of(error)[1].reason}") from error
    return stored


def model_folder(
    record_or_path: Record | str | os.PathLike[str], results: str | os.PathLike[str] = "results"
) -> Path:
    """Return the folder of a model; arguments as for `load_method`.

    Raises:
        UsageError: if there is none, or several begin so.
    """
    store = ModelStore(Path(results))
    if isinstance(record_or_path, Record):
        word = record_or_path.digest
    else:
        word = str(record_or_path)
        path = Path(word).expanduser()
        if path.is_dir():
            if not (path / CARD).is_file() and path.absolute().parent.name == "runs":
                path = ModelStore(path.absolute().parent.parent).root / path.name
            return _existing(path, word)
    found = (
        [digest for digest in store.digests() if digest.startswith(word)] if _DIGEST.fullmatch(word) else []
    )
    if len(found) > 1:
        raise UsageError(f"{len(found)} models in {store.root} begin with {word}; give more digits")
    return _existing(store.root / (found[0] if found else word), word)


def _existing(folder: Path, word: str) -> Path:
    if not (folder / CARD).is_file():
        raise UsageError(
            f"there is no stored model {word[:80]} ({folder}); `python -m bench run ... --keep-models` "
            "stores those of its cells"
        )
    return folder
