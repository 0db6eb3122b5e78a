"""Where the embeddings come from that `explain` reads: files, or a recorded cell that is fitted again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.phrases import printable
from bench.contract.errors import DataError, RefusedEmbeddings, UsageError

if TYPE_CHECKING:
    from bench.evaluation.conventions import Reading
    from bench.evaluation.retrieval import Retrieval
    from bench.experiment.refit import Refit
    from bench.records.schema import Record


@dataclass(frozen=True)
class FromFiles:
    """Embeddings that somebody has; ``shapes`` is (rows, width) by modality."""

    words: tuple[str, ...]
    shapes: dict[str, tuple[int, int]]
    retrieval: Retrieval

    def facts(self, _found: Sequence[Reading]) -> dict[str, Any]:
        """Return what is known of them, as plain data."""
        return {"embeddings": list(self.words), "shapes": self.shapes}

    def lines(self, _found: Sequence[Reading]) -> list[str]:
        """Return the same in words."""
        shapes = "; ".join(f"{name}: {rows} rows of {width}" for name, (rows, width) in self.shapes.items())
        return [f"{', '.join(self.words)}: {shapes}"]


@dataclass(frozen=True)
class FromCell:
    """Embeddings of a recorded cell that was fitted again."""

    record: Record
    again: Refit

    @property
    def retrieval(self) -> Retrieval:
        """What is ranked."""
        return self.again.retrieval

    def facts(self, found: Sequence[Reading]) -> dict[str, Any]:
        """Return which cell it is, and mAP@all of its record and now."""
        assert self.record.result is not None
        return {
            "cell": self.record.identity.title,
            "record": self.record.digest,
            "selection": self.record.result.selection,
            "audit": self.again.audit,
            "drift": [
                {"query": query, "gallery": gallery, "record": old, "now": new, "difference": new - old}
                for query, gallery, old, new in self._both(found)
            ],
            "changes": self._changes(),
        }

    def lines(self, found: Sequence[Reading]) -> list[str]:
        """Return the same in words."""
        assert self.record.result is not None
        run, both = self.again.environment, self._both(found)
        largest = max((abs(new - old) for _, _, old, new in both), default=0.0)
        difference = "STALE, other code made it; apart by" if self._stale() else "DRIFT,"
        verdict = "the same numbers" if largest == 0 else f"{difference} at most {largest:.2g}"
        changed = self._changes()
        known = f"; different: {', '.join(changed)}" if changed else ""
        return [
            f"{self.record.identity.title}, record {self.record.digest}, selection "
            f"{self.record.result.selection}: fitted again in {run.seconds['total']:.1f} s",
            self.again.audit,
            f"mAP@all of the record and now: {verdict}{known if largest else ''}",
            *(
                f"  {query}→{gallery}: {old:.6f} and {new:.6f}"
                for query, gallery, old, new in both
                if largest
            ),
        ]

    def _both(self, found: Sequence[Reading]) -> list[tuple[str, str, float, float]]:
        """Return (query, gallery, number of the record, number now) under the records' own rule."""
        from bench.evaluation import STANDARD_PROTOCOLS

        assert self.record.result is not None
        rule = STANDARD_PROTOCOLS[0]
        now = {one.direction: one.value for one in found if one.protocol == rule and one.share == 1}
        return [
            (metric.query, metric.gallery, metric.value, value)
            for metric in self.record.result.metrics
            if (metric.protocol, metric.selection) == (rule.id, self.record.result.selection)
            and (value := now.get((metric.query, metric.gallery))) is not None
        ]

    def _changes(self) -> list[str]:
        from bench.analysis.drift import changes

        return [*self._stale(), *changes(self.record.environment, self.again.environment)]

    def _stale(self) -> tuple[str, ...]:
        from bench.experiment.stale import stale_changes

        return stale_changes(self.record)


def from_files(words: Sequence[str]) -> FromFiles:
    """Read embeddings from files; see `bench.data.embeddings.read_embeddings`.

    Raises:
        UsageError: for words of another form, fewer than two modalities, or labels of two kinds.
        DataError: if a file is not as described, or its embeddings cannot be ranked.
    """
    from bench.data.embeddings import read_embeddings
    from bench.evaluation.retrieval import Retrieval

    found = read_embeddings(words)
    rows, labels = ({name: one[column] for name, one in found.items()} for column in (0, 1))
    try:
        retrieval = Retrieval.of_embeddings(rows, labels)
    except RefusedEmbeddings as error:
        raise DataError(f"{', '.join(words)}: {error}") from error
    return FromFiles(tuple(words), {name: own.shape for name, own in rows.items()}, retrieval)


def from_cell(found: Sequence[Record], device: str, data_dir: Path) -> FromCell:
    """Fit the one cell that is meant again, in this process.

    Args:
        found: records that fit the words; of several seeds the first is taken.
        device: torch name of the device.
        data_dir: folder of the data files.

    Raises:
        BenchError: if several cells fit, the cell has no result, or it cannot be run again.
    """
    from bench import registry
    from bench.cli.places import kind_of
    from bench.experiment.refit import cell_of, refit
    from bench.experiment.run_context import RunContext

    record = _the_one(found)
    if record.result is None:
        assert record.failure is not None
        raise UsageError(
            printable(f"{record.identity.title} has no embeddings: {record.status}: {record.failure.reason}")
        )
    cell = cell_of(record, data_dir, kind_of(device), any_code=True)
    place = RunContext(data_dir.resolve(), device, registry.plugins())
    return FromCell(record, refit(cell, place, record.result.selection))


def _the_one(found: Sequence[Record]) -> Record:
    from bench.cli.finding import narrowing

    first = found[0]
    others = [one for one in found if not _same_but_seed(one, first)]
    if others:
        ways = "; or ".join(narrowing(one, found) for one in found[:4])
        raise UsageError(f"{len(found)} cells fit; say which, such as: {ways}")
    return first


def _same_but_seed(one: Record, other: Record) -> bool:
    import msgspec

    return msgspec.structs.replace(one.identity, seed=other.identity.seed) == other.identity
