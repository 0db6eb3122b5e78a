"""Keys of a dataset's arrays: the role of each array, from its name or as stated by the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.contract import DataError
from bench.data.words import PARTS, What


class Role(NamedTuple):
    """What an array is: of which part (empty: of all rows) and modality (empty: of all)."""

    part: str
    what: What
    modality: str

    def describe(self) -> str:
        """Return it in words, without the part."""
        return self.modality if self.what == "features" else f"{self.modality} {self.what}".strip()


@dataclass
class Keys:
    """The keys of a dataset's arrays.

    Attributes:
        roles: key of each array that is used.
        paired: key that states pairs, by part; under the empty part for all.
        multi_label: key that states whether rows may have several classes; empty if none does.
        split: key of the list of the part of each row; empty where arrays are of one part.
        splits: keys of such lists in all, where modalities have different numbers of rows.
        rows: key of each part's row numbers (or mask of rows), where arrays are of all rows.
        class_names: key of the names of classes; empty if there is none.
        share: of the rows that is drawn for test, where arrays are of all rows without any list of parts.
        others: further keys with the role of another, but for features and labels.
        same: pairs of keys whose arrays must be equal.
        unused: other keys.
        literal: whether the keys are the ones of a feature bundle.
    """

    roles: dict[Role, str] = field(default_factory=dict)
    paired: dict[str, str] = field(default_factory=dict)
    multi_label: str = ""
    split: str = ""
    class_names: str = ""
    splits: list[str] = field(default_factory=list)
    rows: dict[str, str] = field(default_factory=dict)
    share: float = 0.0
    others: list[tuple[Role, str]] = field(default_factory=list)
    same: list[tuple[str, str]] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    literal: bool = True

    def copy(self, literal: bool) -> Keys:
        """Return keys with these statements on the whole file, and no roles."""
        return Keys(
            {}, self.paired, self.multi_label, self.split, self.class_names, self.splits, literal=literal
        )

    def features(self, part: str) -> dict[str, str]:
        """Return the key of each modality's features."""
        return {role.modality: key for role, key in self.roles.items() if role[:2] == (part, "features")}

    def of(self, part: str, what: What, modality: str) -> str | None:
        """Return the key of a modality's labels or the like, which may be those of all modalities."""
        return self.roles.get(Role(part, what, modality)) or self.roles.get(Role(part, what, ""))

    def settle_others(self) -> None:
        """Take ids in the table of the labels for those of labels, beside which others are those of features.

        Where nothing tells of two lists what they belong to, they must be the same.
        """
        for role, key in self.others:
            known, labels = self.roles[role], self.roles.get(Role(role.part, "labels", ""), "")
            tables = {one.rpartition("/")[0]: one for one in (known, key)}
            beside = tables.pop(labels.rpartition("/")[0], "") if labels else ""
            if role.what == "ids" and not role.modality and beside and tables:
                self.roles[role], (other,) = beside, tables.values()
                for name in self.features(role.part):
                    self.roles.setdefault(Role(role.part, "ids", name), other)
            else:
                self.same.append((known, other := key))
            self.unused += [other] * (other not in self.roles.values())
        self.others.clear()

    @property
    def of_all_rows(self) -> bool:
        """Whether arrays are of all rows, to be cut into parts."""
        return bool(self.split or self.rows or self.share)

    @property
    def parts(self) -> list[str]:
        """The parts that have features, in the order of use."""
        return [part for part in ("", *PARTS) if self.features(part)]

    def describe(self) -> Iterator[str]:
        """Yield sentences on what was understood."""
        if not self.literal:
            for part in self.parts:
                read = [
                    f"{role.describe()} = {key}"
                    for role, key in sorted(self.roles.items())
                    if role.part == part
                ]
                yield f"{part or 'all rows'}: {', '.join(read)}"
            if self.rows:
                yield "rows: " + ", ".join(f"{part} = {key}" for part, key in self.rows.items())
        if self.unused:
            more = f" and {len(self.unused) - 8} more" if len(self.unused) > 8 else ""
            yield f"not used: {', '.join(self.unused[:8])}{more}"


class Ambiguous(DataError):
    """Two arrays could be the same thing."""


@dataclass(frozen=True)
class Choices:
    """What a user states of a file: these decide before any guess.

    Attributes:
        modalities: key of each modality's features in any part, such as ``{"image": "train_imgs_deep"}``.
        labels: key of the labels in any part.
        split: word in the keys for a part, such as ``{"test": "query"}``.
        split_key: key of the list of parts.
        test_share: share of the rows to draw for test, where arrays are of all rows.
        paired: whether rows correspond.
        multi_label: whether rows may have several classes.
    """

    modalities: Mapping[str, str] = field(default_factory=dict)
    labels: str = ""
    split: Mapping[str, str] = field(default_factory=dict)
    split_key: str = ""
    test_share: float = 0.0
    paired: bool | None = None
    multi_label: bool | None = None
