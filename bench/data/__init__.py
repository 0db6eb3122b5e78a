"""Datasets: finding, reading, checking, fetching, bundles, pairing and look-alikes."""

from bench.data.bundle import read_bundle, save_bundle
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
from bench.data.doctor import diagnose
from bench.data.fetching import fetch
from bench.data.formats import ArrayFile, open_arrays
from bench.data.keys import Choices
from bench.data.loading import card_of, fingerprint_of, is_bundle, load_dataset, open_and_check
from bench.data.look_alike import look_alike
from bench.data.pairing import class_matched, training_rows
from bench.data.partition import stratified_validation
