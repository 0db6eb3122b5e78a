"""Which array of a file is what: the naming habits of the field, as roles of keys.

Keys such as ``train_image`` and ``train_image_labels`` are taken literally: a modality keeps the name that
its user gave it. Otherwise keys are cut into words (``ImgTrain``, ``I_tr``, ``train/text_feat``), and words
for parts, modalities and labels decide.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.contract import DataError
from bench.data.formats.array_file import ArrayFile
from bench.data.keys import Ambiguous, Choices, Keys, Role
from bench.data.words import (
    GENERIC,
    KNOWN,
    MODALITIES,
    MODALITY_OF,
    PART_OF,
    SUFFIXES,
    WHAT_OF,
    What,
    part_of,
    says_something,
    without_parts,
    words_of,
)

_SPLITS: Final = ("split", "splits", "set", "subset", "partition", "fold")
_PAIRED: Final = ("paired", "aligned", "unpaired")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class _NoFeatures(DataError):
    """No array is of a part that is needed."""


def roles_of(source: ArrayFile, choices: Choices | None = None) -> Keys:
    """Find out which array is what, by keys and numbers of dimensions alone.

    Args:
        source: open file.
        choices: what its user says.

    Raises:
        DataError: if there are no features to train or test on, or two arrays could be the same thing.
    """
    choices, keys, lists = choices or Choices(), source.keys(), set[str]()
    lists_of_arrays = {key.rpartition("/")[0] for key in keys}
    keys = [key for key in keys if key not in lists_of_arrays]
    for key in keys:
        with suppress(DataError):  # said when it is read
            shape = source.shape(key)
            lists |= {key} if len(shape) < 2 or (len(shape) == 2 and 1 in shape) else set()
    try:
        return _roles(source.path, keys, choices, lists)
    except DataError as error:
        named = any(says_something(key) or not key.rpartition("/")[2].isdigit() for key in keys)
        if not named and len(keys) > 1:
            raise _unnamed(source, keys) from None
        try:
            return _roles(source.path, keys, choices, set())  # else a list stands where features should
        except DataError:
            raise error from None


def _unnamed(source: ArrayFile, keys: Sequence[str]) -> DataError:
    """Return what to say of arrays without names: their shapes, and a recipe that may be the right one."""
    shapes = {key: source.shape(key) for key in keys}
    parts: dict[int, dict[str, str]] = {}
    for key, shape in shapes.items():
        here = parts.setdefault(shape[0] if shape else 0, {})
        many = len(shape) == 2 and min(shape) > 1
        here[
            "labels"
            if not many
            else ("image", "text")[len(here)]
            if len(here) < 2
            else f"view{len(here) + 1}"
        ] = key
    counts = sorted(parts, reverse=True)
    recipe = "train: {image: KEY, text: KEY, labels: KEY}, test: {image: KEY, text: KEY, labels: KEY}"
    if len(counts) == 1:
        recipe = f"all: {{{', '.join(f'{name}: {key}' for name, key in parts[counts[0]].items())}}}"
    elif len(counts) == 2 and [*parts[counts[0]]] == [*parts[counts[1]]]:
        recipe = ", ".join(
            f"{part}: {{{', '.join(f'{name}: {key}' for name, key in parts[count].items())}}}"
            for part, count in zip(("train", "test"), counts, strict=True)
        )
    listed = ", ".join(f"{key} {shape}" for key, shape in [*shapes.items()][:12])
    return DataError(
        f"{source.path}: arrays without names: {listed}. Say what each is in a recipe, a file mine.yaml with "
        f"lines such as: {{files: {source.path.name}, {recipe}}}"
    )


def _roles(path: Path, keys: Sequence[str], choices: Choices, lists: Collection[str]) -> Keys:
    """Find out which array is what; those in ``lists`` have no two dimensions and are no features."""
    stated, rest = _stated(keys, choices, lists)
    if choices.modalities or choices.labels or choices.split or choices.test_share:
        return _by_words(path, stated, rest, keys, choices, lists)
    try:
        literal = _literal(path, stated, rest, keys, lists)
    except Ambiguous:
        raise
    except DataError as error:
        try:
            return _by_words(path, stated, rest, keys, choices, lists)
        except Ambiguous:
            raise
        except DataError as other:
            raise (other if isinstance(error, _NoFeatures) else error) from None
    if all(role.modality for role in literal.roles if role.what == "labels"):
        return literal
    with suppress(DataError):  # with labels for all modalities it is no bundle, whose names must stay
        return _by_words(path, stated, rest, keys, choices, lists)
    return literal


def _stated(keys: Iterable[str], choices: Choices, lists: Collection[str]) -> tuple[Keys, list[str]]:
    """Take out the keys that say something of the whole file."""
    found, rest = Keys(), []
    of_parts = any(part_of(words_of(key), PART_OF) == "train" for key in keys if key not in lists)
    splits = () if choices.split_key or of_parts else _SPLITS
    for key in keys:
        word = key.lower().rpartition("/")[2]
        part, _, last = word.rpartition("_")
        if key == choices.split_key or (not found.split and word in splits) or (splits and last == "split"):
            found.split = found.split or key
            found.splits.append(key)
        elif word in ("multi_label", "multilabel"):
            found.multi_label = key
        elif word in ("class_names", "classnames", "label_names"):
            found.class_names = key
        elif last in _PAIRED and (part in ("", "is", "are") or part in PART_OF):
            found.paired[PART_OF.get(part, "")] = key
        elif word != "card":  # which says how `data extract` made the features
            rest.append(key)
    return found, rest


def _literal(
    path: Path, stated: Keys, rest: Iterable[str], keys: Sequence[str], lists: Collection[str]
) -> Keys:
    """Read keys as those of a feature bundle: ``{part}_{modality}``, with ``_labels`` or ``_ids``."""
    found = Keys({}, stated.paired, stated.multi_label, stated.split, stated.class_names, stated.splits)
    for key in rest:
        word, _, last = key.replace("/", "_").partition("_")
        part = PART_OF.get(word.lower(), "")
        named = last if part else key
        if not named or (not part and not stated.split):
            found.unused.append(key)
            continue
        name, _, suffix = named.rpartition("_")
        what = SUFFIXES.get(suffix.lower(), "features")
        if what == "features" and key in lists:
            seen = _role(part, without_parts(words_of(key), PART_OF), True)
            if seen is not None and seen.what != "features":
                raise DataError(f"{path}, key {key!r}: a list, and no features")
            found.unused.append(key)
            continue
        name = named if what == "features" else name
        if name and not _NAME.fullmatch(name):
            raise DataError(
                f"{path}, key {key!r}: {name!r} is no name for a modality; use letters and digits, or give "
                f"a name: python -m bench data import {path} --output mine.npz --modality NAME={key}"
            )
        _put(found, path, Role(part, what, name), key)
    _checked(path, found, keys)
    for role, key in found.roles.items():
        if role.what != "features" and role.modality and role.modality not in found.features(role.part):
            raise DataError(
                f"{path}, key {key!r}: there are no features '{role.part}_{role.modality}' that these "
                f"{role.what} could belong to"
            )
    return found


def _put(found: Keys, path: Path, role: Role, key: str) -> None:
    known = found.roles.setdefault(role, key)
    if known != key and role.what not in ("features", "labels"):
        found.unused.append(key)
    elif known != key:
        option = f"--{role.modality}" if role.what == "features" else "--labels"
        if role.what == "features" and role.modality not in MODALITIES:
            option = f"--modality {role.modality}="
        command = f"python -m bench data import {path} --output mine.npz {option}"
        gap = "" if option.endswith("=") else " "
        raise Ambiguous(
            f"{path}: {known!r} and {key!r} could both be the {f'{role.part} {role.say()}'.strip()}; say "
            f"which: {command}{gap}{known} or {command}{gap}{key}"
        )


def _by_words(
    path: Path,
    stated: Keys,
    rest: Sequence[str],
    keys: Sequence[str],
    choices: Choices,
    lists: Collection[str],
) -> Keys:
    """Read keys by the words in them."""
    found = Keys(
        {}, stated.paired, stated.multi_label, stated.split, stated.class_names, stated.splits, literal=False
    )
    prefix = _common_folder(rest)
    words = _telling_words({key: words_of(key.removeprefix(prefix)) for key in rest})
    parts = {word.lower(): part for part, word in choices.split.items()} or dict(PART_OF)
    others = any(WHAT_OF.get(word) == "labels" for listed in words.values() for word in listed)
    chosen = {Role("", "features", name): key for name, key in choices.modalities.items()}
    chosen |= {Role("", "labels", ""): choices.labels} if choices.labels else {}
    stems = {without_parts(words.get(key) or words_of(key), parts): role for role, key in chosen.items()}
    whole: list[tuple[Role, str]] = []
    for key, listed in words.items():
        part, stem = part_of(listed, parts), without_parts(listed, parts)
        role = stems[stem]._replace(part=part) if stem in stems else None
        role = role or _of_last_name(key, part, stem, lists) or _role(part, stem, others)
        if role is not None and stem not in stems and role.what in {one.what for one in chosen}:
            role = None
        if role is None or (role.what == "features" and key in lists):
            found.unused.append(key)
        elif role.what == "rows":
            found.rows[part] = key
        elif part or stated.split:
            _put(found, path, role, key)
        else:
            whole.append((role, key))
    for part, word in choices.split.items():  # of which one may stand for two parts
        same = parts[word.lower()]
        found.roles |= {
            role._replace(part=part): key for role, key in [*found.roles.items()] if role.part == same
        }
    _settle_rows(path, found, whole, choices.test_share)
    _require_train(path, found, words)
    _settle_labels(path, found)
    for role in [role for role in found.roles if role.modality and role.what != "features"]:
        if role.modality not in found.features(role.part):
            found.unused.append(found.roles.pop(role))
    return _checked(path, found, keys)


def _telling_words(words: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the words of keys without unknown ones that all have, such as a dataset's name."""
    of_all = [{*listed} for listed in words.values() if "rows" not in map(WHAT_OF.get, listed)]
    silent = set.intersection(*of_all) - KNOWN if len(of_all) > 2 else set()
    return {key: [word for word in listed if word not in silent] for key, listed in words.items()}


def _common_folder(keys: Sequence[str]) -> str:
    """Return the folders or groups that all keys begin with, with the last stroke."""
    shared = ""
    for names in zip(*(key.split("/")[:-1] for key in keys), strict=False):
        if len({*names}) > 1:
            break
        shared += f"{names[0]}/"
    return shared


def _settle_labels(path: Path, found: Keys) -> None:
    """Take labels that name no modality of a part (``metadata/class_name``) for those of all, if alone.

    Raises:
        Ambiguous: if there are several.
    """
    for part in found.parts:
        names = {"", *found.features(part)}
        listed = {role: key for role, key in found.roles.items() if role[:2] == (part, "labels")}
        if not any(role.modality in names for role in listed):
            for role, key in listed.items():
                del found.roles[role]
                _put(found, path, Role(part, "labels", ""), key)


def _settle_rows(path: Path, found: Keys, given: Sequence[tuple[Role, str]], share: float) -> None:
    """Take arrays of all rows where there are no others, and lists of row numbers that cut them into parts.

    Arrays that name no part are those of train beside arrays of test with their names (``X``, ``X_test``).

    Raises:
        DataError: if there are no such lists, or two arrays could have one role.
    """
    whole: dict[Role, str] = {}
    for role, key in given:
        whole.setdefault(role, key)
    names = {role.modality for role in whole if role.what == "features"}
    if found.features("train") or found.split or len(names) < 2:
        found.unused += [*(key for _, key in given), *found.rows.values()]
        found.rows = {}
        if share:
            raise DataError(f"{path}: a share of test rows is given, and its arrays are not all of all rows")
        return
    if Role("", "ids", "") in whole and "train" not in found.rows:
        found.rows = {
            role.part: key for role, key in found.roles.items() if role.what == "ids" and not role.modality
        }
        found.roles = {role: key for role, key in found.roles.items() if key not in found.rows.values()}
    if share:
        found.unused += found.rows.values()
        found.share, found.rows = share, {}
    elif "train" not in found.rows and names == {*found.features("test")} and not _asked(found):
        found.roles |= {role._replace(part="train"): key for role, key in whole.items()}
        return
    elif "train" not in found.rows:
        named = ", ".join(f"{role.say()} = {key}" for role, key in whole.items())
        raise DataError(
            f"{path}: its arrays are of all rows ({named}), and nothing says which rows are of train and "
            "which of test; add a list 'split' of the words train and test (also validation, gallery), or "
            "lists 'train_index' and 'test_index' of row numbers. A list may stand in another file: "
            f"python -m bench data import {path} split.csv --output mine.npz. To draw a fifth of each class "
            f"for test: python -m bench data import {path} --output mine.npz --split test=0.2"
        )
    found.unused += found.roles.values()
    found.roles = {}
    for role, key in given:
        _put(found, path, role, key)


def _asked(found: Keys) -> bool:
    """Return whether a file's rows of test are called queries: its other arrays may be a database."""
    return any("query" in key.lower() for key in found.features("test").values())


def _require_train(path: Path, found: Keys, words: Mapping[str, Sequence[str]]) -> None:
    """Refuse a gallery and queries without rows to train on.

    Raises:
        DataError: with the command that trains on the gallery.
    """
    if found.of_all_rows or found.features("train") or not found.features("gallery"):
        return
    said = {
        part: next(
            word for word in words[next(iter(found.features(part).values()))] if PART_OF.get(word) == part
        )
        for part in ("gallery", "test")
        if found.features(part)
    }
    options = {"train": said["gallery"], "gallery": said["gallery"], "test": said.get("test", "test")}
    raise DataError(
        f"{path}: no train features, but a gallery; to train on it: python -m bench data import {path} "
        "--output mine.npz " + " ".join(f"--split {part}={word}" for part, word in options.items())
    )


def _of_last_name(key: str, part: str, stem: Sequence[str], lists: Collection[str]) -> Role | None:
    """Return the role of a list whose last name tells it: ids, or rows of a part; None for others."""
    last = words_of(key.rpartition("/")[2])
    if key not in lists:
        return None
    if "/" in key and last in (["id"], ["ids"]):
        return Role(part, "ids", next((MODALITY_OF[word] for word in stem if word in MODALITY_OF), ""))
    others = any(word in MODALITY_OF or WHAT_OF.get(word, "rows") != "rows" for word in stem)
    numbers = "rows" in map(WHAT_OF.get, stem) and "/" in key and not others  # param/indexTrain
    numbers &= all(word in PART_OF or WHAT_OF.get(word) == "rows" for word in last)
    return Role(part, "rows", "") if part and (not stem or numbers) else None  # train.txt


def _role(part: str, stem: Sequence[str], labels_elsewhere: bool) -> Role | None:
    """Return the role of a key by its words without that of its part."""
    if "y" in stem and not labels_elsewhere:
        what: What = "labels"
    elif stem[-1:] == ("ids",):  # of labels, too
        what = "ids"
    else:
        what = next((WHAT_OF[word] for word in stem if word in WHAT_OF), "features")
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


def _checked(path: Path, found: Keys, keys: Sequence[str]) -> Keys:
    """Refuse roles that make no dataset.

    Raises:
        DataError: saying what is missing.
    """
    needed = ("",) if found.of_all_rows else ("train", "test")
    for part in needed:
        if not found.features(part):
            called = part or "image"
            example = f"'{part}_image' and '{part}_image_labels'" if part else "'image' and 'image_labels'"
            raise _NoFeatures(
                f"{path}: no {called} features; a feature bundle has keys such as {example}, this file has "
                f"{', '.join(keys[:8]) or 'none'}. Name its arrays in a recipe, or import it: "
                f"python -m bench data import {path} --output mine.npz --image KEY --text KEY --labels KEY"
            )
    names = [*found.features(needed[0])]
    for part in found.parts:
        here = [*found.features(part)]
        if not found.of_all_rows and set(here) != set(names):
            raise DataError(f"{path}: train has the modalities {names}, {part} has {here}")
        labels = [key for role, key in found.roles.items() if role[:2] == (part, "labels")]
        if len(labels) == 1 and found.paired:  # those of one modality are those of all
            found.roles.setdefault(Role(part, "labels", ""), labels[0])
        for name in here:
            if found.of(part, "labels", name) is None:
                key = f"{found.features(part)[name]}_labels"
                shared = f"{part}_labels" if part else "labels"
                others = ", ".join(found.unused[:8])
                hint = (
                    f"; not used: {others}; if one holds the labels, add: --labels KEY to: " if others else ""
                )
                hint += f"python -m bench data import {path} --output mine.npz" if others else ""
                raise DataError(f"{path}: key {key!r} is missing (or {shared!r}, for all modalities){hint}")
    if len(names) < 2:
        raise DataError(f"{path}: only the modality {names[0]!r}; retrieval across modalities needs two")
    return found
