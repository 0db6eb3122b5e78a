"""Test data is sealed while a method is fitted, and every attempt to open it is noticed."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from bench.conformance.samples import Sample
from bench.contract import Dataset, SealedTestError, opened_by_harness, sealed_test
from bench.contract.seal import SEAL_VARIABLE


@pytest.fixture
def dataset() -> Dataset:
    """Return a dataset with a test split."""
    return Sample().dataset()


@pytest.mark.parametrize(
    "opens",
    [
        lambda dataset: dataset.test,
        lambda dataset: dataset.open_test(),
        lambda dataset: dataset.select(("image",)).test,
    ],
)
def test_every_way_to_test_data_is_refused_under_the_seal(dataset: Dataset, opens: Any) -> None:
    assert len(dataset.test["image"]) == 12
    with pytest.raises(SealedTestError, match="test split of conformance"), sealed_test():
        opens(dataset)
    assert dataset.test


def test_an_attempt_whose_refusal_is_hidden_fails_this_fit_and_not_the_next(dataset: Dataset) -> None:
    with pytest.raises(SealedTestError, match="hid the refusal"):
        _hidden_attempt(dataset)
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


def _hidden_attempt(dataset: Dataset) -> None:
    with sealed_test(), contextlib.suppress(SealedTestError):
        dataset.test  # noqa: B018


def test_an_attempt_is_noted_where_no_file_can_be_written(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(SealedTestError, match="hid the refusal"):
        _hidden_attempt(dataset)


def test_a_child_process_notes_attempts_for_the_process_that_set_the_seal(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    marker = tmp_path / "attempted"
    monkeypatch.setenv(SEAL_VARIABLE, str(marker))  # as a child inherits it
    with sealed_test():
        assert os.environ.pop(SEAL_VARIABLE) == str(marker)
    assert os.environ[SEAL_VARIABLE] == str(marker)
    with pytest.raises(SealedTestError, match="hid the refusal"):
        _hidden_attempt(dataset)
    assert marker.exists()
    marker.unlink()
    with pytest.raises(SealedTestError, match="test split"):
        dataset.test  # noqa: B018
    assert marker.exists()
    with contextlib.suppress(SealedTestError), sealed_test():
        pass  # after which nothing is held against this process


def test_a_thread_of_an_earlier_body_is_refused_and_not_held_against_this_one(dataset: Dataset) -> None:
    begin, refused = threading.Event(), []

    def open_later() -> None:
        begin.wait(60)
        with pytest.raises(SealedTestError):
            dataset.test  # noqa: B018
        refused.append(True)

    with sealed_test():
        thread = threading.Thread(target=open_later)
        thread.start()
    with sealed_test(), sealed_test():
        begin.set()
        thread.join()
    assert refused == [True]


def test_the_seal_leaves_no_file_and_no_variable(dataset: Dataset) -> None:
    with contextlib.suppress(SealedTestError), sealed_test():
        marker = Path(os.environ[SEAL_VARIABLE])
        with contextlib.suppress(SealedTestError):
            dataset.test  # noqa: B018
        assert marker.exists()
    assert SEAL_VARIABLE not in os.environ
    assert not marker.exists()


def test_the_harness_opens_test_data_in_its_thread_alone(dataset: Dataset) -> None:
    refused: list[bool] = []

    def open_test() -> None:
        try:
            dataset.test  # noqa: B018
        except SealedTestError:
            refused.append(True)

    with contextlib.suppress(SealedTestError), sealed_test():
        with opened_by_harness():
            with opened_by_harness():
                assert dataset.test
            assert dataset.test
            thread = threading.Thread(target=open_test)
            thread.start()
            thread.join()
        open_test()
    assert refused == [True, True]
