"""Stored models: the selected state of a cell beside its record, whole or absent.

``<results>/models/<digest>/`` has ``model.json`` and the arrays, ``state.safetensors``. The former has the
cell's identity, whose digest names the folder, and the SHA-256 of the arrays: a file of another cell, or an
edited one, is refused. Neither file is ever executed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta

from bench.contract import DataError, Encoding, State
from bench.records import folders
from bench.records.encoding import Damaged, Newer, decoded
from bench.records.files import printable, read_file
from bench.records.schema import Count, Identity, Name, Selected, Size

LAYOUT: Final = 1
CARD: Final = "model.json"
ARRAYS: Final = "state.safetensors"
_LARGEST_CARD: Final = 1 << 24


class Arrays(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file of arrays: its SHA-256 and its bytes."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size: Count


class ModelModality(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A modality that a model embeds: width of its features, and their encoder, if known."""

    width: Size
    encoding: Encoding | None = None


class ModelCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Description of a stored model.

    Attributes:
        identity: of the cell, with method, variant, settings and data.
        modalities: that it embeds, by name.
        n_classes: number of classes C.
        classes: names by number; empty if the classes have none. They are those of the dataset, also under a
            condition that leaves the model fewer classes.
        selected: the selected epoch; None in closed form.
        facts: of the method's `State`.
        versions: of Python and the libraries that trained it.
        arrays: None if the method's state could not be kept.
        fortran: names of arrays in column-major order, on which the last bits of products depend.
        reason: why the state could not be kept, in one sentence; else empty.
    """

    layout: Literal[1] = LAYOUT
    identity: Identity
    modalities: dict[Name, ModelModality]
    n_classes: Size
    classes: list[str]
    selected: Selected | None
    facts: dict[str, Any]
    versions: dict[str, str]
    arrays: Arrays | None = None
    fortran: list[str] = []
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.arrays is None) != bool(self.reason):
            raise ValueError("a model has either arrays or a reason for their absence")
        if self.classes and len(self.classes) < self.n_classes:
            raise ValueError(f"there are {len(self.classes)} names for {self.n_classes} classes")

    @property
    def size(self) -> int:
        """Bytes of the arrays."""
        return 0 if self.arrays is None else self.arrays.size


_CARDS: Final = msgspec.json.Decoder(ModelCard)


def model_files(card: ModelCard, state: State | None) -> dict[str, bytes]:
    """Return the files of a model by name: the card, and the arrays of a state if there is one.

    Raises:
        ValueError: if the state cannot be stored exactly, such as arrays of objects.
    """
    if state is None:
        return {CARD: _encoded(card)}
    content, facts, fortran = packed(state)
    arrays = Arrays(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    whole = msgspec.structs.replace(card, facts=facts, arrays=arrays, fortran=fortran, reason="")
    return {CARD: _encoded(whole), ARRAYS: content}


def without_arrays(files: Mapping[str, bytes], reason: str) -> dict[str, bytes]:
    """Return the card of a model's files without arrays, with the reason for that."""
    card = msgspec.structs.replace(_decoded(files[CARD]), arrays=None, fortran=[], facts={}, reason=reason)
    return {CARD: _encoded(card)}


def packed(state: State) -> tuple[bytes, dict[str, Any], list[str]]:
    """Return a state as a file of arrays, plain facts, and the names of arrays in column-major order.

    Raises:
        ValueError: if it cannot be stored exactly, such as arrays of objects.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save

    try:
        # unlike `ascontiguousarray`, this keeps scalars
        content = save({name: np.asarray(array, order="C") for name, array in state.arrays.items()})
        facts = msgspec.json.decode(msgspec.json.encode(dict(state.facts)), type=dict[str, Any])
        return content, facts, [name for name, array in sorted(state.arrays.items()) if np.isfortran(array)]
    except (SafetensorError, msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"its state is not arrays of numbers and plain facts ({error})") from error


def unpacked(content: bytes, facts: Mapping[str, Any], fortran: Sequence[str]) -> State:
    """Return the state of `packed`, without executing any of it.

    Raises:
        Damaged: if this is no state.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found = load(content)
        return State(found | {name: np.asfortranarray(found[name]) for name in fortran}, facts)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{ARRAYS} cannot be read: {error}") from error


def verified_model(digest: str, files: Mapping[str, bytes]) -> tuple[ModelCard, State | None]:
    """Return card and state of the files of a model.

    Raises:
        Damaged: if they are not the files of a sound model of this cell.
    """
    card = _decoded(files.get(CARD, b""), digest)
    if files.keys() != ({CARD} if card.arrays is None else {CARD, ARRAYS}):
        raise Damaged(f"the files of a model are {CARD} and {ARRAYS}, not {', '.join(sorted(files))[:200]}")
    if card.arrays is None:
        return card, None
    content = files[ARRAYS]
    if (len(content), hashlib.sha256(content).hexdigest()) != (card.arrays.size, card.arrays.sha256):
        raise Damaged(f"{ARRAYS} was truncated, edited or swapped: it differs from what {CARD} says")
    return card, unpacked(content, card.facts, card.fortran)


def read_model(folder: Path) -> tuple[ModelCard, State | None]:
    """Return the model in a folder of any name, without executing any of it.

    Raises:
        DataError: if there is none, it is damaged, or it does not fit into memory; one sentence.
    """
    import psutil

    try:
        card = _card_in(folder)
        files = {CARD: read_file(folder / CARD, largest=_LARGEST_CARD)[1]}
        if card.arrays is not None:
            need, free = 2 * card.arrays.size, psutil.virtual_memory().available  # the file, and its arrays
            if need > free:
                raise DataError(
                    f"{folder / ARRAYS}: {need / 2e9:.1f} GB do not fit twice into {free / 1e9:.1f} GB of "
                    "free memory"
                )
            files[ARRAYS] = read_file(folder / ARRAYS, largest=card.arrays.size)[1]
        return verified_model(card.identity.digest, files)
    except OSError as error:
        name = Path(str(error.filename)).name
        raise DataError(printable(f"{folder} holds no stored model: {name}: {error.strerror}")) from error
    except Damaged as error:
        raise DataError(_sentence(folder, error)) from error


class ModelStore:
    """The models of a results folder; an instance alone creates no folder.

    Attributes:
        root: folder of the models.
    """

    def __init__(self, results: Path | str) -> None:
        self.root = Path(results) / "models"

    def digests(self) -> list[str]:
        """Return the digests of cells with a folder."""
        return [folder.name for folder in folders.entries(self.root) if folder.is_dir()]

    def put(self, digest: str, files: Mapping[str, bytes]) -> bool:
        """Write a model whole or not at all; one of a later version of this program stays.

        Raises:
            StoreError: if the folder cannot be written or the disk is full.
        """
        folders.make(self.root)
        return folders.publish(self.root / digest, files, _rank)

    def tidy(self) -> None:
        """Remove what dead writers left behind."""
        if self.root.is_dir():
            folders.tidy(self.root, _rank)

    def card(self, digest: str) -> ModelCard | None:
        """Return the card of a cell's model without reading its arrays; None without a model.

        Raises:
            DataError: if it is damaged.
        """
        folder = self.root / digest
        if not folder.is_dir():
            return None
        try:
            return _card_in(folder, digest)
        except (Damaged, OSError) as error:
            raise DataError(_sentence(folder, error)) from error

    def cards(self) -> Iterator[tuple[str, ModelCard | DataError]]:
        """Iterate over digests and cards, or the errors of damaged ones."""
        for digest in self.digests():
            try:
                if (card := self.card(digest)) is not None:
                    yield digest, card
            except DataError as error:
                yield digest, error

    def totals(self, digests: Collection[str]) -> tuple[int, int, dict[str, str]]:
        """Return the number of models of some cells, their bytes, and why other cells have none."""
        sizes, reasons = [], {}
        for digest, card in self.cards():
            if digest in digests and isinstance(card, ModelCard) and not card.reason:
                sizes.append(card.size)
            elif digest in digests:
                reasons[digest] = card.reason if isinstance(card, ModelCard) else str(card)
        return len(sizes), sum(sizes), reasons

    def copy_from(self, other: ModelStore, digest: str) -> bool:
        """Copy a sound model of another store unless one is here; return whether it was copied.

        Raises:
            DataError: if the other model is damaged.
            StoreError: if it cannot be written.
        """
        folder = other.root / digest
        if not folder.is_dir() or _rank(self.root / digest) >= _rank(folder):
            return False
        card, _ = read_model(folder)
        if card.identity.digest != digest:
            raise DataError(_sentence(folder, Damaged(f"{CARD} is of the cell {card.identity.digest}")))
        names = [CARD] if card.arrays is None else [CARD, ARRAYS]
        return self.put(digest, {name: (folder / name).read_bytes() for name in names})


def _encoded(card: ModelCard) -> bytes:
    """Return a card as indented JSON, after a check that it can be read back.

    Dictionaries keep their order: a method may take modalities by their position in its facts.
    """
    text = msgspec.json.encode(card)
    _decoded(text, card.identity.digest)
    return msgspec.json.format(text, indent=2) + b"\n"


def _decoded(content: bytes, digest: str | None = None) -> ModelCard:
    """Return the card that a file's content holds; raises `Damaged`."""
    card = decoded(CARD, content, _CARDS, "layout", LAYOUT)
    if digest is not None and card.identity.digest != digest:
        raise Damaged(f"{CARD} is of the cell {card.identity.digest}, not of this one")
    return card


def _card_in(folder: Path, digest: str | None = None) -> ModelCard:
    """Return the card in a folder after a check of the size of the arrays; raises `Damaged`, OSError."""
    card = _decoded(read_file(folder / CARD, largest=_LARGEST_CARD)[1], digest)
    if card.arrays is not None and (folder / ARRAYS).stat().st_size != card.arrays.size:
        raise Damaged(f"{ARRAYS} was truncated or swapped: it is not of the size that {CARD} says")
    return card


def _rank(folder: Path) -> int:
    """Return the rank of a folder: of a later version, with arrays, without arrays, damaged."""
    try:
        card = _card_in(folder)
    except Newer:
        return 3
    except (Damaged, OSError):
        return 0
    return 1 if card.arrays is None else 2


def _sentence(folder: Path, error: Exception) -> str:
    """Return an error of a model with its folder and advice."""
    reason = error.strerror if isinstance(error, OSError) else error
    advice = "remove the folder, or run the cell again with --keep-models"
    if isinstance(error, Newer):
        advice = "use the version that made it"
    return printable(f"{folder}: {reason}; {advice}")
