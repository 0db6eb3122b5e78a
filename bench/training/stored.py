"""Modules of deep methods by their names: found, added, stored, and made again by `build`.

The modules of a stored state are made by the same `build` as in training, from the widths of the features
and the number of classes alone. That is done on torch's device ``meta``, which takes no memory and draws
nothing: shapes are compared with the file before anything of their size exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Final, Protocol

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from bench.contract import (
    Array,
    BenchError,
    Context,
    DataError,
    Method,
    MethodCard,
    Modality,
    PluginError,
    Split,
    State,
)
from bench.training.data import DeviceSplit

_META: Final = "meta"
_PER_ARRAY: Final = 4
"""Parameters that `build` may make for each array of a file; its settings could make millions."""

Length = Annotated[int, msgspec.Meta(ge=1, le=1 << 22)]


class Buildable(Protocol):
    """A method whose modules are made by `build`.

    Attributes:
        card: metadata of the method.
        context: context of the build.
    """

    card: ClassVar[MethodCard]
    context: Context

    def build(self, data: DeviceSplit) -> None:
        """Make the modules and store them as attributes."""


@dataclass(frozen=True)
class Outline:
    """What `build` is given of the training rows besides their values.

    Attributes:
        widths: of the features, by modality.
        n_classes: number of classes C.
        multi_label: whether rows may have several classes.
    """

    widths: dict[str, Length]
    n_classes: Length
    multi_label: bool

    @classmethod
    def of(cls, split: Split) -> Outline:
        """Return the outline of training rows."""
        return cls({name: part.dimension for name, part in split.items()}, split.n_classes, split.multi_label)

    def split(self) -> DeviceSplit:
        """Return one row of zeros of the first class, without memory."""
        labels = np.eye(1, self.n_classes, dtype=np.int64) if self.multi_label else np.zeros(1, np.int64)
        parts = {
            name: Modality(np.zeros((1, width), np.float32), labels) for name, width in self.widths.items()
        }
        return DeviceSplit(Split(parts, self.n_classes, "natural"), _META)


def named_modules(method: object) -> dict[str, nn.Module]:
    """Return all modules, by attribute and modality."""
    modules: dict[str, nn.Module] = {}
    for attribute, value in vars(method).items():
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        modules |= {f"{attribute}/{key}": part for key, part in parts if isinstance(part, nn.Module)}
    return modules


def modules_of_modality(method: Method, modality: str) -> list[nn.Module]:
    """Return the modules of one of several modalities that are trained independently.

    Raises:
        PluginError: if a module that trains belongs to none.
    """
    modules: list[nn.Module] = []
    for name, module in named_modules(method).items():
        attribute, _, key = name.partition("/")
        if key == modality:
            modules.append(module)
        elif not key and any(weight.requires_grad for weight in module.parameters()):
            raise PluginError(
                f"{type(method).__name__}.{attribute} trains, but modalities are independent: "
                "make it a dictionary by modality, or freeze it with requires_grad_(False)"
            )
    return list(dict.fromkeys(modules))


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


def state_of(method: object, outline: Outline) -> State:
    """Return all modules of a method, in their present state, and the outline of its training rows."""
    arrays: dict[str, Array] = {}
    for name, module in named_modules(method).items():
        tensors = module.state_dict(prefix=f"{name}/")
        arrays |= {key: np.array(value.detach().cpu().numpy()) for key, value in tensors.items()}
    return State(arrays, asdict(outline))


def outline_of(state: State) -> Outline:
    """Return the outline in a stored state.

    Raises:
        DataError: if there is none.
    """
    try:
        return msgspec.convert(dict(state.facts), Outline)
    except msgspec.ValidationError as error:
        raise DataError(f"the stored state has no outline of its data ({error})") from error


def build_from(method: Buildable, outline: Outline, state: State, device: str) -> list[nn.Module]:
    """Make a method's modules by `build` with their stored values; return them, in evaluation mode.

    Raises:
        DataError: if the state is not of these modules, or one of them keeps values outside of its state.
    """
    method.context = Context(device=_META)
    title = method.card.title
    try:
        with _limited(_PER_ARRAY * len(state.arrays)), torch.device(_META):
            method.build(outline.split())
    except BenchError as error:
        raise DataError(f"{title} cannot be built with the stored settings: {error}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise DataError(f"build() of {title} cannot be run without data: {reason}") from error
    modules = named_modules(method)
    for name, module in modules.items():
        wanted = module.state_dict(prefix=f"{name}/")
        values = {key: _tensor(key, value, state, device) for key, value in wanted.items()}
        module.load_state_dict(
            {key.removeprefix(f"{name}/"): one for key, one in values.items()}, assign=True
        )
        if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
            raise DataError(f"{title}.{name.rstrip('/')} keeps a buffer that is no part of its state_dict()")
        module.eval().requires_grad_(False)
    method.context = Context(device=device)
    return list(modules.values())


def _tensor(name: str, wanted: Tensor, state: State, device: str) -> Tensor:
    """Return a stored array as a tensor; raises DataError unless it has the shape and type of a module's."""
    values = state.arrays.get(name)
    if values is None:
        raise DataError(f"the stored state has no array {name!r}")
    tensor = torch.tensor(values, device=device)
    if (tensor.shape, tensor.dtype) != (wanted.shape, wanted.dtype):
        raise DataError(
            f"the array {name!r} of the stored state is {values.dtype} of shape {values.shape}; with these "
            f"settings it is {str(wanted.dtype).removeprefix('torch.')} of shape {tuple(wanted.shape)}"
        )
    return tensor


@contextmanager
def _limited(most: int) -> Iterator[None]:
    """Let modules register at most so many parameters in the body; raises DataError for one more."""
    count = 0

    def counted(*_: Any) -> None:
        nonlocal count
        count += 1
        if count > most:
            raise DataError("the stored settings need more parameters than the stored state has")

    handle = register_module_parameter_registration_hook(counted)
    try:
        yield
    finally:
        handle.remove()
