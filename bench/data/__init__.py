"""Datasets: reading, checking, finding, fetching, bundles, pairing and look-alikes."""

from bench.data.bundle import bundle_modalities
from bench.data.caps import CAPS, QUICK, QUICK_LOOK_ALIKE, Caps, caps_of
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
from bench.data.containers import ArrayFile, open_arrays
from bench.data.download import Patience
from bench.data.examining import Finding, examine
from bench.data.fetching import fetch
from bench.data.fingerprint import fingerprint_of
from bench.data.loading import card_of, load_dataset, load_from
from bench.data.look_alike import look_alike
from bench.data.pairing import class_matched
from bench.data.partition import fixed_generator, stratified_validation
from bench.data.source import data_folder

__all__ = [
    "CAPS",
    "QUICK",
    "QUICK_LOOK_ALIKE",
    "ArrayFile",
    "Caps",
    "Finding",
    "Patience",
    "bundle_modalities",
    "caps_of",
    "card_of",
    "checked_modality",
    "class_matched",
    "class_numbers",
    "cut_block",
    "data_folder",
    "examine",
    "feature_matrix",
    "fetch",
    "fingerprint_of",
    "first_class",
    "fixed_generator",
    "label_matrix",
    "load_dataset",
    "load_from",
    "look_alike",
    "open_arrays",
    "read_modality",
    "stated_rows",
    "stratified_validation",
]
