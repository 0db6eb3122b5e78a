"""Test data is closed while a method is fitted, and an attempt never stays unnoticed."""

from __future__ import annotations

import contextlib

import pytest

from bench.conformance.samples import Sample
from bench.contract import Dataset, SealedTestError, sealed_test


@pytest.fixture
def dataset() -> Dataset:
    """Return a dataset with a test split."""
    return Sample().dataset()


def test_test_data_is_open_outside_the_seal(dataset: Dataset) -> None:
    assert len(dataset.test["image"]) == 12


def test_asking_under_the_seal_is_refused(dataset: Dataset) -> None:
    with pytest.raises(SealedTestError, match="asked for the test split of conformance"), sealed_test():
        dataset.test  # noqa: B018
    assert dataset.test


def test_a_selection_of_modalities_obeys_the_seal(dataset: Dataset) -> None:
    with pytest.raises(SealedTestError), sealed_test():
        dataset.select(("image",)).test  # noqa: B018


def test_hiding_the_refusal_does_not_help(dataset: Dataset) -> None:
    with (
        pytest.raises(SealedTestError, match="hid the refusal"),
        sealed_test(),
        contextlib.suppress(SealedTestError),
    ):
        dataset.test  # noqa: B018


def test_an_earlier_attempt_is_not_held_against_a_later_fit(dataset: Dataset) -> None:
    with contextlib.suppress(SealedTestError), sealed_test():
        dataset.test  # noqa: B018
    with sealed_test():
        pass


def _nested(dataset: Dataset) -> None:
    with sealed_test():
        with sealed_test():
            pass
        with contextlib.suppress(KeyError), sealed_test():
            raise KeyError
        with contextlib.suppress(SealedTestError):
            dataset.test  # noqa: B018


def test_seals_nest_and_open_with_the_outermost(dataset: Dataset) -> None:
    with pytest.raises(SealedTestError, match="hid the refusal"):
        _nested(dataset)
    assert dataset.test


def test_there_is_no_way_around_the_attribute(dataset: Dataset) -> None:
    with pytest.raises(SealedTestError, match="asked for the test split of conformance"), sealed_test():
        dataset.open_test()
