"""Drift: compares two records of the same cell, and names versions, machine or device that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.records.schema import Environment, Record, Result, Series

ELSEWHERE: Final = 0.01
"""Tolerance of numbers where versions, machine or device differ: as between published values and ours."""

_MACHINE: Final = ("platform", "processor")


class Recorded(NamedTuple):
    """A record with its average precisions per query."""

    record: Record
    per_query: Mapping[Series, NDArray[np.float64]]


@dataclass(frozen=True)
class Drift:
    """Differences between two records of one cell."""

    numbers: int  # how many both have
    largest: float  # largest difference between two of them, without sign
    largest_at: str  # which number that is; empty where none differs
    per_query: float  # largest difference between two average precisions of one query
    lacking: tuple[str, ...]  # numbers that only one of them has
    otherwise: tuple[str, ...]  # parts of the result whose bytes differ, such as ``metrics`` and ``selected``
    comparable: bool  # whether code, versions, machine and device are the same, so that the bytes must be

    @property
    def identical(self) -> bool:
        """Whether the results and the average precisions per query are the same bytes."""
        return not (self.largest or self.per_query or self.lacking or self.otherwise)

    def tolerance(self, given: float | None) -> float:
        """Return the tolerance of the numbers: the given one, else 0 or `ELSEWHERE`."""
        return (0.0 if self.comparable else ELSEWHERE) if given is None else given

    def agrees(self, tolerance: float | None = None) -> bool:
        """Whether the numbers agree within the tolerance; within none, the bytes must be the same."""
        tolerance = self.tolerance(tolerance)
        return self.identical or (tolerance > 0 and self.largest <= tolerance and not self.lacking)


def drawn(records: Sequence[Record], cells: int, seed: int) -> list[Record]:
    """Return finished records drawn at random, the same for the same records and seed, in the order drawn.

    Another record more or less changes at most one of those drawn.
    """
    done = [record for record in records if record.status == "done"]
    return sorted(done, key=lambda record: sha256(f"{seed} {record.digest}".encode()).hexdigest())[:cells]


def drift_of(old: Recorded, new: Recorded) -> Drift:
    """Compare two finished records of one cell."""
    results = [each.record.result for each in (old, new)]
    before, after = (
        {
            f"{metric.query}→{metric.gallery} {metric.protocol} ({metric.selection})": metric.value
            for metric in (result.metrics if result else ())
        }
        for result in results
    )
    gaps = {name: abs(after[name] - before[name]) for name in before if name in after}
    largest_at = max(gaps, key=lambda name: gaps[name], default="")
    parts = [
        {
            name: msgspec.json.encode(getattr(each, name), order="sorted")
            for name in Result.__struct_fields__
            if name != "audit"  # a sentence, which versions of this program word differently
        }
        for each in results
    ]
    cells = [each.record.identity for each in (old, new)]
    same_code = len({(cell.harness, cell.code) for cell in cells}) == 1
    return Drift(
        numbers=len(gaps),
        largest=gaps.get(largest_at, 0.0),
        largest_at=largest_at if gaps.get(largest_at) else "",
        per_query=_per_query(old.per_query, new.per_query),
        lacking=tuple(sorted(before.keys() ^ after.keys())),
        otherwise=tuple(name for name in parts[0] if parts[0][name] != parts[1][name]),
        comparable=same_code and comparable(old.record.environment, new.record.environment),
    )


def comparable(old: Environment, new: Environment) -> bool:
    """Return whether the same code gives the same bytes in both: same versions, machine, kind of device."""
    old_host, new_host = (tuple(each.host.get(name, "") for name in _MACHINE) for each in (old, new))
    return (old.versions, old_host, _kind(old)) == (new.versions, new_host, _kind(new))


def changes(old: Environment, new: Environment) -> list[str]:
    """Return in words what was different: versions, machine, device, commit and the method's file."""
    names = sorted(old.versions.keys() | new.versions.keys())
    pairs = [(name, old.versions.get(name, "absent"), new.versions.get(name, "absent")) for name in names]
    pairs += [(name, old.host.get(name, ""), new.host.get(name, "")) for name in ("name", *_MACHINE)]
    pairs += [("device", _kind(old), _kind(new)), ("commit", _commit(old), _commit(new))]
    words = [f"{name} {was or 'unknown'} → {now or 'unknown'}" for name, was, now in pairs if was != now]
    return words + (["the method's file has changed"] if old.source != new.source else [])


def _per_query(old: Mapping[Series, NDArray[np.float64]], new: Mapping[Series, NDArray[np.float64]]) -> float:
    """Return the largest difference; infinite for other queries."""
    if {name: values.shape for name, values in old.items()} != {name: new[name].shape for name in new}:
        return float("inf")
    return max((float(np.abs(new[name] - old[name]).max(initial=0.0)) for name in old), default=0.0)


def _kind(environment: Environment) -> str:
    return environment.device.partition(":")[0]


def _commit(environment: Environment) -> str:
    return environment.commit[:8] + (" with uncommitted changes" if environment.dirty else "")
