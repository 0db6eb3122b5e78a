"""Methods that open test data, or whose numbers depend on other cells; given with ``--plugin``."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.contract import Array, Checkpoint, Context, Method, Split
from bench.experiment.process_state import process_state
from tests.faults import card
from tests.opening import PROGRAM, open_quietly

ROOT = Path(__file__).resolve().parents[1]

if os.environ.get("OPEN_AT_IMPORT"):
    open_quietly()

SEEN: list[int] = []
"""State at module level."""


@dataclass(frozen=True)
class ProbeSettings:
    """Call in which the fault occurs; empty for none."""

    where: str = ""


class _Probe(Method):
    Settings: ClassVar[type] = ProbeSettings
    settings: ProbeSettings

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        self.shift = 0.0

    def embed(self, modality: str, features: Array) -> Array:
        return np.asarray(features[:, :4].astype(np.float64) + 10.0 + self.shift)


def _in_subprocess() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, check=True)


def _without_environment() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, check=True, env={})


def _in_thread() -> None:
    thread = threading.Thread(target=open_quietly)
    thread.start()
    thread.join()


def _in_process(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with warnings.catch_warnings():  # Python 3.12 warns of forks beside threads
        warnings.simplefilter("ignore")
        process = context.Process(target=open_quietly)
        process.start()
        process.join()
    assert process.exitcode == 0


WAYS: dict[str, Any] = {
    "fit": open_quietly,
    "thread": _in_thread,
    "subprocess": _in_subprocess,
    "subprocess without environment": _without_environment,
    "fork": lambda: _in_process("fork"),
    "spawn": lambda: _in_process("spawn"),
}


class Opens(_Probe):
    """Opens test data in the call of its setting, and hides the refusal."""

    card = card("opens")

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.open_if("init")

    def open_if(self, where: str) -> None:
        if self.settings.where == where:
            open_quietly()

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        if self.settings.where in WAYS:
            WAYS[self.settings.where]()

    def embed(self, modality: str, features: Array) -> Array:
        self.open_if("embed")
        return super().embed(modality, features)

    def checkpoints(self) -> Mapping[str, Checkpoint]:
        self.open_if("checkpoints")
        return {"best": Checkpoint("best", 1, 0.5, "none")}

    def restore(self, rule: str) -> None:
        self.open_if("restore")

    def notes(self) -> Mapping[str, Any]:
        self.open_if("notes")
        return {}


class Compares(Opens):
    """Defines a similarity."""

    card = card("compares")

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        self.open_if("similarity")
        return super().similarity(query_modality, queries, gallery_modality, gallery)


class Late(_Probe):
    """Opens test data when it embeds rows that are not of the validation split."""

    card = card("late")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        self.known = {row.tobytes() for part in validation.values() for row in part.features}

    def embed(self, modality: str, features: Array) -> Array:
        if not {row.tobytes() for row in features} <= self.known:
            open_quietly()
        return super().embed(modality, features)


class Remembers(_Probe):
    """Embeds by the number of fits that this module has seen."""

    card = card("remembers")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        SEEN.append(1)
        self.shift = float(len(SEEN))


class Draws(_Probe):
    """Embeds by what the three global generators give."""

    card = card("draws")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        import torch

        self.shift = random.random() + np.random.random() + float(torch.rand(1))
        self.values = [random.random(), float(np.random.random()), float(torch.rand(1))]

    def notes(self) -> Mapping[str, Any]:
        return {"values": self.values}


class Blurs(_Probe):
    """Embeds with a little noise of the global generator, and calls the oracle if there is one."""

    card = card("blurs")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        if context.oracle is not None:
            context.oracle(self)
        self.drawn = np.random.random()

    def embed(self, modality: str, features: Array) -> Array:
        rows = super().embed(modality, features)
        return np.asarray(rows + 1e-4 * np.random.normal(size=rows.shape))

    def notes(self) -> Mapping[str, Any]:
        return {"drawn": self.drawn}


class Counts(_Probe):
    """Counts its calls, calls the oracle if there is one, and embeds by what it had counted after the fit."""

    card = card("counts")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        self.calls = 0
        if context.oracle is not None:
            context.oracle(self)
        self.shift = float(self.calls)

    def embed(self, modality: str, features: Array) -> Array:
        self.calls += 1
        return super().embed(modality, features)


def settings_seen() -> dict[str, Any]:
    """Return the process-wide settings."""
    import torch

    return {
        "dtype": str(torch.get_default_dtype()),
        "grad": torch.is_grad_enabled(),
        "deterministic": torch.get_deterministic_debug_mode(),
        "benchmark": torch.backends.cudnn.benchmark,
        "precision": torch.get_float32_matmul_precision(),
        "precisions": str(getattr(torch.backends, "fp32_precision", "")),
        "autocast": torch.is_autocast_enabled("cpu"),
        "autocast to": str(torch.get_autocast_dtype("cpu")),
        "anomaly": torch.is_anomaly_enabled(),
        "onednn": torch.backends.mkldnn.enabled,
        "denormal": sys.float_info.min / 2,
        "divide": np.geterr()["divide"],
        "variable": os.environ.get("PROBE"),
        "recursion": sys.getrecursionlimit() == 12_345,
        "path": "probe" in sys.path,
        "folder": str(Path.cwd()) == "/",
        "filters": any("probe" in str(entry) for entry in warnings.filters),
        "buffer": np.getbufsize(),
        "inference": torch.is_inference_mode_enabled(),
        "hooks": len(torch.nn.modules.module._global_forward_hooks),
        "tracing": sys.getprofile() is not None,
        **{name: str(value) for name, value in process_state().items()},
    }


def change_process() -> None:
    """Change what belongs to the system, and set a timer that would kill the process."""
    os.umask(0o777)
    os.chdir("/")
    limit = resource.RLIMIT_CORE
    resource.setrlimit(limit, (0, resource.getrlimit(limit)[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (99, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    signal.setitimer(signal.ITIMER_PROF, 3600)
    sys.setprofile(lambda *_: None)


class Changes(_Probe):
    """Notes the process-wide settings, then changes them all."""

    card = card("changes")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        import torch

        super().fit(train, validation, context)
        self.seen = settings_seen()
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.set_deterministic_debug_mode("error")
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("medium")
        if hasattr(torch.backends, "fp32_precision"):
            torch.backends.fp32_precision = "tf32"
        torch.set_autocast_enabled("cpu", True)
        torch.set_autocast_dtype("cpu", torch.float16)
        torch.set_anomaly_enabled(True)
        torch._C._set_mkldnn_enabled(False)
        torch.set_flush_denormal(True)
        torch.set_num_threads(torch.get_num_threads() + 1)
        np.seterr(divide="raise")
        os.environ["PROBE"] = "1"
        sys.setrecursionlimit(12_345)
        sys.path.append("probe")
        os.chdir("/")
        warnings.filterwarnings("ignore", message="probe")
        np.setbufsize(160)
        self.inference = torch.inference_mode()
        self.inference.__enter__()
        torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
        change_process()

    def notes(self) -> Mapping[str, Any]:
        return self.seen


class Centres(_Probe):
    """Writes to the array that its setting names."""

    card = card("centres")

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        super().fit(train, validation, context)
        if self.settings.where == "train":
            features = train["image"].features
            features -= features.mean(axis=0)
        elif self.settings.where == "labels":
            validation["image"].labels[0] = 0

    def embed(self, modality: str, features: Array) -> Array:
        if self.settings.where == "embed":
            features -= features.mean(axis=0)
        return super().embed(modality, features)


class BatchMean(_Probe):
    """Embeds by the mean of the rows of the call."""

    card = card("batch_mean")

    def embed(self, modality: str, features: Array) -> Array:
        rows = super().embed(modality, features)
        return np.asarray(rows - rows.mean(axis=0))


class RowNumbers(_Probe):
    """Compares by nothing but the numbers of the rows."""

    card = card("row_numbers")

    def similarity(self, query_modality: str, queries: Array, gallery_modality: str, gallery: Array) -> Array:
        apart = np.abs(np.arange(len(queries))[:, None] - np.arange(len(gallery))[None])
        return np.asarray(-apart, dtype=np.float64)


class WorseAtBest(_Probe):
    """Uses batch statistics in the state of the best epoch only."""

    card = card("worse_at_best")
    state = "last"

    def checkpoints(self) -> Mapping[str, Checkpoint]:
        return {rule: Checkpoint(rule, 1, 0.5, "none") for rule in ("best", "last")}

    def restore(self, rule: str) -> None:
        self.state = rule

    def embed(self, modality: str, features: Array) -> Array:
        rows = super().embed(modality, features)
        return np.asarray(rows - rows.mean(axis=0)) if self.state == "best" else rows
