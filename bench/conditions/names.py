"""Conditions by name: registry, the grammar ``name/variant@level``, and their application to a dataset.

``name=FILE`` is a condition that is not drawn but read, from a file that ``data condition --write`` made or
from a label or noise index file of released code.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from abc import ABCMeta
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np

from bench import registry
from bench.conditions.base import Condition, Draws, Edited, Level
from bench.conditions.drawn import is_drawn, read_drawn, require_changes_of
from bench.conditions.label_files import read_label_file
from bench.contract import DataError, PluginError, Split, UsageError
from bench.data.fingerprint import DataChanged, sha256_of
from bench.registry import entry_points

CLEAN: Final = "clean"
SAME: Final = "same"
"""Variant word: validation rows get the same treatment as training rows."""

GRAMMAR: Final = (
    "NAME@LEVEL, NAME/VARIANT@LEVEL or NAME/VARIANT/same@LEVEL, with levels as .2/.4/.6, or NAME=FILE"
)

_DIGITS: Final = 8
"""Of a file's SHA-256, in the name of a condition: two files of one name are two conditions."""


def conditions() -> dict[str, type[Condition]]:
    """Return all conditions by name: those of this package, of installed packages and of plug-in files.

    Raises:
        PluginError: if an entry point of the group ``bench.conditions`` is no condition, a file cannot be
            imported, or a name is taken.
    """
    return _conditions(registry.plugins())


@cache
def _conditions(_plugins: tuple[str, ...]) -> dict[str, type[Condition]]:
    """Return all conditions, once for the same files given by path."""
    folder = pkgutil.iter_modules([str(Path(__file__).parent)])
    modules = [importlib.import_module(f"bench.conditions.{info.name}") for info in folder]
    classes = [(cls, module.__name__) for module in modules for cls in _classes_in(module)]
    for point in entry_points("bench.conditions"):
        cls = point.load()
        if not (isinstance(cls, ABCMeta) and issubclass(cls, Condition)):
            raise PluginError(f"entry point {point.name} of {point.value} is not a condition")
        classes.append((cls, f"entry point {point.name}"))
    given = registry.given_modules("bench.conditions")
    classes += [(cls, str(module.__file__)) for module in given for cls in _classes_in(module)]
    by_name: dict[str, type[Condition]] = {}
    for cls, where in classes:
        if cls.card.name in by_name or cls.card.name == CLEAN:
            raise PluginError(f"condition {cls.card.name!r} of {where} is defined already; rename it")
        by_name[cls.card.name] = cls
    return dict(sorted(by_name.items()))


def _classes_in(module: ModuleType) -> Iterable[type[Condition]]:
    """Return the conditions that a module defines."""
    classes: dict[str, type[Condition]] = {}
    for value in vars(module).values():
        # Before Python 3.11 a generic type passes for a class by the first test alone.
        is_class = isinstance(value, ABCMeta) and issubclass(type(value), ABCMeta)
        if is_class and issubclass(value, Condition) and value.__module__ == module.__name__:
            classes |= {} if value is Condition else {value.card.name: value}
    return classes.values()


def condition_class(name: str) -> type[Condition]:
    """Return the class of a condition.

    Raises:
        UsageError: if there is none of that name.
    """
    if name == CLEAN:
        raise UsageError(f"{CLEAN} is unchanged data and has no levels, variants or files; write {CLEAN}")
    if name not in conditions():
        near = get_close_matches(name, conditions(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"there is no condition {name!r}, only {CLEAN}, {', '.join(conditions())}{hint}")
    return conditions()[name]


@dataclass(frozen=True)
class ConditionFile:
    """A file that a condition is read from.

    Attributes:
        name: of the file, as in the name of the condition.
        digest: first digits of its SHA-256.
        path: of the file; empty if unknown.
    """

    name: str
    digest: str
    path: str = field(default="", compare=False)

    @classmethod
    def at(cls, path: Path) -> ConditionFile:
        """Return the file at a path.

        Raises:
            UsageError: if there is none, or it cannot be read.
        """
        try:
            digest = sha256_of(path)[:_DIGITS]
        except (OSError, DataError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(f"the file {path} of a condition cannot be read: {reason}") from error
        return cls(file_name(path), digest, str(path.resolve()))

    def require_unchanged(self) -> Path:
        """Return the path of the unchanged file.

        Raises:
            DataChanged: if it has moved or changed.
        """
        path = Path(self.path)
        if not self.path or not path.is_file():
            raise DataChanged(
                f"the file {self.path or self.name} that a condition is read from is gone; restore it, or "
                "give its new path: --conditions NAME=FILE"
            )
        if (now := sha256_of(path)[:_DIGITS]) != self.digest:
            raise DataChanged(
                f"{path} has changed ({now} now, {self.digest} before), so that it is another "
                "condition; restore the file, or run the cells of the new condition"
            )
        return path

    def __str__(self) -> str:
        return f"{self.name}:{self.digest}"


def file_name(path: Path) -> str:
    """Return a file's name as in the name of a condition: letters, digits and ``._+-`` alone."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", path.name)[-60:]


def name_of(condition: str) -> str:
    """Return the name of a condition from its id."""
    return re.split("[/@=]", condition)[0]


def validation_rows(condition: str) -> str:
    """Return what a condition does to validation rows, in words; empty if it is unknown or of the test."""
    cls = conditions().get(name_of(condition))
    if cls is None or not cls.card.training_only:
        return ""
    return "validation alike" if SAME in re.split("[@=]", condition)[0].split("/") else "validation clean"


@dataclass(frozen=True)
class Applied:
    """A condition at a level or from a file, as an axis of the grid.

    Attributes:
        name: of the condition.
        variant: its protocol.
        level: number, or name of a modality; empty where a file is read.
        same: whether validation rows get the same treatment; else they stay clean.
        file: with the changes of training rows; None where these are drawn.
    """

    name: str
    variant: str
    level: Level
    same: bool = False
    file: ConditionFile | None = None

    @property
    def id(self) -> str:
        """Canonical name, such as ``label-noise/per-modality@0.4`` or ``label-noise=mine.csv:1f2e3d4c``."""
        default = next(iter(condition_class(self.name).card.variants), "")
        variant = [self.variant] if self.variant != default else []
        words = [self.name, *variant, *([SAME] if self.same else [])]
        if self.file is not None:
            return f"{'/'.join(words)}={self.file}"
        level = self.level if isinstance(self.level, str) else f"{self.level:g}"
        return f"{'/'.join(words)}@{level}"

    def to(
        self, train: Split, validation: Split, scope: Sequence[str], seed: int, order: Sequence[str] = ()
    ) -> tuple[Split, Split, Level]:
        """Return training and validation rows under the condition, and the level that was reached.

        Validation rows of classes that a method is not given are left out. Arguments are those of `drawn`.
        """
        condition = condition_class(self.name)(self.variant)
        edited = self.drawn(train, scope, seed, order)
        if self.same or not condition.card.training_only:
            validation = condition.edit(validation, self.level, self._draws(scope, seed)).of(validation)
        elif (known := edited.n_classes) is not None:
            kept = {name: np.flatnonzero(part.labels < known) for name, part in validation.items()}
            validation = replace(validation.take(kept), n_classes=known)
        return edited.of(train), validation, edited.effective

    def drawn(self, train: Split, scope: Sequence[str], seed: int, order: Sequence[str] = ()) -> Edited:
        """Return the changed training rows.

        Draws depend on ``scope`` (dataset and modalities), condition and seed. ``order`` holds all modalities
        of the dataset, for files with a list for each; empty for those here.

        Raises:
            Unsupported: if the condition cannot be applied to such data.
            DataError: if a file has moved or changed, or belongs to other rows.
        """
        condition = condition_class(self.name)(self.variant)
        if self.file is None:
            return condition.edit(train, self.level, self._draws(scope, seed))
        path, group = self.file.require_unchanged(), condition.card.group
        if is_drawn(path):
            drawn = read_drawn(path, train, self.id.partition("=")[0])
            require_changes_of(condition.card, path, train, drawn)
            return condition.read(train, drawn)
        if group not in ("noise", "labels"):
            return condition.read_indices(path, train)
        edits = read_label_file(path, train, order or tuple(train), unlabelled=group == "labels")
        return condition.read(train, edits)

    def to_test(
        self, test: Split, gallery: Split | None, train: Split, scope: Sequence[str], seed: int
    ) -> tuple[Split, Split | None]:
        """Return queries and gallery under the condition; ``train`` is as before it."""
        condition = condition_class(self.name)(self.variant)
        if condition.card.training_only:
            return test, gallery
        queries, items = condition.edit_test(test, gallery, train, self.level, self._draws(scope, seed))
        return queries.of(test), None if items is None else items.of(test if gallery is None else gallery)

    def _draws(self, scope: Sequence[str], seed: int) -> Draws:
        """Return the generators of the condition."""
        return Draws((*scope, self.name, str(seed)))


def condition_of(condition: str, path: str = "") -> Applied | None:
    """Return the condition of an id; None for clean data, which has the empty id.

    ``path`` is that of the file that it is read from, if it is.

    Raises:
        UsageError: if it is unknown.
    """
    head, equals, file = condition.partition("=")
    if not equals:
        return parse_conditions([condition])[0] if condition else None
    name, _, digest = file.rpartition(":")
    return _from_file(head, condition, ConditionFile(name, digest, path))


def _from_file(head: str, word: str, file: ConditionFile) -> Applied:
    """Return the condition that a file holds; raises UsageError if no file can."""
    name, variant, same = _words(head, word)
    if same or not condition_class(name).card.in_files:
        what = "validation rows" if same else f"what {name} does"
        raise UsageError(f"{word!r}: a file holds training rows alone, not {what}; give a level after @")
    return Applied(name, variant, "", file=file)


def _words(head: str, word: str) -> tuple[str, str, bool]:
    """Return name, variant and whether validation rows are treated alike; raises UsageError for others."""
    name, *rest = head.split("/")
    card = condition_class(name).card
    variants = [part for part in rest if part != SAME]
    if len(variants) > 1 or any(part not in card.variants for part in variants):
        known = ", ".join(card.variants) or "none"
        raise UsageError(f"{word!r}: {name} has the variants {known}; write {GRAMMAR}")
    if SAME in rest and (not card.training_only or all(isinstance(one, str) for one in card.levels)):
        raise UsageError(f"{word!r}: {name} leaves no choice about validation rows; leave out /{SAME}")
    return name, variants[0] if variants else next(iter(card.variants), ""), SAME in rest


def parse_conditions(words: Sequence[str]) -> list[Applied | None]:
    """Return the conditions that words mean, None for ``clean``; a word may list levels: ``noise@.2/.4``.

    A word may name a file instead of a level: ``label-noise=FILE``. ``all`` and the groups noise, pairs,
    labels, modalities and classes mean their conditions at all levels in use.

    Raises:
        UsageError: for an unknown condition, variant or level, or a file that cannot be read.
    """
    parsed: list[Applied | None] = []
    for word in words:
        before, equals, path = word.strip().partition("=")
        if equals and "@" not in before:
            parsed.append(_from_file(before, word, ConditionFile.at(Path(path).expanduser())))
            continue
        head, at, levels = word.strip().partition("@")
        groups = {cls.card.group for cls in conditions().values()}
        if head == CLEAN and not at:
            parsed.append(None)
        elif not at and (head in groups or head == "all"):
            members = [cls for cls in conditions().values() if head in ("all", cls.card.group)]
            parsed += [
                Applied(cls.card.name, next(iter(cls.card.variants), ""), level)
                for cls in members
                for level in cls.card.levels
            ]
        else:
            name, variant, same = _words(head, word)
            given = levels.split("/") if at else map(str, _usual(condition_class(name)(variant)))
            parsed += [Applied(name, variant, _level(text, word, name, variant), same) for text in given]
    return list(dict.fromkeys(parsed))


def _usual(condition: Condition) -> list[Level]:
    """Return the usual levels that a variant has."""
    return [level for level in condition.card.levels if isinstance(level, str) or level <= condition.highest]


def _level(text: str, word: str, name: str, variant: str) -> Level:
    """Return a level as its condition takes it: that of the id, which has six digits."""
    condition = condition_class(name)(variant)
    levels, most = _usual(condition), condition.highest
    named = any(isinstance(level, str) for level in levels)
    try:
        level: Level = condition.named_level(text) if named else float(f"{float(text):g}") + 0.0  # -0 is 0
    except ValueError:
        level = -1.0
    numbers = [known for known in levels if not isinstance(known, str)]
    factor = min(numbers, default=0.0) > 1
    if not isinstance(level, str) and not (
        0 <= level <= most and (level in (0, 1) or level > 1 or not factor)
    ):
        limits = "" if named else f"{'0 or ' if factor else ''}a number from {int(factor)} to {most:g}, "
        usual = ", ".join(known if isinstance(known, str) else f"{known:g}" for known in levels)
        raise UsageError(
            f"{word!r}: {text!r} is not a level of {name} ({limits}such as {usual}); write {GRAMMAR}"
        )
    return level
