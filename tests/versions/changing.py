"""Which versions are to be raised: from the units whose code changed and the methods whose numbers moved."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from bench.registry.code import Confirmed, Lock, UnitKind
from bench.registry.versions import CONDITIONS, HARNESS, TOOLKITS

KINDS: Final[tuple[UnitKind, ...]] = ("packages", "methods", "datasets")

Unit = tuple[UnitKind, str]


@dataclass(frozen=True)
class Change:
    """What is to be written.

    Attributes:
        lock: the new versions.
        raised: units whose version is raised.
        confirmed: units whose code changed, but not their numbers.
        unexplained: methods and datasets whose numbers moved though no unit that they depend on changed.
    """

    lock: Lock
    raised: tuple[Unit, ...]
    confirmed: tuple[Unit, ...]
    unexplained: tuple[str, ...]


def changed_units(lock: Lock, units: Mapping[UnitKind, Mapping[str, str]]) -> set[Unit]:
    """Return the units whose code is not that at which their version was confirmed, but for new ones."""
    return {
        (kind, name)
        for kind in KINDS
        for name, digest in units[kind].items()
        if name in lock[kind] and lock[kind][name].digest != digest
    }


def change_of(
    lock: Lock,
    units: Mapping[UnitKind, Mapping[str, str]],
    toolkits: Mapping[str, Collection[str]],
    moved: Collection[str],
    moved_data: Collection[str] = (),
    by_hand: Collection[str] = (),
    under_conditions: Collection[str] = (),
) -> Change:
    """Return the new versions.

    A method that moved and whose file changed is raised. A package that changed is raised if a method
    moved whose file did not change, or if all methods that depend on it moved: otherwise the package did not
    move them, and the records of the others stay valid.

    Args:
        lock: versions as they are.
        units: digest at hand of every unit.
        toolkits: of every method.
        moved: methods whose numbers moved.
        moved_data: datasets whose arrays did.
        by_hand: names of units to raise in any case.
        under_conditions: methods of which no number moved but under conditions.
    """
    changed = changed_units(lock, units)
    depends: dict[str, set[Unit]] = {
        method: {
            ("packages", name)
            for name in (*HARNESS, *toolkits[method], *([CONDITIONS] if method in under_conditions else []))
        }
        & changed
        for method in toolkits
    }
    raised: set[Unit] = {("methods", name) for name in moved} & changed
    for unit in sorted(changed):
        users = [method for method in toolkits if unit in depends[method]]
        blamed = [method for method in users if method in moved and ("methods", method) not in changed]
        if unit[0] == "packages" and (blamed or (users and set(users) <= set(moved))):
            raised.add(unit)
    raised |= {("datasets", name) for name in moved_data} & changed
    unexplained = [name for name in moved if not (depends.get(name, set()) | {("methods", name)}) & changed]
    unexplained += [name for name in moved_data if ("datasets", name) not in changed]
    raised |= {(kind, name) for kind in KINDS for name in by_hand if name in lock[kind]}
    new: Lock = {kind: {} for kind in KINDS}
    for kind in KINDS:
        for name, digest in sorted(units[kind].items()):
            version = lock[kind][name].version if name in lock[kind] else 1
            new[kind][name] = Confirmed(version + ((kind, name) in raised), digest)
    return Change(
        new,
        tuple(sorted(raised)),
        tuple(sorted(changed - raised)),
        tuple(sorted(set(unexplained) - {*by_hand})),
    )


def lock_text(lock: Lock) -> str:
    """Return the lock file, one line per unit."""
    lines = [
        "# Versions of the numbers of every unit of code, and the digest of the code that has them.",
        "# Written by `make versions`, see docs/changing-numbers.md; not to be edited.",
    ]
    for kind in KINDS:
        lines.append(f"{kind}:")
        lines += [
            f'  {name}: {{version: {one.version}, digest: "{one.digest}"}}'
            for name, one in sorted(lock[kind].items())
        ]
    return "\n".join(lines) + "\n"


assert set(TOOLKITS).isdisjoint(HARNESS)
