"""Cards: what is known about a method or a dataset, as plain data with its source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

Status = Literal["confirmed", "inferred", "doubtful"]
"""``confirmed``: read in a released file, loader or paper; ``inferred``: reasoned; ``doubtful``: recalled."""

Pairs = Literal["needed", "optional", "labels", "unused"]
"""``needed``: instance pairs; ``optional``: used where there are any; ``labels``: joint batches, of which
only the labels are known; ``unused``: the same numbers with pairs and without."""

Similarity = Literal["cosine", "dot", "euclidean", "hamming"]
"""How embeddings are compared, the nearest first; ``hamming`` is for codes of 0 and 1, or of -1 and 1."""

Role = Literal["proposed", "baseline", "reference", "extra"]
"""``baseline`` and ``proposed`` are the roster; the group ``all`` is the roster and ``reference``."""

Character = Literal["sparse", "counts", "topics", "dense"]
"""How a look-alike's features behave: ReLU activations, word counts, topic shares, dense descriptors."""


@dataclass(frozen=True)
class Fact(Generic[T]):
    """A value, and how certain it is."""

    value: T
    status: Status


@dataclass(frozen=True)
class MethodCard:
    """Card of a method: its publication, the data that it takes, and its departures from the sources.

    Attributes:
        name: registry name, as typed on the command line.
        title: name as printed in tables.
        authors: as cited; empty if nothing is published.
        year: of the publication that is followed; 0 if there is none.
        venue: where it appeared.
        family: such as ``linear unsupervised``.
        role: see `Role`.
        deep: whether it is trained by gradient descent (group ``deep``; otherwise ``linear``).
        pairs: see `Pairs`.
        any_modalities: takes two or more modalities at once; otherwise exactly two.
        multi_label: takes 0/1 label matrices.
        unlabelled: trains on rows without a label too, as unsupervised methods do; others get labelled rows.
        late: trains modalities separately towards a common target, so that `Method.extend` can add one.
        similarity: similarity of its embeddings, unless it overrides `Method.similarity`.
        selects_by: criterion of the rule `best`: ``map`` = mean validation mAP over directions, ``loss`` =
            validation loss of each modality, ``none`` = nothing to select (closed form).
        from_paper: departures from the paper.
        from_release: departures from the authors' released code.
        parity: which numbers tests compare with other code, and with which code, such as
            ``loss, gradients, network: released code``; ``none: <why>`` if there is nothing to compare.
        citation: key in ``methods/references.bib``.
        code: address of the released code.
        position: position in the tables.
    """

    name: str
    title: str
    authors: str = ""
    year: int = 0
    venue: str = ""
    family: str = ""
    role: Role = "extra"
    deep: bool = True
    pairs: Pairs = "needed"
    any_modalities: bool = False
    multi_label: bool = False
    unlabelled: bool = False
    late: bool = False
    selects_by: Literal["map", "loss", "none"] = "map"
    similarity: Similarity = "cosine"
    from_paper: tuple[str, ...] = ()
    from_release: tuple[str, ...] = ()
    parity: str = ""
    citation: str = ""
    code: str = ""
    position: int = 1000


@dataclass(frozen=True)
class Encoding:
    """Encoder of raw items that features were made by, so that further items can be made into such features.

    Attributes:
        kind: of the items: ``image``, ``text`` or ``audio``.
        encoder: its name and settings, as ``data extract`` takes them, such as ``minilm``.
        sha256: of its weights; empty where it has none.
    """

    kind: Literal["image", "text", "audio"]
    encoder: str
    sha256: str = ""


@dataclass(frozen=True)
class ModalityCard:
    """Card of a modality of a dataset: its features and their shape.

    Attributes:
        name: such as ``image``.
        feature: how the features were computed.
        dimension: width of the vectors; None where it is not public.
        rows: train, validation and test counts; None where not public.
        character: how a look-alike of it behaves.
        encoding: encoder that computes the same features for other items; None if there is none here.
    """

    name: str
    feature: Fact[str]
    dimension: Fact[int | None]
    rows: Fact[tuple[int, int, int] | None]
    character: Character
    encoding: Encoding | None = None


@dataclass(frozen=True)
class FileCard:
    """A file that a dataset is read from.

    Attributes:
        name: file name to put into the data folder.
        origin: in words, where it comes from.
        urls: public addresses to download it from, tried in this order; empty where there is none.
        sha256: checksum in hexadecimal; None where not known.
        size: in bytes; None where not known.
        git_blob: git's object name of the file, if its publisher states it.
        member: path inside the archive at those addresses that end in ``.zip``.
        aliases: other names under which the same file is published.
    """

    name: str
    origin: str
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    size: int | None = None
    git_blob: str | None = None
    member: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetCard:
    """Card of a dataset: shapes, source, licence, files.

    Attributes:
        name: registry name.
        title: name as printed in tables.
        modalities: in the order of the tables.
        n_classes: number of classes.
        licence: licence of the files.
        source: publication or project that the data comes from.
        files: what the loader reads; all are needed. Empty for embedded data.
        multi_label: whether samples may have several classes.
        paired: whether rows correspond over the modalities.
        in_all: whether ``--datasets all`` includes it.
        split: name of the partition used.
        citation: key in ``methods/references.bib``.
        notes: facts that a user must know before comparing numbers.
        has_look_alike: whether a look-alike replaces the dataset if its files are absent.
    """

    name: str
    title: str
    modalities: tuple[ModalityCard, ...]
    n_classes: Fact[int]
    licence: str
    source: str
    files: tuple[FileCard, ...] = ()
    multi_label: bool = False
    paired: Fact[bool] = field(default_factory=lambda: Fact(True, "confirmed"))
    in_all: bool = False
    split: str = "standard"
    citation: str = ""
    notes: tuple[str, ...] = ()
    has_look_alike: bool = False
