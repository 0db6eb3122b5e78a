"""Refusals that propose what to do: a recipe, or another command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.contract import DataError
from bench.data.formats.array_file import ArrayFile


class NoFeatures(DataError):
    """No array is of a part that is needed."""


def no_features(path: Path, part: str, keys: Sequence[str]) -> NoFeatures:
    """Return the refusal of a file without features of a part; of all rows, if that is empty."""
    example = f"'{part}_image' and '{part}_image_labels'" if part else "'image' and 'image_labels'"
    return NoFeatures(
        f"{path}: no {part or 'image'} features; a feature bundle has keys such as {example}, this file has "
        f"{', '.join(keys[:8]) or 'none'}. Name its arrays in a recipe, or import it: python -m bench data "
        f"import {path} --output mine.npz --image KEY --text KEY --labels KEY"
    )


def unnamed(source: ArrayFile, keys: Sequence[str]) -> DataError:
    """Return the refusal of arrays without names: their shapes, and a recipe that may be the right one."""
    shapes = {key: source.shape(key) for key in keys}
    parts: dict[int, dict[str, str]] = {}
    for key, shape in shapes.items():
        here = parts.setdefault(shape[0] if shape else 0, {})
        view = ("image", "text")[len(here)] if len(here) < 2 else f"view{len(here) + 1}"
        here[view if len(shape) == 2 and min(shape) > 1 else "labels"] = key
    counts, example = sorted(parts, reverse=True), dict.fromkeys(("image", "text", "labels"), "KEY")
    recipe = recipe_of({"train": example, "test": example})
    if len(counts) == 1 or (len(counts) == 2 and [*parts[counts[0]]] == [*parts[counts[1]]]):
        names = ("all",) if len(counts) == 1 else ("train", "test")
        recipe = recipe_of({name: parts[count] for name, count in zip(names, counts, strict=True)})
    listed = ", ".join(f"{key} {shape}" for key, shape in [*shapes.items()][:12])
    return DataError(
        f"{source.path}: arrays without names: {listed}. Say what each is in a recipe, a file mine.yaml with "
        f"lines such as: {{files: {source.path.name}, {recipe}}}"
    )


def recipe_of(parts: Mapping[str, Mapping[str, str]]) -> str:
    """Return the lines of a recipe that names the arrays of each part."""
    return ", ".join(
        f"{part}: {{{', '.join(f'{name}: {key}' for name, key in keys.items())}}}"
        for part, keys in parts.items()
    )


def one_modality(path: Path, name: str, key: str) -> DataError:
    """Return the refusal of a file with one modality."""
    return DataError(
        f"{path}: only one modality, {name} = {key}, and retrieval across modalities needs two. If another "
        f"file holds the other, import both: python -m bench data import {path} OTHER --output mine.npz"
    )


def refuse_numbered(path: Path, keys: Sequence[str], called: Callable[[str], str]) -> None:
    """Refuse two structures of arrays with the same names, with a recipe for both as parts.

    Raises:
        DataError: if the arrays are such.
    """
    numbered: dict[str, dict[str, str]] = {}
    for key in keys:
        *folders, number, name = ["", "", *key.split("/")]
        if number.isdigit():
            numbered.setdefault("/".join([*folders, number]), {})[called(name)] = key
    first, *others = [*numbered.values()] or [{}]
    if len(others) != 1 or first.keys() != others[0].keys() or len(first) < 3:
        return
    recipe = recipe_of({"train": first, "test": others[0]})
    raise DataError(
        f"{path}: two structures hold the same arrays; name each in a recipe, a file mine.yaml with lines "
        f"such as: {{files: {path.name}, {recipe}}}"
    )
