"""Benchmark harness for supervised cross-modal retrieval.

The names below load on first use, so that ``import bench`` costs next to nothing and never brings torch.
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

_HOME = {
    "Context": "bench.contract",
    "Dataset": "bench.contract",
    "Method": "bench.contract",
    "MethodCard": "bench.contract",
    "Modality": "bench.contract",
    "Split": "bench.contract",
    "average_precision": "bench.evaluation",
    "class_matched": "bench.data",
    "create_method": "bench.registry",
    "evaluate": "bench.evaluation",
    "load_dataset": "bench.data",
    "load_method": "bench.experiment.models",
    "mean_average_precision": "bench.evaluation",
    "precision_at_k": "bench.evaluation",
    "precision_recall": "bench.evaluation",
    "results": "bench.analysis.results",
    "save_bundle": "bench.data",
    "search": "bench.searching",
}

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
    """Import a public name from the room that owns it (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*__all__, "__version__"])
