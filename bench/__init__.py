"""Benchmark harness for supervised cross-modal retrieval.

The names below are imported on first use, so that ``import bench`` is fast and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.analysis.results import results
    from bench.contract import Context, Dataset, Method, MethodCard, Modality, Split
    from bench.data import class_matched, load_dataset, save_bundle
    from bench.evaluation import (
        average_precision,
        evaluate,
        mean_average_precision,
        precision_at_k,
        precision_recall,
    )
    from bench.experiment.models import load_method
    from bench.registry import create_method
    from bench.searching import search

__version__ = "0.1.0"

_MODULES = {
    "Context Dataset Method MethodCard Modality Split": "bench.contract",
    "class_matched load_dataset save_bundle": "bench.data",
    "average_precision evaluate mean_average_precision precision_at_k precision_recall": "bench.evaluation",
    "create_method": "bench.registry",
    "load_method": "bench.experiment.models",
    "results": "bench.analysis.results",
    "search": "bench.searching",
}
_MODULE_OF = {name: module for names, module in _MODULES.items() for name in names.split()}

__all__ = [
    "Context",
    "Dataset",
    "Method",
    "MethodCard",
    "Modality",
    "Split",
    "average_precision",
    "class_matched",
    "create_method",
    "evaluate",
    "load_dataset",
    "load_method",
    "mean_average_precision",
    "precision_at_k",
    "precision_recall",
    "results",
    "save_bundle",
    "search",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*__all__, "__version__"])
