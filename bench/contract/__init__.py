"""The contract between the harness and its plug-ins: value types only, no behaviour of the harness.

A method's file needs `Method`, `card`, `setting`, `Split` and `Context`; a dataset's file needs
`DatasetLoader`, `DatasetCard` and the cards it is made of.
"""

from bench.contract.cards import (
    Character,
    DatasetCard,
    Encoding,
    Fact,
    FileCard,
    MethodCard,
    ModalityCard,
    Pairs,
    Role,
    Similarity,
    Status,
)
from bench.contract.context import Context, Progress, Trace
from bench.contract.data import Array, Modality, Pairing, Split
from bench.contract.dataset import DataKind, Dataset, DatasetLoader, Items, Shown
from bench.contract.declarations import card, card_of, setting
from bench.contract.errors import (
    BenchError,
    DataError,
    DeadlineExceeded,
    PluginError,
    RefusedEmbeddings,
    SealedTestError,
    Unsupported,
    UsageError,
)
from bench.contract.method import Checkpoint, Method, State, fitted_part, unsuitable
from bench.contract.seal import opened_by_harness, sealed_test

__all__ = [
    "Array",
    "BenchError",
    "Character",
    "Checkpoint",
    "Context",
    "DataError",
    "DataKind",
    "Dataset",
    "DatasetCard",
    "DatasetLoader",
    "DeadlineExceeded",
    "Encoding",
    "Fact",
    "FileCard",
    "Items",
    "Method",
    "MethodCard",
    "Modality",
    "ModalityCard",
    "Pairing",
    "Pairs",
    "PluginError",
    "Progress",
    "RefusedEmbeddings",
    "Role",
    "SealedTestError",
    "Shown",
    "Similarity",
    "Split",
    "State",
    "Status",
    "Trace",
    "Unsupported",
    "UsageError",
    "card",
    "card_of",
    "fitted_part",
    "opened_by_harness",
    "sealed_test",
    "setting",
    "unsuitable",
]
