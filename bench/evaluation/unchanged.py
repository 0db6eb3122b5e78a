"""Evaluation of a method in training that leaves no trace in it, as of test rows for the oracle."""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from types import FunctionType
from typing import Any, Final

import numpy as np

from bench.contract import Method

_LIBRARIES: Final = {"bench", "numpy", "torch", *sys.stdlib_module_names}
"""Packages whose objects a plug-in does not write to: these are not looked into."""


@contextmanager
def unchanged(method: Method, modules: Sequence[Any] = ()) -> Iterator[None]:
    """Put all that a method's code can reach back after the body, in the same objects.

    These are its attributes, the variables of its Python module and of others of the same package, and what
    these hold: containers, arrays, tensors, modules of PyTorch, random generators, objects and classes.
    Variables of closures, objects with ``__slots__`` and those of compiled classes stay as they are.
    ``modules`` are modules of PyTorch besides the attributes.
    """
    torch: Any = sys.modules.get("torch")  # where it is not loaded, there is no module and no tensor
    classes = [cls for cls in type(method).__mro__ if not _is_of_library(cls)]
    packages = tuple({cls.__module__.rpartition(".")[0] or cls.__module__ for cls in classes})
    put_back = [*_restorers([vars(method), list(modules), *classes], packages, torch)]
    try:
        yield
    finally:
        with nullcontext() if torch is None else torch.no_grad():
            for restore in put_back:
                restore()


def _is_of_library(cls: type) -> bool:
    """Return whether a class is of the harness, Python's standard library, NumPy or PyTorch."""
    name = str(cls.__module__)
    return name.partition(".")[0] in _LIBRARIES and not name.startswith("bench.installed_")


def _restorers(roots: list[Any], packages: tuple[str, ...], torch: Any) -> Iterator[Callable[[], object]]:
    """Yield, of all objects that can be reached and changed, the function that puts the object back."""
    kinds = [*_kinds(packages), *(() if torch is None else _kinds_of_torch(torch))]
    seen: dict[int, Any] = {}  # with the objects: ids of those that are freed are given again
    waiting = [*roots]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen[id(item)] = item
        of_kind = next((functions for kind, *functions in kinds if isinstance(item, kind)), None)
        if of_kind is not None:
            restore, parts = (function(item) for function in of_kind)
            waiting.extend(parts)
            if restore is not None:
                yield restore
        elif not _is_of_library(type(item)) and isinstance(getattr(item, "__dict__", None), dict):
            waiting.append(vars(item))


_Kind = tuple[Any, Callable[[Any], Callable[[], object] | None], Callable[[Any], Iterable[Any]]]
"""Types of objects, and what returns the function that puts such an object back, and what it holds."""


def _kinds(packages: tuple[str, ...]) -> list[_Kind]:
    """Return the kinds of objects that are put back or looked into; of code that of some packages alone."""

    def variables(item: Any) -> dict[str, Any]:
        names = vars(item) if isinstance(item, type) else item.__globals__
        of_package = str(item.__module__).startswith(packages)
        return {name: value for name, value in names.items() if of_package and not _is_pythons(name)}

    return [
        (
            np.ndarray,
            lambda item: partial(np.copyto, item, item.copy()) if item.flags.writeable else None,
            _nothing,
        ),
        (np.random.Generator, lambda _: None, lambda item: [item.bit_generator]),
        (np.random.BitGenerator, lambda item: partial(setattr, item, "state", item.state), _nothing),
        (np.random.RandomState, lambda item: partial(item.set_state, item.get_state()), _nothing),
        (random.Random, lambda item: partial(item.setstate, item.getstate()), _nothing),
        (tuple | frozenset, lambda _: None, iter),
        (dict, lambda item: partial(_refill, item, item.copy()), dict.values),
        (list | set | deque, lambda item: partial(_refill, item, item.copy()), iter),
        (
            type | FunctionType,
            lambda item: _restored_variables(item, variables(item)),
            lambda item: variables(item).values(),
        ),
    ]


def _kinds_of_torch(torch: Any) -> list[_Kind]:
    """Return the kinds of objects of PyTorch."""
    strided = torch.strided
    return [
        (torch.nn.Module, lambda _: None, lambda item: [vars(item)]),
        (torch.Generator, lambda item: partial(item.set_state, item.get_state()), _nothing),
        (
            torch.Tensor,
            lambda item: partial(_put_tensor, torch, item, item.clone()) if item.layout is strided else None,
            _nothing,
        ),
    ]


def _is_pythons(name: str) -> bool:
    """Return whether Python sets a variable of this name, such as the cache of a class's annotations."""
    return name.startswith("__") and name.endswith("__")


def _nothing(_: object) -> tuple[()]:
    return ()


def _restored_variables(item: Any, before: dict[str, Any]) -> Callable[[], object] | None:
    """Return what puts the variables of a class, or those of a function's module, back; None without any."""
    if not before:
        return None
    if isinstance(item, type):
        return partial(_put_variables, partial(setattr, item), partial(delattr, item), vars(item), before)
    names = item.__globals__
    return partial(_put_variables, names.__setitem__, names.__delitem__, names, before)


def _put_tensor(torch: Any, tensor: Any, before: Any) -> None:
    """Copy the former values into a tensor, if it has others."""
    if not torch.equal(tensor, before):
        tensor.copy_(before)


def _refill(held: Any, before: Any) -> None:
    """Give a container its former content."""
    held.clear()
    held.update(before) if isinstance(held, dict | set) else held.extend(before)


def _put_variables(
    put: Callable[[str, Any], object],
    remove: Callable[[str], object],
    present: Mapping[str, Any],
    before: Mapping[str, Any],
) -> None:
    """Give a Python module or a class its former variables, one by one: code of it may be running."""
    for name in [name for name in present if name not in before and not _is_pythons(name)]:
        remove(name)
    for name, value in before.items():
        if name not in present or present[name] is not value:
            put(name, value)
