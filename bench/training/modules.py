"""Modules among the attributes of a method: alone, or in dictionaries by modality."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import nn

from bench.contract import Method, PluginError


def named_modules(method: Method) -> dict[str, nn.Module]:
    """Return all modules, by attribute and modality."""
    found: dict[str, nn.Module] = {}
    for attribute, value in vars(method).items():
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        found |= {f"{attribute}/{key}": part for key, part in parts if isinstance(part, nn.Module)}
    return found


def modules_of_modality(method: Method, modality: str) -> list[nn.Module]:
    """Return the modules of one of several modalities that are trained independently.

    Raises:
        PluginError: if a module that trains belongs to none.
    """
    found: list[nn.Module] = []
    for name, module in named_modules(method).items():
        attribute, _, key = name.partition("/")
        if key == modality:
            found.append(module)
        elif not key and any(weight.requires_grad for weight in module.parameters()):
            raise PluginError(
                f"{type(method).__name__}.{attribute} trains, but modalities are independent: "
                "make it a dictionary by modality, or freeze it with requires_grad_(False)"
            )
    return list(dict.fromkeys(found))


def modules_added(method: Method, build: Callable[[], None]) -> Iterator[nn.Module]:
    """Build the modules of a new modality beside those that a method has; yield the new ones."""
    before = dict(vars(method))
    build()
    for attribute, value in before.items():
        present = vars(method)[attribute]
        if present is not value and isinstance(value, Mapping) and isinstance(present, Mapping):
            setattr(method, attribute, {**value, **present})
            yield from (part for part in present.values() if isinstance(part, nn.Module))
        elif isinstance(value, nn.Module):
            setattr(method, attribute, value)
