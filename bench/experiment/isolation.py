"""Isolation of a cell: process-wide state is restored after it, and its output goes to its log."""

from __future__ import annotations

import gc
import io
import locale
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from itertools import product
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from bench import registry
from bench.contract import Context, Dataset, Split, opened_by_harness, sealed_test
from bench.experiment.process_state import restore_process_state
from bench.experiment.run_context import RunContext
from bench.records.schema import Identity

STREAM = "global generators"
"""Stream of the seed that global generators start from."""

_PRECISIONS: Final = tuple(
    f"{part}fp32_precision"
    for part in (
        *("", "cuda.matmul.", "cudnn.", "cudnn.conv.", "cudnn.rnn."),
        *("mkldnn.", "mkldnn.matmul.", "mkldnn.conv.", "mkldnn.rnn."),
    )
)
"""Precisions of float32 in `torch.backends`, which newer versions of PyTorch have."""


def scope_of(identity: Identity) -> tuple[str, ...]:
    """Return what a cell's random streams depend on besides its seed."""
    return identity.dataset, "+".join(identity.modalities)


def opened_test(dataset: Dataset) -> tuple[Split, Split | None]:
    """Return the test split and the gallery, None where test rows are ranked, although they are sealed.

    For the harness alone, once the selection is written down.
    """
    with opened_by_harness():
        return dataset.test, dataset.gallery


@contextmanager
def captured(log: io.StringIO) -> Iterator[None]:
    """Send what a method prints, and its warnings, to the record's log."""

    def show(message: Any, category: Any, *_: Any) -> None:
        print(f"{category.__name__}: {message}", file=log)

    with warnings.catch_warnings(), redirect_stdout(log), redirect_stderr(log), np.errstate(all="warn"):
        warnings.simplefilter("default")
        warnings.showwarning = show  # type: ignore[assignment]
        yield


@contextmanager
def isolated(identity: Identity, context: RunContext) -> Iterator[None]:
    """Isolate the cell in the body: it gets no state of earlier cells and leaves none to later ones.

    Test data is sealed, except within `opened_by_harness`. The method's modules are executed
    anew. The global generators of ``random``, NumPy and PyTorch start from the cell's seed. Afterwards the
    modules, the generators and the process-wide settings are again as the caller had them.

    Raises:
        SealedTestError: see `sealed_test`.
        UsageError: if there is no such method.
        PluginError: if a plug-in is not a Python file.
    """
    for plugin in context.plugins:
        registry.add_plugin(plugin)
    seed = Context(seed=identity.seed, scope=scope_of(identity)).stream_seed(STREAM)
    modules = nullcontext() if identity.given else registry.fresh_modules(identity.method)
    with modules, restored_settings(seed), sealed_test():
        yield


@contextmanager
def restored_generators() -> Iterator[None]:
    """Restore the global generators after the body."""
    with ExitStack() as stack:
        _keep_generators(stack)
        yield


@contextmanager
def restored_settings(seed: int = 0) -> Iterator[None]:
    """Seed the global generators; restore them and the settings of the process after the body."""
    with ExitStack() as stack, np.errstate(), warnings.catch_warnings():
        _keep_interpreter(stack)
        _keep_generators(stack)
        random.seed(seed)
        np.random.seed(seed % 2**32)

        def enter(torch: Any) -> None:
            """Seed torch and keep its settings, at once or when it is imported."""
            _keep_torch(stack, torch)
            _keep_torch_generators(stack, torch)
            torch.manual_seed(seed)

        if "torch" in sys.modules:
            enter(sys.modules["torch"])
        else:
            finder = _Finder("torch", enter)
            sys.meta_path.insert(0, finder)
            stack.callback(sys.meta_path.remove, finder)
        yield


def _keep_changed(stack: ExitStack, read: Callable[[], Any], write: Callable[[Any], Any]) -> None:
    """Write a setting back at the end if it differs: writing may be slow, and other threads may read it."""
    value = read()
    stack.callback(lambda: None if read() == value else write(value))


def _keep_interpreter(stack: ExitStack) -> None:
    """Restore settings of the interpreter and of the operating system at the end."""

    def write_environment(before: dict[str, str]) -> None:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})

    restore_process_state(stack)
    _keep_changed(stack, lambda: dict(os.environ), write_environment)
    _keep_changed(stack, partial(locale.setlocale, locale.LC_ALL), partial(locale.setlocale, locale.LC_ALL))
    stack.callback(sys.path.__setitem__, slice(None), list(sys.path))
    stack.callback(os.chdir, Path.cwd())
    stack.callback(sys.setrecursionlimit, sys.getrecursionlimit())
    stack.callback(np.setbufsize, np.getbufsize())
    stack.callback(gc.enable if gc.isenabled() else gc.disable)


def _keep_generators(stack: ExitStack) -> None:
    stack.callback(random.setstate, random.getstate())
    stack.callback(np.random.set_state, np.random.get_state())
    if "torch" in sys.modules:
        _keep_torch_generators(stack, sys.modules["torch"])


def _keep_torch_generators(stack: ExitStack, torch: Any) -> None:
    """Restore torch's generators at the end, on the devices that are in use."""
    stack.callback(torch.set_rng_state, torch.get_rng_state())
    if torch.cuda.is_initialized():
        stack.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())


def _keep_torch(stack: ExitStack, torch: Any) -> None:
    """Restore torch's process-wide settings at the end."""
    stack.enter_context(torch.inference_mode(torch.is_inference_mode_enabled()))
    _keep_hooks(stack, torch)
    _keep_precisions(stack, torch)  # restored last, because the older settings below change them as well
    _keep_modes(stack, torch)
    for name in ("default_dtype", "grad_enabled", "float32_matmul_precision"):
        read = torch.is_grad_enabled if name == "grad_enabled" else getattr(torch, f"get_{name}")
        stack.callback(getattr(torch, f"set_{name}"), read())
    for name in ("enabled", "benchmark", "deterministic", "allow_tf32"):
        stack.callback(setattr, torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))
    for name in ("num_threads", "deterministic_debug_mode"):
        _keep_changed(stack, getattr(torch, f"get_{name}"), getattr(torch, f"set_{name}"))

    def write_device(device: Any) -> None:
        torch.set_default_device(None if device.type == "cpu" else device)

    _keep_changed(stack, torch.get_default_device, write_device)


def _keep_precisions(stack: ExitStack, torch: Any) -> None:
    """Restore the precisions of float32 by device and operation at the end."""
    for name in _PRECISIONS:
        parent, _, attribute = f"backends.{name}".rpartition(".")
        with suppress(AttributeError):
            part = attrgetter(parent)(torch)
            stack.callback(setattr, part, attribute, getattr(part, attribute))


def _keep_modes(stack: ExitStack, torch: Any) -> None:
    """Restore autocast, anomaly detection, oneDNN and the rounding of denormal numbers at the end."""
    autocast = (
        (torch.is_autocast_enabled, torch.set_autocast_enabled),
        (torch.get_autocast_dtype, torch.set_autocast_dtype),
    )
    for device, (read, write) in product(("cpu", "cuda"), autocast):
        _keep_changed(stack, partial(read, device), partial(write, device))
    _keep_changed(stack, torch.is_anomaly_enabled, torch.set_anomaly_enabled)
    mkldnn = torch.backends.mkldnn
    _keep_changed(stack, partial(getattr, mkldnn, "enabled"), partial(setattr, mkldnn, "enabled"))
    # There is nothing to read: half of the smallest normal number is 0 where denormal numbers are.
    _keep_changed(stack, lambda: sys.float_info.min / 2 == 0.0, torch.set_flush_denormal)


def _keep_hooks(stack: ExitStack, torch: Any) -> None:
    """Restore the hooks of all modules and optimizers at the end."""
    for part in (torch.nn.modules.module, sys.modules["torch.optim.optimizer"]):
        for name, hooks in vars(part).items():
            if name.startswith("_global_") and isinstance(hooks, dict):
                stack.callback(hooks.update, dict(hooks))
                stack.callback(hooks.clear)


class _Finder:
    """Import hook that calls a function with a module after its first import."""

    def __init__(self, name: str, then: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._then = then

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the module's usual specification, with a loader that calls the function at its end."""
        spec = PathFinder.find_spec(name, path) if name == self._name else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_then(module: ModuleType) -> None:
                execute(module)
                self._then(module)

            spec.loader.exec_module = execute_then  # type: ignore[method-assign]
        return spec
