"""``explain``: evaluate embeddings, from files or a recorded cell, under every convention and measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from bench import registry
from bench.analysis.drift import changes
from bench.cli.convention_tables import csv_of, json_of, match_lines, table_lines
from bench.cli.executor_options import kind_of
from bench.cli.formatting import print_lines, write_data
from bench.cli.options import ARGUMENT, DataOption, Device, FiniteRange, ResultsOption, Words, make_command
from bench.cli.select_records import RecordOptions, narrowing, read_records, select_records
from bench.contract import Similarity
from bench.contract.errors import DataError, RefusedEmbeddings, UsageError
from bench.data.given_results import holds_similarities, read_embeddings
from bench.evaluation import STANDARD_PROTOCOLS
from bench.evaluation.conventions import AVERAGE, Reading, near, readings
from bench.evaluation.protocols import check_cutoff
from bench.evaluation.retrieval import Embedded, Retrieval
from bench.experiment.given import retrieval_of_similarities
from bench.experiment.refit import Refit, cell_of, refit
from bench.experiment.run_context import RunContext
from bench.experiment.stale import stale_changes
from bench.plural import counted
from bench.records.protocols import base_of
from bench.records.schema import Record, Result

_SHOWN: Final = 6
"""Directions that a table shows one by one; of more it shows the average, and those that are chosen."""

_LONGEST: Final = 200  # letters of a list of cut-offs or parts


def _cutoffs(word: str) -> tuple[int, ...]:
    try:
        cutoffs = tuple(int(part) for part in word[: _LONGEST + 1].split(",") if part.strip())
    except ValueError as error:
        raise UsageError(f"{word[:_LONGEST]!r} is not a list of ranks, such as 5,50") from error
    if len(word) > _LONGEST or any(cutoff > 1 << 31 for cutoff in cutoffs):
        raise UsageError(f"{word[:_LONGEST]!r}: a rank is at most 2^31, and the list {_LONGEST} letters long")
    for cutoff in cutoffs:
        check_cutoff(cutoff)
    return cutoffs


def _shares(word: str) -> tuple[Fraction, ...]:
    try:
        if len(word) > _LONGEST or "e" in word.lower():
            raise ValueError
        shares = tuple(Fraction(part.strip()) for part in word.split(",") if part.strip())
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{word[:_LONGEST]!r} is not a list of fractions, such as 1/2,1/4 or .1") from error
    if not all(0 < share <= 1 for share in shares):
        raise UsageError(f"{word!r}: a fraction of the gallery is above 0 and at most 1")
    return shares


@dataclass(frozen=True)
class ConventionOptions:
    """Which conventions, and which of the readings are shown.

    Attributes:
        cutoffs: Cut-offs k (gallery ranks), besides the full ranking.
        galleries: Fractions of the gallery to rank, besides the whole; each is drawn five times with fixed
            seeds.
        query: Only directions with queries of this modality.
        gallery: Only directions with a gallery of this modality.
        similarity: Similarity of the embeddings in files; other similarities are shown beside it.
        printed: A published number, such as .562, 56.2 or a rank: show the conventions that give it.
        format_: Output format.
    """

    cutoffs: Annotated[Sequence[int], Words("K,K", _cutoffs)] = (50,)
    galleries: Annotated[Sequence[Fraction], Words("P,P", _shares)] = (
        Fraction(1, 2),
        Fraction(1, 4),
        Fraction(1, 8),
    )
    query: Annotated[str | None, Words("MODALITY")] = None
    gallery: Annotated[str | None, Words("MODALITY")] = None
    similarity: Literal["cosine", "dot", "euclidean", "hamming"] = "cosine"
    printed: Annotated[tuple[float, ...], FiniteRange(0, 1_000_000)] = ()
    format_: Literal["table", "csv", "json"] = "table"


@make_command("explain")
def command(
    method: Annotated[str | None, ARGUMENT] = None,
    dataset: Annotated[str | None, ARGUMENT] = None,
    *,
    embeddings: Annotated[tuple[str, ...], Words("FILE")] = (),
    conventions: ConventionOptions,
    options: RecordOptions,
    device: Device = "cpu",
    records: ResultsOption,
    folder: DataOption,
) -> int:
    """Evaluate one set of embeddings under every convention, measure and similarity.

    This shows how much a number depends on conventions, and which of them give a published number.

    Either METHOD and DATASET name a recorded cell, or --embeddings names files. A recorded cell is fitted
    again: the test split is opened after the selection, and the numbers are compared with the record. If
    there are several seeds, the lowest is used, unless --seed names another.

    Exit status 0; 1 if a record is damaged or the cell fails now; 2 for wrong usage or bad input.

    Args:
        embeddings: File of embeddings, instead of a cell: .npz, .mat or .h5 with the arrays MODALITY and
            MODALITY_labels (or a matrix of similarities such as image_text, and the labels). For other keys,
            give MODALITY=FILE:KEY_OF_EMBEDDINGS:KEY_OF_LABELS once per modality.
        device: Device to fit on: cpu, or a GPU such as cuda:0.
    """
    if bool(embeddings) == bool(method) or bool(method) != bool(dataset):
        raise UsageError("explain takes METHOD and DATASET of a recorded cell, or --embeddings FILE")
    problems: Sequence[object] = ()
    if method and dataset:
        every, problems = read_records(records.results)
        chosen = select_records(every, method, dataset, options, records.results)
        source = refit_cell(chosen, device, folder.data)
    else:
        source = read_files(embeddings, conventions.similarity)
    for name in (conventions.query, conventions.gallery):
        if name is not None and name not in source.retrieval.modalities:
            raise registry.unknown("modality of these embeddings", name, source.retrieval.modalities)
    _print(source, readings(source.retrieval, conventions.cutoffs, conventions.galleries), conventions)
    return int(bool(problems))


def _print(source: Source, every: Sequence[Reading], conventions: ConventionOptions) -> None:
    facts, lines = source.describe(every)
    query, gallery = conventions.query, conventions.gallery
    chosen = [
        reading for reading in every if query in (None, reading.query) and gallery in (None, reading.gallery)
    ]
    matches = {printed: near(chosen, printed) for printed in conventions.printed}
    if conventions.format_ == "csv":
        write_data(csv_of(chosen))
    elif conventions.format_ == "json":
        write_data(json_of(facts, chosen, matches))
    else:
        directions = {reading.direction for reading in chosen} - {AVERAGE}
        averages = [reading for reading in chosen if reading.direction == AVERAGE]
        if averages and len(directions) > _SHOWN:
            print_lines(
                f"{len(directions)} directions: here their average; one of them with --query and --gallery"
            )
            chosen = averages
        print_lines(*lines, *table_lines(chosen))
        for printed, matching in matches.items():
            print_lines("", *match_lines(printed, matching))


@dataclass(frozen=True)
class Source:
    """Embeddings, and what is known of them: as plain data, and as lines."""

    retrieval: Retrieval
    describe: Callable[[Sequence[Reading]], tuple[dict[str, Any], list[str]]]


def read_files(words: Sequence[str], similarity: Similarity) -> Source:
    """Read embeddings, to be compared by a similarity, or a file of similarities.

    See `bench.data.given_results`.

    Raises:
        UsageError: for words of another form, fewer than two modalities, or labels of two kinds.
        DataError: if a file is not as described, or its embeddings cannot be ranked.
    """
    path = Path(words[0]).expanduser()
    if len(words) == 1 and path.is_file() and holds_similarities(path):
        given, ranked = retrieval_of_similarities(path)
        sizes = "; ".join(
            f"{' with '.join(pair)}: {' x '.join(map(str, matrix.shape))}"
            for pair, matrix in given.matrices.items()
        )
        return Source(ranked, lambda _: ({"similarities": list(words)}, [f"{path}: similarities, {sizes}"]))
    given = read_embeddings(words)
    try:
        embedded = Embedded(given.rows, given.labels, given.ids)
        retrieval = Retrieval.of_embeddings(embedded, similarity=similarity)
    except RefusedEmbeddings as error:
        raise DataError(f"{', '.join(words)}: {error}") from error
    shapes = {name: rows.shape for name, rows in given.rows.items()}
    sizes = "; ".join(
        f"{name}: {counted(count, 'row')} of {width}" for name, (count, width) in shapes.items()
    )
    facts = {"embeddings": list(words), "shapes": shapes}
    return Source(retrieval, lambda _: (facts, [f"{', '.join(words)}: {sizes}"]))


def refit_cell(chosen: Sequence[Record], device: str, data_dir: Path) -> Source:
    """Fit again, in this process, the cell of the ``chosen`` records; of several seeds the first.

    Raises:
        BenchError: if several cells fit, the cell has no result, or it cannot be run again.
    """
    record = chosen[0]
    seed = record.identity.seed
    if any(msgspec.structs.replace(another.identity, seed=seed) != record.identity for another in chosen):
        ways = "; or ".join(narrowing(another, chosen) for another in chosen[:4])
        raise UsageError(f"{len(chosen)} cells match; select one, such as: {ways}")
    if record.result is None:
        reason = record.failure.reason if record.failure is not None else "no result"
        raise UsageError(f"{record.identity.title} has no embeddings: {record.status}: {reason}")
    cell = cell_of(record, data_dir, kind_of(device), any_code=True)
    context = RunContext(data_dir.resolve(), device, registry.plugins())
    again = refit(cell, context, record.result.selection)
    return Source(again.retrieval, partial(_compare_with_record, record, record.result, again))


def _compare_with_record(
    record: Record, result: Result, again: Refit, every: Sequence[Reading]
) -> tuple[dict[str, Any], list[str]]:
    """Return which cell was fitted again, and mAP@all of its record and now."""
    rule = STANDARD_PROTOCOLS[0]
    given = [reading for reading in every if reading.similarity == every[0].similarity and reading.share == 1]
    now = {reading.direction: reading.value for reading in given if reading.protocol == rule}
    drift = [
        (metric.query, metric.gallery, metric.value, value, value - metric.value)
        for metric in result.metrics
        if (base_of(metric.protocol), metric.selection) == (rule.id, result.selection)
        and (value := now.get((metric.query, metric.gallery))) is not None
    ]
    largest = max((abs(difference) for *_, difference in drift), default=0.0)
    stale, title = stale_changes(record), record.identity.title
    different = [*stale, *changes(record.environment, again.environment)]
    verdict = "the same numbers"
    if largest:
        kind = "STALE, other code made it; apart by" if stale else "DRIFT,"
        known = f"; different: {', '.join(different)}" if different else ""
        verdict = f"{kind} at most {largest:.2g}{known}"
    keys = ("query", "gallery", "record", "now", "difference")
    facts = {
        "cell": title,
        "record": record.digest,
        "selection": result.selection,
        "audit": again.audit,
        "drift": [dict(zip(keys, values, strict=True)) for values in drift],
        "changes": different,
    }
    lines = [
        f"{title}, record {record.digest}, selection {result.selection}: "
        f"fitted again in {again.environment.seconds['total']:.1f} s",
        again.audit,
        f"mAP@all of the record and now: {verdict}",
    ]
    for query, gallery, old, new, _ in drift if largest else ():
        lines.append(f"  {query}→{gallery}: {old:.6f} and {new:.6f}")
    return facts, lines
