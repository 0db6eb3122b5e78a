"""Recipes: YAML files that name arrays of other files as modalities, labels, ids and splits.

    files: features.mat              # or a mapping of names to paths; relative to the recipe
    train: {image: I_tr, text: T_tr, labels: L_tr}
    test: {image: I_te, text: T_te, labels: L_te}
    gallery: {image: I_db, text: T_db, labels: L_db}
    paired: true

With several files, ``NAME:KEY`` names an array; ``KEY[2]`` is a cell of a cell array. ``all`` instead of
``train`` and ``test`` names arrays of all rows, and ``split`` in it the list of the part of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench.contract import Array, DataError
from bench.data.formats import ArrayFile, files_of, open_arrays, require_regular
from bench.data.formats.array_file import as_data_error, is_folder, texts
from bench.data.formats.folder import Part, Renamed
from bench.data.keys import Choices

RECIPES: Final = (".yaml", ".yml")

_PARTS: Final = ("train", "validation", "test", "gallery", "all")
_FLAGS: Final = ("paired", "multi_label")
_MOST_BYTES: Final = 1 << 20
_CELL: Final = re.compile(r"(.+)\[(\d{1,4})\]")


@contextmanager
def opened(path: Path, choices: Choices | None = None) -> Iterator[tuple[ArrayFile, Choices]]:
    """Open a dataset's arrays: those of a file or folder, or those that a recipe names.

    Raises:
        DataError: if it cannot be opened, or a recipe is wrong.
    """
    stated = choices or Choices()
    if path.suffix.lower() not in RECIPES or is_folder(path):
        with open_arrays(path) as source:
            yield source, stated
        return
    recipe = _recipe(path)
    with ExitStack() as stack:
        files = {name: stack.enter_context(open_arrays(file)) for name, file in _files(path, recipe).items()}
        flags = {flag: recipe[flag] for flag in _FLAGS if flag in recipe}
        parts = {
            name if part == "all" else f"{part}_{name}": _part(path, word, files)
            for part in _PARTS
            for name, word in recipe.get(part, {}).items()
        }
        values: dict[str, Array] = {}
        names = recipe.get("class_names")
        if isinstance(names, str):
            parts["class_names"] = _part(path, names, files)
        elif names is not None:
            with as_data_error(f"{path}, class_names"):
                values["class_names"] = texts(names)
        yield Renamed(path, parts, values), replace(stated, **flags)


def recipe_files(path: Path) -> dict[str, Path]:
    """Return the files that a recipe reads, by their paths as it names them."""
    inside = [
        one
        for file in _files(path, _recipe(path)).values()
        for one in (files_of(file) if is_folder(file) else [file])
    ]
    return {str(one.relative_to(path.parent) if path.parent in one.parents else one): one for one in inside}


def _recipe(path: Path) -> Mapping[str, Any]:
    """Return the content of a recipe, whose keys and types are as expected; raises DataError."""
    import yaml

    with as_data_error(str(path)):
        require_regular(path)
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: larger than {_MOST_BYTES} bytes; a recipe only names arrays")
        try:
            recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise DataError(f"{path}: is not valid YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(recipe, dict) or not all(isinstance(key, str) for key in recipe):
        raise DataError(f"{path}: a recipe is a mapping with files, train and test")
    unknown = {*recipe} - {*_PARTS, *_FLAGS, "files", "class_names"}
    if unknown:
        raise DataError(
            f"{path}: {min(unknown)!r} is unknown; a recipe has files, {', '.join((*_PARTS, *_FLAGS))} and "
            "class_names"
        )
    for flag in _FLAGS:
        if not isinstance(recipe.get(flag, True), bool):
            raise DataError(f"{path}: {flag} must be true or false")
    for part in _PARTS:
        names = recipe.get(part, {})
        if not isinstance(names, dict) or not all(
            isinstance(one, str) for pair in names.items() for one in pair
        ):
            raise DataError(
                f"{path}: {part} must name arrays, such as {{image: KEY, text: KEY, labels: KEY}}"
            )
    return recipe


def _files(path: Path, recipe: Mapping[str, Any]) -> dict[str, Path]:
    """Return the files by their names in the recipe."""
    files = recipe.get("files")
    if isinstance(files, str):
        files = {"": files}
    elif isinstance(files, list) and all(isinstance(one, str) for one in files):
        files = {Path(one).stem: one for one in files}
    if not isinstance(files, dict) or not files or not all(isinstance(one, str) for one in files.values()):
        raise DataError(f"{path}: files must be a path, or name paths, such as {{features: features.mat}}")
    return {str(name): path.parent / file for name, file in files.items()}


def _part(path: Path, word: str, files: Mapping[str, ArrayFile]) -> Part:
    """Return the array that a word of a recipe names; raises DataError for an unknown file."""
    name, colon, key = word.partition(":")
    if colon and name in files:
        source = files[name]
    elif len(files) == 1:
        source, key = next(iter(files.values())), word
    else:
        raise DataError(f"{path}: {word!r} names no file; write one of {', '.join(files)}, a colon and a key")
    cell = _CELL.fullmatch(key)
    if key in source or cell is None:
        return Part(source, key)
    return Part(source, cell[1], int(cell[2]))
