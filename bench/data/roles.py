"""Roles of the arrays of a file, from key names that are common in the field.

Keys such as ``train_image`` and ``train_image_labels`` are taken literally: a modality keeps the name that
its user gave it. Otherwise keys are cut into words (``ImgTrain``, ``I_tr``, ``train/text_feat``), and words
for parts, modalities and labels decide.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.contract import DataError
from bench.data.formats.array_file import ArrayFile
from bench.data.keys import Ambiguous, Choices, Keys, Role
from bench.data.proposals import NoFeatures, no_features, one_modality, refuse_numbered, unnamed
from bench.data.words import (
    GENERIC,
    KNOWN,
    MODALITIES,
    MODALITY_OF,
    PART_OF,
    SUFFIXES,
    WHAT_OF,
    What,
    has_known_word,
    part_of,
    without_parts,
    words_of,
)

_SPLITS: Final = ("split", "splits", "set", "subset", "partition", "fold")
_PAIRED: Final = ("paired", "aligned", "unpaired")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def roles_of(source: ArrayFile, choices: Choices | None = None) -> Keys:
    """Return the role of each array, by keys and numbers of dimensions alone, or as ``choices`` state.

    Raises:
        DataError: if there are no features to train or test on, or two arrays could be the same thing.
    """
    choices, keys, lists = choices or Choices(), source.keys(), set[str]()
    lists_of_arrays = {key.rpartition("/")[0] for key in keys}
    keys = [key for key in keys if key not in lists_of_arrays]
    for key in keys:
        with suppress(DataError):  # reported when it is read
            shape = source.shape(key)
            lists |= {key} if len(shape) < 2 or (len(shape) == 2 and 1 in shape) else set()
    try:
        return _Roles(source.path, keys, choices, lists).found()
    except Ambiguous:
        raise
    except DataError:
        last = [key.rpartition("/")[2].removeprefix("arr_") for key in keys]  # as numpy.savez names arrays
        named = any(has_known_word(key) for key in keys) or not all(map(str.isdigit, last))
        if not named and len(keys) > 1:
            raise unnamed(source, keys) from None
        rest = {k for k in lists if WHAT_OF.keys() & words_of(k) or not MODALITY_OF.keys() & words_of(k)}
        with suppress(DataError):  # a list is where features are expected
            return _Roles(source.path, keys, choices, rest).found()
        raise


class _Roles:
    """The keys of one file; those in ``lists`` have no two dimensions and are no features."""

    def __init__(self, path: Path, keys: Sequence[str], choices: Choices, lists: Collection[str]) -> None:
        self.path, self.keys, self.choices, self.lists = path, keys, choices, lists
        self.stated, self.rest = Keys(), list[str]()
        self.command = f"python -m bench data import {path} --output mine.npz"
        self._take_out_statements()

    def found(self) -> Keys:
        """Return the role of each key: literally, or else by the words in the keys."""
        choices = self.choices
        if choices.modalities or choices.labels or choices.split or choices.test_share:
            return self.by_words()
        try:
            literal = self.literal()
        except Ambiguous:
            raise
        except DataError as error:
            try:
                return self.by_words()
            except Ambiguous:
                raise
            except DataError as other:
                raise (other if isinstance(error, NoFeatures) else error) from None
        if not all(role.modality for role in literal.roles if role.what == "labels"):
            with suppress(DataError):  # with labels for all modalities it is no bundle, whose names must stay
                return self.by_words()
        return literal

    def _take_out_statements(self) -> None:
        """Take out the keys that state something of the whole file."""
        found = self.stated
        of_parts = any(
            part_of(words_of(key), PART_OF) == "train" for key in self.keys if key not in self.lists
        )
        splits = () if self.choices.split_key or of_parts else _SPLITS
        for key in self.keys:
            word = key.lower().rpartition("/")[2]
            part, _, last = word.rpartition("_")
            list_of_parts = (not found.split and word in splits) or (splits and last == "split")
            if key == self.choices.split_key or list_of_parts:
                found.split = found.split or key
                found.splits.append(key)
            elif word in ("multi_label", "multilabel"):
                found.multi_label = key
            elif word in ("class_names", "classnames", "label_names"):
                found.class_names = key
            elif last in _PAIRED and (part in ("", "is", "are") or part in PART_OF):
                found.paired[PART_OF.get(part, "")] = key
            elif word != "card":  # which states how `data extract` made the features
                self.rest.append(key)

    def literal(self) -> Keys:
        """Read keys as those of a feature bundle: ``{part}_{modality}``, with ``_labels`` or ``_ids``."""
        found = self.stated.copy(literal=True)
        for key in self.rest:
            word, _, last = key.replace("/", "_").partition("_")
            part = PART_OF.get(word.lower(), "")
            named = last if part else key
            if not named or (not part and not found.split):
                found.unused.append(key)
                continue
            name, _, suffix = named.rpartition("_")
            what = SUFFIXES.get(suffix.lower(), "features")
            if what == "features" and key in self.lists:
                stem = without_parts(words_of(key), PART_OF)
                seen = self._of_last_name(key, part, stem) or _role(part, stem, True)
                if seen is not None and seen.what != "features":
                    raise DataError(f"{self.path}, key {key!r}: a list, where a matrix is expected")
                found.unused.append(key)
                continue
            name = named if what == "features" else name
            if name and not _NAME.fullmatch(name):
                raise DataError(
                    f"{self.path}, key {key!r}: {name!r} is no name for a modality; use letters and digits, "
                    f"or give a name: {self.command} --modality NAME={key}"
                )
            self._put(found, Role(part, what, name), key)
        self._checked(found)
        for role, key in found.roles.items():
            if role.what != "features" and role.modality and role.modality not in found.features(role.part):
                raise DataError(
                    f"{self.path}, key {key!r}: there are no features '{role.part}_{role.modality}' that "
                    f"these {role.what} could belong to"
                )
        return found

    def _put(self, found: Keys, role: Role, key: str) -> None:
        """Give a key a role; raises `Ambiguous` if another has that of features or labels."""
        known = found.roles.setdefault(role, key)
        if known == key:
            return
        if role.what not in ("features", "labels"):
            found.others.append((role, key))
            return
        option = "--labels "
        if role.what == "features":
            option = f"--{role.modality} " if role.modality in MODALITIES else f"--modality {role.modality}="
        command = f"{self.command} {option}"
        raise Ambiguous(
            f"{self.path}: {known!r} and {key!r} could both be the "
            f"{f'{role.part} {role.describe()}'.strip()}; say which: {command}{known} or {command}{key}"
        )

    def by_words(self) -> Keys:
        """Read keys by the words in them."""
        found, choices = self.stated.copy(literal=False), self.choices
        words = self._words()
        parts = {word.lower(): part for part, word in choices.split.items()} or dict(PART_OF)
        others = any(WHAT_OF.get(word) == "labels" for listed in words.values() for word in listed)
        chosen = {Role("", "features", name): key for name, key in choices.modalities.items()}
        chosen |= {Role("", "labels", ""): choices.labels} if choices.labels else {}
        stems = {without_parts(words.get(key) or words_of(key), parts): role for role, key in chosen.items()}
        whole: list[tuple[Role, str]] = []
        for key in sorted(words, key=lambda key: not key.endswith("_ids") or key[:-4] not in words):
            part, stem = part_of(words[key], parts), without_parts(words[key], parts)
            role = self._of_words(key, words, parts, stems, others)
            if role is not None and stem not in stems and role.what in {one.what for one in chosen}:
                role = None
            if role is None or (role.what == "features" and key in self.lists):
                found.unused.append(key)
            elif role.what == "rows":
                found.rows[part] = key
            elif part or found.split:
                self._put(found, role, key)
            else:
                whole.append((role, key))
        for part, word in choices.split.items():  # of which one may mean two parts
            same = parts[word.lower()]
            found.roles |= {
                role._replace(part=part): key for role, key in [*found.roles.items()] if role.part == same
            }
        self._settle_rows(found, whole)
        self._require_train(found, words)
        self._settle_labels(found)
        for role in [role for role in found.roles if role.modality and role.what != "features"]:
            if role.modality not in found.features(role.part):
                found.unused.append(found.roles.pop(role))
        self._checked(found)
        return found

    def _words(self) -> dict[str, list[str]]:
        """Return the words of each key, without folders and unknown words that all keys have."""
        prefix = ""
        for names in zip(*(key.split("/")[:-1] for key in self.rest), strict=False):
            if len({*names}) > 1:
                break
            prefix += f"{names[0]}/"
        words = {key: words_of(key.removeprefix(prefix)) for key in self.rest}
        of_all = [{*listed} for listed in words.values() if "rows" not in map(WHAT_OF.get, listed)]
        silent = set.intersection(*of_all) - KNOWN if len(of_all) > 2 else set()
        return {key: [word for word in listed if word not in silent] for key, listed in words.items()}

    def _settle_labels(self, found: Keys) -> None:
        """Take labels that name no modality of a part (``meta/class_name``) for those of all, if alone."""
        for part in found.parts:
            names = {"", *found.features(part)}
            listed = {role: key for role, key in found.roles.items() if role[:2] == (part, "labels")}
            if not any(role.modality in names for role in listed):
                for role, key in listed.items():
                    del found.roles[role]
                    self._put(found, Role(part, "labels", ""), key)

    def _settle_rows(self, found: Keys, given: Sequence[tuple[Role, str]]) -> None:
        """Take arrays of all rows, and lists that cut them into parts, where there are no other arrays.

        Arrays that name no part are of train, beside arrays of test with the same names (``X``, ``X_test``).
        """
        path, share, whole = self.path, self.choices.test_share, dict[Role, str]()
        for role, key in given:
            whole.setdefault(role, key)
        features = {role.modality: key for role, key in whole.items() if role.what == "features"}
        if found.features("train") or found.split or len(features) < 2:
            if len(features) == 1 and not any(role.what == "features" for role in found.roles):
                raise one_modality(path, *features.popitem())
            found.unused += [*(key for _, key in given), *found.rows.values()]
            found.rows = {}
            if share:
                raise DataError(f"{path}: a share of test rows is given, but not all arrays are of all rows")
            return
        if Role("", "ids", "") in whole and "train" not in found.rows:
            ids = [role for role in found.roles if role.what == "ids" and not role.modality]
            found.rows = {role.part: found.roles.pop(role) for role in ids}
        tests = found.features("test")
        asked = any("query" in key.lower() for key in tests.values())  # of what may be a database
        if share:
            found.unused += found.rows.values()
            found.share, found.rows = share, {}
        elif "train" not in found.rows and features.keys() == tests.keys() and not asked:
            found.roles |= {role._replace(part="train"): key for role, key in whole.items()}
            return
        elif "train" not in found.rows:
            refuse_numbered(path, self.rest, _called)
            named = ", ".join(f"{role.describe()} = {key}" for role, key in [*whole.items()][:12])
            raise DataError(
                f"{path}: its arrays are of all rows ({named}), and no list states which rows are of train "
                "or of test; add a list 'split' of the words train and test (also validation, gallery), "
                "or lists 'train_index' and 'test_index' of row numbers. A list may be in another file: "
                f"python -m bench data import {path} split.csv --output mine.npz. To draw a fifth of each "
                f"class for test: {self.command} --split test=0.2"
            )
        found.unused += found.roles.values()
        found.roles = {}
        for role, key in given:
            self._put(found, role, key)

    def _require_train(self, found: Keys, words: Mapping[str, Sequence[str]]) -> None:
        """Refuse a gallery without rows to train on, with the command that trains on the gallery."""
        if found.of_all_rows or found.features("train") or not found.features("gallery"):
            return
        word_of = {"test": "test"}
        for part in ("gallery", "test"):
            for key in [*found.features(part).values()][:1]:
                word_of[part] = next(word for word in words[key] if PART_OF.get(word) == part)
        options = {"train": word_of["gallery"], "gallery": word_of["gallery"], "test": word_of["test"]}
        raise DataError(
            f"{self.path}: no train features, but a gallery; to train on it: {self.command} "
            + " ".join(f"--split {part}={word}" for part, word in options.items())
        )

    def _of_words(
        self,
        key: str,
        words: Mapping[str, Sequence[str]],
        parts: Mapping[str, str],
        stems: Mapping[tuple[str, ...], Role],
        others: bool,
    ) -> Role | None:
        """Return the role of a key by its words, as stated of the same words, or as ids of an array."""
        part, stem = part_of(words[key], parts), without_parts(words[key], parts)
        if stem in stems:
            return stems[stem]._replace(part=part)
        array = key[:-4] if key.endswith("_ids") else ""  # such as a dict with ids, whatever it is called
        known = self._of_words(array, words, parts, stems, others) if array in words else None
        of_all = known is not None and known.what == "labels" and known.modality not in MODALITIES
        if known is not None and (of_all or known.what == "features"):
            return Role(part, "ids", "" if of_all else known.modality)
        if key not in self.lists:
            stem = tuple(word for word in stem if WHAT_OF.get(word) not in ("ids", "missing", "present"))
        return self._of_last_name(key, part, stem) or _role(part, stem, others)

    def _of_last_name(self, key: str, part: str, stem: Sequence[str]) -> Role | None:
        """Return the role of a list whose last name tells it: ids, or rows of a part; None for others."""
        last = words_of(key.rpartition("/")[2])
        if key not in self.lists:
            return None
        if "/" in key and last in (["id"], ["ids"]):
            return Role(part, "ids", next((MODALITY_OF[word] for word in stem if word in MODALITY_OF), ""))
        others = any(word in MODALITY_OF or WHAT_OF.get(word, "rows") != "rows" for word in stem)
        numbers = "rows" in map(WHAT_OF.get, stem) and "/" in key and not others  # param/indexTrain
        numbers &= all(word in PART_OF or WHAT_OF.get(word) == "rows" for word in last)
        return Role(part, "rows", "") if part and (not stem or numbers) else None  # train.txt

    def _checked(self, found: Keys) -> None:
        """Refuse roles that make no dataset."""
        path = self.path
        found.settle_others()
        needed = ("",) if found.of_all_rows else ("train", "test")
        for part in needed:
            if not found.features(part):
                raise no_features(path, part, self.keys)
        names = [*found.features(needed[0])]
        for part in found.parts:
            here = [*found.features(part)]
            if not found.of_all_rows and set(here) != set(names):
                raise DataError(f"{path}: train has the modalities {names}, {part} has {here}")
            labels = [role for role in found.roles if role[:2] == (part, "labels")]
            with_ids = all(found.of(part, "ids", name) for name in here)
            if len(labels) == 1 and (found.paired or with_ids):  # those of one modality are those of all
                modality = labels[0].modality
                found.roles.setdefault(Role(part, "labels", ""), found.roles[labels[0]])
                if modality and with_ids:
                    found.roles.setdefault(Role(part, "ids", ""), str(found.of(part, "ids", modality)))
            for name in here:
                if found.of(part, "labels", name) is None:
                    key = f"{found.features(part)[name]}_labels"
                    shared, others = f"{part}_labels" if part else "labels", ", ".join(found.unused[:8])
                    hint = f"; not used: {others}; if one holds the labels, add: --labels KEY to: "
                    hint += self.command
                    raise DataError(
                        f"{path}: key {key!r} is missing (or {shared!r}, for all modalities)"
                        + (hint if others else "")
                    )
        if len(names) < 2:
            raise one_modality(path, names[0], found.features(needed[0])[names[0]])


def _called(name: str) -> str:
    """Return what the last name of a key means, in words."""
    role = _role("", words_of(name), True)
    return role.describe() if role else name


def _role(part: str, stem: Sequence[str], labels_elsewhere: bool) -> Role | None:
    """Return the role of a key by its words without that of its part."""
    if "y" in stem and not labels_elsewhere:
        what: What = "labels"
    elif stem[-1:] == ("ids",):  # of labels, too
        what = "ids"
    else:
        meant = [WHAT_OF[word] for word in stem if word in WHAT_OF]
        what = "labels" if meant[:1] == ["ids"] and "labels" in meant else next(iter(meant), "features")
    silent = {*WHAT_OF, "all", *(("y", "x") if what == "labels" else ())}
    rest = [word for word in stem if word not in silent]
    if labels_elsewhere and rest in (["x"], ["y"]):  # the classical pair of matrices with labels beside it
        return Role(part, what, "image" if rest == ["x"] else "text")
    named = [MODALITY_OF[word] for word in rest if word in MODALITY_OF]
    if what == "rows":
        if named and "mask" in stem:
            return Role(part, "present", named[0])
        return Role(part, what, "") if part and not rest else None
    if named:
        return Role(part, what, named[0])
    special = [word for word in rest if word not in GENERIC] or rest
    if not special and what == "features":
        return None
    name = "_".join(special)
    name = f"view{name}" if name.isdigit() else name
    if what == "features" and not _NAME.fullmatch(name):
        raise DataError(f"{name!r} is no name for a modality; use letters and digits")
    return Role(part, what, "" if what != "features" and set(rest) <= GENERIC else name)
