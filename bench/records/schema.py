"""The schema of a record. msgspec checks types and ranges of all fields on reading and refuses unknown ones.

The digest of the `Identity` names the record's folder. `Result` depends on the identity alone: two runs on
the same machine give the same bytes. Times, host and memory, which differ from run to run, are in
`Environment`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from itertools import permutations
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from bench.records.protocols import bounds_of

SCHEMA: Final = 3
"""Version of the record's layout.

Layout 3 has one array each for values per query and snapshots. Layout 2 added fields, which are read with
their defaults from layout 1.
"""


GIVEN: Final = "not trained here"
"""Version of the code of embeddings from another program."""

FILE: Final = "file_sha256"
"""Setting of such embeddings: the digest of their file."""

Name = Annotated[str, Meta(max_length=200)]
"""Names become parts of file names, which have at most 255 bytes."""

Protocol = Annotated[str, Meta(pattern="^((map|ndcg|recall|precision)@|(mrr|medr|meanr)(/|$))")]
"""Id of a protocol, which begins with the measure."""

Count = Annotated[int, Meta(ge=0)]
Size = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, Meta(ge=0.0)]
Seconds = Annotated[float, Meta(ge=0.0)]


class Series(NamedTuple):
    """Key of a metric and of its values per query: selection rule, protocol and direction."""

    selection: str
    protocol: str
    query: str
    gallery: str

    def __str__(self) -> str:
        return f"{self.protocol} of {self.query} -> {self.gallery} ({self.selection})"


Status = Literal[
    "done",
    "failed",
    "exited",
    "killed",
    "lost",
    "timeout",
    "out-of-memory",
    "disk-full",
    "refused",
    "skipped",
]
"""How a cell ended:

done: it has a result; failed: an exception; exited: its process ended by itself; killed: its process died of
a signal; lost: its worker was lost; timeout: the time limit; out-of-memory: too little memory, on the machine
or the GPU; disk-full: no room for its files; refused: embeddings that cannot be ranked; skipped: data that
the method's card excludes.

Old records have `failed` also for exited, killed, lost and disk-full.
"""

STATUSES: Final[tuple[Status, ...]] = get_args(Status)


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Identity of a cell: everything that its numbers depend on, and nothing else.

    Fields with a default were added in layout 2. Empty ones are left out, so that an identity of layout 1
    keeps its digest.

    Attributes:
        variant: ``full`` or the name of an ablation.
        dataset: registry name, or a feature bundle's stem.
        fingerprint: digest of the data.
        modalities: in the dataset's order.
        threads: CPU threads of the fit; results are reproducible for a fixed number only.
        condition: change of the data, such as ``label-noise@0.4``; empty for clean data.
        device: kind of device that the cell was planned for: ``cpu`` or ``cuda``.
        harness: versions of packages that all numbers depend on, as ``data 1, evaluation 1, experiment 1``.
        code: versions of the method and its toolkit, as ``training 1, drcl 1``.
    """

    method: Name
    variant: Name
    dataset: Name
    data_kind: Literal["real", "look-alike"]
    fingerprint: str
    modalities: tuple[Name, ...]
    seed: int
    profile: Name
    threads: int
    settings: dict[str, Any]
    condition: str = ""
    device: str = ""
    harness: str = ""
    code: str = ""

    @property
    def given(self) -> bool:
        """Return whether another program computed the embeddings or similarities."""
        return self.code == GIVEN

    @property
    def file_sha256(self) -> str:
        """Return the digest of the file of such embeddings; empty for a trained cell."""
        return str(self.settings.get(FILE, "unknown")) if self.given else ""

    @property
    def digest(self) -> str:
        """Return the 20 hexadecimal digits that name the record's folder."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:20]

    @property
    def title(self) -> str:
        """Return the cell in one readable line."""
        variant = "" if self.variant == "full" else f"/{self.variant}"
        condition = f" under {self.condition}" if self.condition else ""
        where = f"{self.dataset} ({'+'.join(self.modalities)}){condition}"
        return f"{self.method}{variant} on {where}, seed {self.seed}"


class Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One number of a direction under one protocol and selection rule.

    Attributes:
        query: modality of the queries; ``gallery`` that of the items.
        selection: rule that chose the state: ``best``, ``last``, ``oracle``; ``none`` in closed form.
        value: between 0 and 1, or a rank of at least 1 under ``medr`` and ``meanr``.
        queries: number of queries; ``items`` that of items.
    """

    query: str
    gallery: str
    protocol: Protocol
    selection: str
    value: Positive
    queries: Count
    items: Count

    @property
    def series(self) -> Series:
        """Return the key of the values per query."""
        return Series(self.selection, self.protocol, self.query, self.gallery)


class Selected(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Choice of a selection rule: before test data was opened, except for the oracle."""

    rule: str
    criterion: str
    epoch: Count | dict[str, Count]
    value: float | dict[str, float] | None


class Rows(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sample counts of one modality, and its feature width.

    Attributes:
        train: rows that the method trained on; pseudo-pairs and captions repeat some.
        given: training rows of the dataset under its condition; 0 if they are equal to ``train``.
        unlabelled: rows of ``train`` without a label.
        gallery: rows of the gallery split; 0 if test rows are ranked.
    """

    train: Count
    validation: Count
    test: Size
    dimension: Size
    given: Count = 0
    unlabelled: Count = 0
    gallery: Count = 0

    @property
    def evaluated(self) -> int:
        """Return the number of rows that an evaluation embeds."""
        return self.test + self.gallery


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Numbers of a finished cell, which depend on the identity alone.

    Attributes:
        selection: the rule whose numbers the tables print: ``best``, or ``none`` in closed form.
        selected: choice of each rule.
        audit: when the test split was opened, and after which steps.
        pairing: correspondence of training rows: ``natural``, ``class-matched`` or ``none``.
        split: name of the dataset's partition.
        rows: sizes by modality.
        notes: facts that the method reports about its fit.
        zero_rows: number of rows with a zero embedding, of the test split and of a separate gallery, by
            selection rule and modality; 0 is left out.
        refused: why a rule's state could not be ranked, or why there is no oracle, by selection rule.
        chance: exact expectation of map@all of a random ranking, by direction such as ``image>text``.
        effective: effective level of the condition in the training rows; None for clean data.
        unavailable: why the data does not admit a requested protocol, by its id.
        snapshot_error: why there is no snapshot; else empty.
    """

    selection: str
    selected: list[Selected]
    audit: str
    pairing: str
    split: str
    rows: dict[str, Rows]
    metrics: Annotated[list[Metric], Meta(min_length=1)]
    notes: dict[str, Any]
    zero_rows: dict[str, dict[str, Count]] = {}
    refused: dict[str, str] = {}
    chance: dict[str, Share] = {}
    effective: float | str | None = None
    unavailable: dict[str, str] = {}
    snapshot_error: str = ""


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Reason for a missing result.

    Attributes:
        reason: one sentence.
        kind: exception's name, ``exit``, ``signal``, ``worker``, ``timeout``, ``memory``, ``disk``, or
            ``declared``.
        traceback: text; empty where there is none.
    """

    reason: str
    kind: str
    traceback: str = ""


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Facts that may differ between two runs of the same cell.

    Attributes:
        started: UTC time, ISO 8601.
        seconds: wall-clock time of the parts: ``load``, ``fit``, ``evaluate``, ``oracle``, ``total``.
        peak_memory: largest resident size of the worker, bytes; None where unknown.
        peak_device_memory: largest allocation on the GPU, bytes; None without one.
        device: name of the device, such as ``cpu`` or ``cuda:0``.
        host: machine: name, platform, processor, cores, and the GPU where one was used.
        versions: of Python and the libraries that numbers depend on.
        commit: of the harness's checkout; empty outside one. ``dirty`` if it had uncommitted changes.
        source: digest of the method's source file.
        command: command that makes this record again.
        reused: digest of the record that the numbers were taken from, if the method was not trained; its
            ``seconds`` except ``total`` are included.
    """

    started: str
    seconds: dict[str, Seconds]
    peak_memory: Count | None
    peak_device_memory: Count | None
    device: str
    host: dict[str, str]
    versions: dict[str, str]
    commit: str
    dirty: bool
    source: str
    command: str
    reused: str = ""


class MethodSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Card and settings of a method when the cell was planned, so that a report needs no registry.

    Attributes:
        card: fields of the method's card.
        usual: complete settings of the profile, without overrides.
        origins: source of the value of each setting (`registry.Layer.origin`).
    """

    card: dict[str, Any]
    usual: dict[str, Any]
    origins: dict[str, str]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A finished or failed cell; ``method`` is None in layout 1."""

    schema: Literal[1, 2, 3] = SCHEMA
    identity: Identity
    status: Status
    result: Result | None
    failure: Failure | None
    environment: Environment = msgspec.field(name="circumstances")
    method: MethodSnapshot | None = None

    def __post_init__(self) -> None:
        if (self.status == "done") != (self.result is not None):
            raise ValueError("a record has a result exactly when its status is done")
        if (self.status == "done") != (self.failure is None):
            raise ValueError("a record has a failure exactly when its status is not done")
        if self.identity.condition == "clean":  # a second name of one cell
            raise ValueError("the condition of a clean cell is empty")

    @property
    def digest(self) -> str:
        """Return the digest of the identity."""
        return self.identity.digest


def check_record(record: Record) -> None:
    """Check the fields of a record against each other.

    Raises:
        ValueError: if they contradict each other; one sentence.
    """
    result, identity = record.result, record.identity
    if result is None:
        return
    rules = [selected.rule for selected in result.selected]
    known = {*rules} or {"none"}
    measured = known - result.refused.keys()
    pairs = [*permutations(identity.modalities, 2)]
    series = [metric.series for metric in result.metrics]
    protocols = {metric.protocol for metric in result.metrics}
    directions = {f"{query}>{gallery}" for query, gallery in pairs}
    for holds, sentence in (
        (len({*rules}) == len(rules), "a selection rule has chosen twice"),
        ("none" not in rules, "the rule none has chosen a state"),
        (result.refused.keys() <= {*known, "oracle"}, "a rule is refused that has chosen nothing"),
        (result.selection in measured, f"the rule of the tables, {result.selection}, has no numbers"),
        (result.rows.keys() == {*identity.modalities}, "its sizes are not of its modalities"),
        (len({*series}) == len(series), "a metric is there twice"),
        (result.zero_rows.keys() <= known, "rows of zeros are counted for a rule that has chosen nothing"),
        (result.chance.keys() in (set(), directions), "the values of chance are not of its directions"),
    ):
        if not holds:
            raise ValueError(sentence)
    wanted = (Series(rule, protocol, *pair) for rule in measured for protocol in protocols for pair in pairs)
    require_equal(series, wanted, "metrics")
    for metric in result.metrics:
        items = result.rows[metric.gallery]
        sizes = result.rows[metric.query].test, items.gallery or items.test
        if (metric.queries, metric.items) != sizes:
            raise ValueError(f"{metric.series} has other numbers of queries and items than the test split")
        low, high = bounds_of(metric.protocol, metric.items)
        if not low <= metric.value <= high:
            raise ValueError(
                f"{metric.series} is {metric.value!r}, which is not between {low:g} and {high:g}"
            )
    for counts in result.zero_rows.values():
        for name, count in counts.items():
            size = result.rows[name].evaluated if name in result.rows else 0
            if 2 * count > size:  # more are refused
                raise ValueError(f"{count} rows of {name} cannot be zero")


def require_equal(found: Collection[Series], wanted: Iterable[Series], what: str) -> None:
    """Raise a ValueError unless the series are exactly the ``wanted`` ones; ``what`` names their content."""
    odd = sorted({*found} ^ {*wanted})
    if odd:
        fault = "which cannot be" if odd[0] in found else "which are missing"
        raise ValueError(f"wrong {what}: those of {odd[0]}, {fault}")
