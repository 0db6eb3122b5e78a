"""A cell's process as if no cell had run in it before: modules, generators and process-wide settings."""

from __future__ import annotations

import gc
import locale
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bench import registry
from bench.contract import Context, Dataset, Split, opened_by_harness, sealed_test
from bench.experiment.run_context import RunContext
from bench.records.schema import Identity

STREAM = "global generators"
"""Stream of the seed that global generators start from."""


def scope_of(identity: Identity) -> tuple[str, ...]:
    """Return what a cell's random streams depend on besides its seed."""
    return identity.dataset, "+".join(identity.modalities)


@contextmanager
def isolated(identity: Identity, place: RunContext) -> Iterator[None]:
    """Let a cell run in the body by itself: nothing reaches it from earlier cells, nothing is left for later.

    Test data is sealed, except where `opened_by_harness` says otherwise. The method's modules are executed
    anew. The global generators of ``random``, NumPy and PyTorch start from the cell's seed. Afterwards the
    modules, the generators and the process-wide settings are again as the caller had them.

    Raises:
        SealedTestError: see `sealed_test`.
        UsageError: if there is no such method.
        PluginError: if a plug-in is not a Python file.
    """
    for plugin in place.plugins:
        registry.add_plugin(plugin)
    context = Context(seed=identity.seed, scope=scope_of(identity))
    with registry.fresh_modules(identity.method), _settings_kept(context.stream_seed(STREAM)), sealed_test():
        yield


def opened_test(dataset: Dataset) -> Split:
    """Return the test split under the seal: for the harness alone, once the selection is written down."""
    with opened_by_harness():
        return dataset.test


@contextmanager
def generators_kept() -> Iterator[None]:
    """Let the body draw from global generators as it likes: afterwards they stand where they stood."""
    restore = [_keep_generators()]
    if "torch" in sys.modules:
        restore.append(_keep_torch_generators(sys.modules["torch"]))
    try:
        yield
    finally:
        for function in restore:
            function()


@contextmanager
def _settings_kept(seed: int) -> Iterator[None]:
    """Seed the global generators; restore them and the settings of the process after the body."""
    with ExitStack() as stack, np.errstate(), warnings.catch_warnings():
        stack.callback(_keep_process())
        stack.callback(_keep_generators())
        random.seed(seed)
        np.random.seed(seed % 2**32)

        def enter(torch: Any) -> None:
            """Seed torch and keep its settings, at once or when it is imported."""
            stack.callback(_keep_torch(torch))
            stack.callback(_keep_torch_generators(torch))
            torch.manual_seed(seed)

        if "torch" in sys.modules:
            enter(sys.modules["torch"])
        else:
            stack.enter_context(_at_import_of("torch", enter))
        yield


def _keep_process() -> Callable[[], None]:
    """Return a function that restores settings of the interpreter and of the operating system."""
    environment, path, folder = dict(os.environ), list(sys.path), Path.cwd()
    place, limit, collecting = locale.setlocale(locale.LC_ALL), sys.getrecursionlimit(), gc.isenabled()

    def restore() -> None:
        """Write only what differs: other threads may read it meanwhile."""
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        for name, value in environment.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        if locale.setlocale(locale.LC_ALL) != place:
            locale.setlocale(locale.LC_ALL, place)
        sys.path[:] = path
        os.chdir(folder)
        sys.setrecursionlimit(limit)
        (gc.enable if collecting else gc.disable)()

    return restore


def _keep_generators() -> Callable[[], None]:
    own, numpys = random.getstate(), np.random.get_state()

    def restore() -> None:
        """Put the generators of Python and NumPy back."""
        random.setstate(own)
        np.random.set_state(numpys)

    return restore


def _keep_torch_generators(torch: Any) -> Callable[[], None]:
    state = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None

    def restore() -> None:
        """Put torch's generators back, on the devices that were in use."""
        torch.set_rng_state(state)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)

    return restore


def _keep_torch(torch: Any) -> Callable[[], None]:
    """Return a function that restores torch's process-wide settings."""
    dtype, threads, grad = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    mode, precision = torch.get_deterministic_debug_mode(), torch.get_float32_matmul_precision()
    device, cudnn = torch.get_default_device(), torch.backends.cudnn
    flags = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic", "allow_tf32")}

    def restore() -> None:
        """Write only what differs, since some of it is slow to set."""
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        torch.set_float32_matmul_precision(precision)
        for name, value in flags.items():
            setattr(cudnn, name, value)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.get_deterministic_debug_mode() != mode:
            torch.set_deterministic_debug_mode(mode)
        if torch.get_default_device() != device:
            torch.set_default_device(None if device.type == "cpu" else device)

    return restore


class _Finder:
    """Calls a function with a module that has just been imported for the first time."""

    def __init__(self, name: str, then: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._then = then

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the module's usual specification, with a loader that calls the function at its end."""
        spec = PathFinder.find_spec(name, path) if name == self._name else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_then(module: ModuleType) -> None:
                """Execute the module, then call the function."""
                execute(module)
                self._then(module)

            spec.loader.exec_module = execute_then  # type: ignore[method-assign]
        return spec


@contextmanager
def _at_import_of(name: str, then: Callable[[Any], None]) -> Iterator[None]:
    finder = _Finder(name, then)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
