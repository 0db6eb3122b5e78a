"""The suite passes what is right and fails what is wrong, for exactly the reason that is wrong."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import pytest

from bench.conformance import CHECKS, Check, MethodUnderTest, changed_rows, check_class, fitting, outputs
from bench.conformance.method_under_test import shrunk
from bench.conformance.samples import Sample
from bench.contract import Method, PluginError, Unsupported, UsageError
from tests.conformance import toys
from tests.conformance.broken import BROKEN, raising
from tests.wording import mentions

CASES = [(check, case) for check, cases in BROKEN.items() for case in cases]


@pytest.mark.parametrize(("check", "case"), CASES, ids=lambda part: getattr(part, "name", part))
def test_a_broken_promise_fails_its_check_and_no_other(check: Check, case: str) -> None:
    failed = {
        outcome.check: outcome.reason
        for outcome in check_class(BROKEN[check][case])
        if outcome.status == "failed"
    }
    assert list(failed) == [check], failed
    assert failed[check]


def test_every_check_can_fail() -> None:
    assert set(BROKEN) == set(CHECKS)


def not_passed(cls: type[Method], **options: Any) -> dict[Check, str]:
    """Return the reasons of all promises that are not kept, by promise."""
    outcomes = check_class(cls, **options)
    return {outcome.check: outcome.reason for outcome in outcomes if outcome.status != "passed"}


def test_a_method_that_keeps_every_promise_passes_all() -> None:
    assert set(not_passed(toys.Toy)) == {outputs.pair_by_pair}
    assert not not_passed(toys.InnerProduct)


def test_a_method_that_ends_the_program_keeps_no_promise_and_the_suite_goes_on() -> None:
    reasons = not_passed(toys.fits(lambda *_: sys.exit(0)))
    assert "SystemExit" in reasons[fitting.basics]


def test_a_few_rows_of_length_zero_are_allowed() -> None:
    quarter = toys.embeds(lambda rows: rows * (rows.argmax(axis=1) != 0)[:, None])
    assert outputs.not_collapsed not in not_passed(quarter)


def test_declared_limits_are_skipped_with_the_reason() -> None:
    reasons = not_passed(toys.Modest)
    skipped = {changed_rows.pairs_unused, changed_rows.late_modality}
    assert set(reasons) == {outputs.pair_by_pair, outputs.multi_label, outputs.five_modalities} | skipped
    assert "one class" in reasons[outputs.multi_label]
    assert mentions(reasons[outputs.five_modalities], "two modalities ... 5")


def test_a_closed_form_without_batches_needs_no_trace() -> None:
    assert {outcome.status for outcome in check_class(toys.ClosedForm)} == {"passed", "skipped"}
    reasons = not_passed(toys.ClosedForm)
    assert {fitting.trace, fitting.deadline, fitting.restoring, fitting.large_batch} <= set(reasons)
    assert all(reasons.values())


def test_settings_replace_the_small_ones_and_wrong_ones_fail_every_fit() -> None:
    small = MethodUnderTest(toys.Toy).instance().settings
    assert (small.epochs, small.batch_size) == (2, 8)
    assert MethodUnderTest(toys.Toy, {"epochs": 5}).instance().settings.epochs == 5
    with pytest.raises(UsageError, match="epochs"):
        MethodUnderTest(toys.Toy, {"epoch": 5})
    refused = not_passed(toys.Toy, settings={"lr": "fast"})
    assert all("were refused" in refused[check] for check in (outputs.valid_variants, fitting.basics))


def test_a_failed_fit_names_its_line_and_other_checks_wait() -> None:
    outcomes = check_class(BROKEN[fitting.basics]["crash"])
    (failed,) = [outcome for outcome in outcomes if outcome.status == "failed"]
    assert "ZeroDivisionError: divided by zero (toys.py, line " in failed.reason
    waiting = [outcome for outcome in outcomes if outcome.status == "skipped"]
    assert len(waiting) == len(CHECKS) - 3
    assert all(outcome.reason.startswith("waits") for outcome in waiting)


def test_data_that_a_method_declines_is_skipped_but_plain_data_must_be_taken() -> None:
    wide = raising(Unsupported("too wide"), lambda train, *_: train["image"].dimension > 40)
    outcomes = {outcome.check: outcome for outcome in check_class(toys.fits(wide))}
    assert (outcomes[fitting.wide].status, "too wide" in outcomes[fitting.wide].reason) == ("skipped", True)
    outcomes = {outcome.check: outcome for outcome in check_class(toys.fits(raising(Unsupported("any"))))}
    assert (outcomes[fitting.basics].status, "any" in outcomes[fitting.basics].reason) == ("failed", True)


def test_only_sizes_and_durations_are_made_small() -> None:
    published = {"epochs": 200, "prior_epochs": 1, "hidden": [4096, 4096], "dim": 8, "batch_size": 1024}
    published |= {"lr": 1, "learned": True, "patience": None, "thresholds": [1, 2]}
    small = {"epochs": 2, "prior_epochs": 1, "hidden": [16, 16], "dim": 8, "batch_size": 8}
    assert shrunk(published) == small


def test_settings_that_are_not_frozen_are_refused() -> None:
    mutable = dataclasses.make_dataclass("Settings", [("epochs", int, 1)])
    with pytest.raises(PluginError, match="frozen"):
        check_class(toys.toy(Settings=mutable))


def test_the_same_sample_has_the_same_bytes_and_fits_in_half_precision() -> None:
    first, second = (
        Sample(rows=(7, 9), pairing="none").dataset(),
        Sample(rows=(7, 9), pairing="none").dataset(),
    )
    for name in first.train:
        features = first.train[name].features
        assert features.tobytes() == second.train[name].features.tobytes()
        assert (features.astype("float16").astype("float32") == features).all()
    assert not (first.train["text"].features[:7] == first.test["text"].features[:7]).all()
