"""Recipes that messages propose for arrays whose keys do not say what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.contract import DataError
from bench.data.formats.array_file import ArrayFile


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
