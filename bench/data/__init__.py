"""Datasets: finding, reading, checking, fetching, bundles, pairing and look-alikes."""

from bench.data.bundle import bundle_modalities, read_bundle, save_bundle
from bench.data.checks import (
    checked_modality,
    class_numbers,
    cut_block,
    feature_matrix,
    first_class,
    label_matrix,
    read_modality,
    stated_rows,
)
from bench.data.doctor import Diagnosis, diagnose
from bench.data.fetching import Patience, fetch
from bench.data.formats import ArrayFile, open_arrays
from bench.data.keys import Choices
from bench.data.loading import (
    DatasetSummary,
    card_of,
    fingerprint_of,
    is_bundle,
    load_dataset,
    load_from,
    open_and_check,
)
from bench.data.locations import data_folder
from bench.data.look_alike import look_alike
from bench.data.pairing import class_matched, training_rows
from bench.data.partition import (
    QUICK,
    QUICK_LOOK_ALIKE,
    ROW_LIMITS,
    RowLimits,
    fixed_generator,
    row_limits,
    stratified_validation,
)

__all__ = [
    "QUICK",
    "QUICK_LOOK_ALIKE",
    "ROW_LIMITS",
    "ArrayFile",
    "Choices",
    "DatasetSummary",
    "Diagnosis",
    "Patience",
    "RowLimits",
    "bundle_modalities",
    "card_of",
    "checked_modality",
    "class_matched",
    "class_numbers",
    "cut_block",
    "data_folder",
    "diagnose",
    "feature_matrix",
    "fetch",
    "fingerprint_of",
    "first_class",
    "fixed_generator",
    "is_bundle",
    "label_matrix",
    "load_dataset",
    "load_from",
    "look_alike",
    "open_and_check",
    "open_arrays",
    "read_bundle",
    "read_modality",
    "row_limits",
    "save_bundle",
    "stated_rows",
    "stratified_validation",
    "training_rows",
]
