"""Interface of retrieval methods: what a method implements to be run, compared and reported.

A new method is one file in ``methods/``: a `MethodCard`, a frozen dataclass of settings, `fit` and
`embed`. Everything else has a default.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from bench.contract.cards import MethodCard
from bench.contract.context import Context
from bench.contract.data import Array, Split
from bench.contract.errors import DataError, Unsupported, UsageError

P = TypeVar("P")

_NO_STATE = "it does not define stored_state and load_state"


@dataclass(frozen=True)
class Checkpoint:
    """A state of a trained method that can be restored.

    Attributes:
        rule: selection rule that chose it: ``best``, ``last`` or ``oracle``.
        epoch: selected epoch, from 1; one per modality if modalities are selected separately.
        value: value of the criterion at that epoch; None for ``last``.
        criterion: criterion of the selection, such as ``validation mAP@all``.
    """

    rule: str
    epoch: int | dict[str, int]
    value: float | dict[str, float] | None
    criterion: str


@dataclass(frozen=True, eq=False)
class State:
    """What a method must keep to embed again without training, besides its settings.

    Attributes:
        arrays: by name; of any type of numbers that NumPy has.
        facts: texts, numbers, truth values, None, and lists and dictionaries of these.
    """

    arrays: Mapping[str, Array]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def array(self, name: str, *shape: int | None) -> Array:
        """Return an array of finite floating-point numbers, checked: the file may be untrusted.

        In ``shape`` None means any length.

        Raises:
            DataError: if it is missing, of another shape, or of other numbers.
        """
        values = self.arrays.get(name)
        if values is None:
            raise DataError(f"the stored state has no array {name!r}")
        fits = values.ndim == len(shape) and all(
            wanted in (None, length) for wanted, length in zip(shape, values.shape, strict=True)
        )
        if not fits or values.dtype.kind != "f" or not np.isfinite(values).all():
            wanted = ", ".join("any" if length is None else str(length) for length in shape)
            raise DataError(
                f"the array {name!r} of the stored state is {values.dtype} of shape {values.shape}; finite "
                f"numbers of shape ({wanted}) are needed"
            )
        return values


class Method(ABC):
    """A cross-modal retrieval method.

    Attributes:
        card: publication, data that the method takes, departures.
        Settings: frozen dataclass of its settings; each field's default is the published value.
        variants: named changes of settings, such as ablations; ``full`` is the method itself, ``all`` means
            every variant. A variant whose value is a modality's name is only for data with this modality;
            reports compare these variants with each other.
        search: values that ``tune`` may try, by setting.
        mutual: whether `similarity` is symmetric, so that each pair needs to be scored only once.
        settings: the settings of this instance.
    """

    card: ClassVar[MethodCard]
    Settings: ClassVar[type]
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    search: ClassVar[Mapping[str, Sequence[Any]]] = {}
    mutual: ClassVar[bool] = False

    def __init__(self, settings: Any = None) -> None:
        """Keep the settings; None means the published ones."""
        self.settings: Any = self.Settings() if settings is None else settings

    @abstractmethod
    def fit(self, train: Split, validation: Split, context: Context) -> None:
        """Learn from ``train``; ``validation`` is for selection only.

        Raises:
            Unsupported: if this data is outside what the method can take.
        """

    @abstractmethod
    def embed(self, modality: str, features: Array) -> Array:
        """Map the features ``(n, d_v)`` of a modality to the common space ``(n, d)``."""

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        """Add a modality to a fitted method, for cards that say ``late``; called once for each such modality.

        ``train`` and ``validation`` are its rows only. Trained modalities must not change, and their rows are
        not given again.

        Raises:
            Unsupported: if the method trains all modalities together.
        """
        raise Unsupported(f"{self.card.title} trains all modalities together; none can be added later")

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        """Return similarities ``(n_queries, n_gallery)`` of raw features; higher is nearer.

        The default is the cosine of the embeddings, 0 for embeddings that are zero. An override is called for
        a few hundred queries at a time. The order of the rows is unrelated to labels and differs between
        modalities.
        """
        left = _unit_rows(self.embed(query_modality, queries))
        right = _unit_rows(self.embed(gallery_modality, gallery))
        return np.asarray(left @ right.T)

    def checkpoints(self) -> Mapping[str, Checkpoint]:
        """Return the states that `restore` can restore, by selection rule.

        Methods without epochs have none.
        """
        return {}

    def restore(self, rule: str) -> None:
        """Restore the state that ``rule`` selected.

        Raises:
            KeyError: if there is no such state.
        """
        raise KeyError(rule)

    def stored_state(self) -> State:
        """Return the present state, from which `load_state` of a new instance gives the same embeddings.

        Raises:
            Unsupported: if the method cannot be stored.
        """
        raise Unsupported(f"{self.card.title} cannot be stored: {_NO_STATE}")

    def load_state(self, state: State, device: str = "cpu") -> None:
        """Load a stored state instead of calling `fit`: embeddings are then equal bit by bit.

        A state may come from an untrusted file: nothing in it may be executed.

        Raises:
            DataError: if it is not a state of this method with these settings.
        """
        raise Unsupported(f"{self.card.title} cannot be stored: {_NO_STATE}")

    def notes(self) -> Mapping[str, Any]:
        """Return facts of this fit for the record: numbers, strings, lists and dictionaries.

        ``quality``, a number by modality, is the criterion of a choice among modalities: reports show it
        beside the variants that fix this choice.
        """
        return {}


def unsuitable(card: MethodCard, train: Split) -> str | None:
    """Return why a method cannot be fitted on ``train``, as a sentence, or None where it can."""
    names = ", ".join(train)
    if len(train) < 2 and not card.late:
        return f"{card.title} relates at least two modalities, and there is only {names}"
    if len(train) > 2 and not card.any_modalities:
        return f"{card.title} takes exactly two modalities, not {len(train)} ({names}); fit it pair by pair"
    if train.multi_label and not card.multi_label:
        return f"{card.title} takes one class per sample, and these samples may have several"
    if card.pairs == "needed" and not train.paired:
        return (
            f"{card.title} needs rows that correspond, and these do not; align them with Split.aligned, or "
            "pair them with class_matched first"
        )
    if not card.unlabelled and not all(modality.labelled.all() for modality in train.values()):
        return f"{card.title} needs the label of every row; leave the others out with Split.labelled first"
    return None


def fitted_part(parts: Mapping[str, P], modality: str, method: str) -> P:
    """Return what a method learned for a modality; ``parts`` are empty before `Method.fit`.

    Raises:
        UsageError: if there is no such modality.
    """
    if modality not in parts:
        fitted = f"it was fitted on {', '.join(parts)}" if parts else "call fit first"
        raise UsageError(f"{method} was not fitted on a modality {modality!r}; {fitted}")
    return parts[modality]


def _unit_rows(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths == 0, 1, lengths))
