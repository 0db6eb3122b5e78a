"""Computes which versions to raise, from the units whose code changed and the methods whose numbers moved."""

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
    """New versions to be written.

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
    """Return the known units whose code differs from the code that their version was confirmed with."""
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
        units: present digest of every unit.
        toolkits: of every method.
        moved: methods whose numbers moved.
        moved_data: datasets whose arrays changed.
        by_hand: names of units to raise in any case.
        under_conditions: methods whose numbers moved only under conditions.
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
    raised = _changed_packages_that_moved(changed, depends, moved)
    raised |= {("methods", name) for name in moved} & changed
    raised |= {("datasets", name) for name in moved_data} & changed
    raised |= {(kind, name) for kind in KINDS for name in by_hand if name in lock[kind]}
    unexplained = [name for name in moved if not (depends.get(name, set()) | {("methods", name)}) & changed]
    unexplained += [name for name in moved_data if ("datasets", name) not in changed]
    return Change(
        _raised_lock(lock, units, raised),
        tuple(sorted(raised)),
        tuple(sorted(changed - raised)),
        tuple(sorted(set(unexplained) - {*by_hand})),
    )


def _changed_packages_that_moved(
    changed: Collection[Unit], depends: Mapping[str, Collection[Unit]], moved: Collection[str]
) -> set[Unit]:
    """Return the changed packages that explain why methods moved; ``depends`` has those of every method."""
    raised: set[Unit] = set()
    for unit in changed:
        users = {method for method, packages in depends.items() if unit in packages}
        unedited = {method for method in users & set(moved) if ("methods", method) not in changed}
        if unit[0] == "packages" and (unedited or (users and users <= set(moved))):
            raised.add(unit)
    return raised


def _raised_lock(lock: Lock, units: Mapping[UnitKind, Mapping[str, str]], raised: Collection[Unit]) -> Lock:
    """Return the versions of all units, those of ``raised`` higher by one; a new unit has version 1."""
    new: Lock = {kind: {} for kind in KINDS}
    for kind in KINDS:
        for name, digest in sorted(units[kind].items()):
            version = lock[kind][name].version if name in lock[kind] else 1
            new[kind][name] = Confirmed(version + ((kind, name) in raised), digest)
    return new


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
