"""The suite passes what is right and fails what is wrong, for exactly the reason that is wrong."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest

from bench.conformance import CHECKS, Check, MethodUnderTest, changed_rows, check_class, fitting, outputs
from bench.conformance.method_under_test import shrunk
from bench.conformance.samples import Sample
from bench.contract import Context, Method, PluginError, Split, Unsupported, UsageError
from tests.conformance import toys

BROKEN: dict[type[Method], Check] = {
    toys.Nameless: outputs.complete_card,
    toys.Timeless: outputs.complete_card,
    toys.WrongVariant: outputs.valid_variants,
    toys.Crashing: fitting.basics,
    toys.NotANumber: fitting.basics,
    toys.Transposed: fitting.basics,
    toys.Whole: fitting.basics,
    toys.Wider: fitting.basics,
    toys.AsList: fitting.basics,
    toys.Squeezed: outputs.single_row,
    toys.BatchStatistics: outputs.row_by_row,
    toys.RowNumbers: outputs.row_by_row,
    toys.Sizes: outputs.row_by_row,
    toys.CentresInPlace: fitting.basics,
    toys.Collapsed: outputs.not_collapsed,
    toys.ZeroLength: outputs.not_collapsed,
    toys.GalleryFirst: outputs.similarities,
    toys.Infinite: outputs.similarities,
    toys.OneSided: outputs.similarities,
    toys.Positions: outputs.pair_by_pair,
    toys.GalleryPositions: outputs.pair_by_pair,
    toys.QueryMean: outputs.pair_by_pair,
    toys.OneQueryLess: outputs.pair_by_pair,
    toys.GlobalDraws: fitting.deterministic,
    toys.Counting: fitting.deterministic,
    toys.NoHalf: fitting.float_types,
    toys.OtherHalf: fitting.float_types,
    toys.Peeking: fitting.sealed,
    toys.HiddenPeeking: fitting.sealed,
    toys.SealCrash: fitting.sealed,
    toys.PeekingInInit: fitting.sealed,
    toys.PeekingInEmbed: fitting.sealed,
    toys.PeekingInSimilarity: fitting.sealed,
    toys.PeekingInNotes: fitting.sealed,
    toys.PeekingInRestore: fitting.sealed,
    toys.InPlaceFeatures: fitting.no_change,
    toys.InPlaceLabels: fitting.no_change,
    toys.EqualSizes: fitting.unequal,
    toys.AllClassesInBatch: fitting.missing_from_batch,
    toys.AllClassesInValidation: fitting.missing_from_validation,
    toys.DropsRest: fitting.large_batch,
    toys.BatchVariance: fitting.one_row_batch,
    toys.Inverting: fitting.wide,
    toys.Standardising: fitting.constant_columns,
    toys.Unscaled: fitting.indifferent_to_scale,
    toys.Untraced: fitting.trace,
    toys.EmptyTrace: fitting.trace,
    toys.Tireless: fitting.deadline,
    toys.Impatient: fitting.deadline,
    toys.Aliased: fitting.restoring,
    toys.AnyRule: fitting.restoring,
    toys.Forgetful: fitting.restoring,
    toys.Unscaling: fitting.storing,
    toys.ObjectState: fitting.storing,
    toys.SetNotes: outputs.plain_notes,
    toys.CrashingNotes: outputs.plain_notes,
    toys.OneLabelOnly: outputs.multi_label,
    toys.FirstTwo: outputs.five_modalities,
    toys.LastClass: changed_rows.unlabelled_rows,
    toys.AllPartners: changed_rows.partial_pairs,
    toys.RelatesIds: changed_rows.pairs_unused,
    toys.Retrains: changed_rows.late_modality,
    toys.KeepsRows: changed_rows.late_modality,
    toys.KeepsLateRows: changed_rows.late_modality,
    toys.TakesTurns: changed_rows.late_modality,
    toys.Undeclared: changed_rows.late_modality,
    toys.CannotExtend: changed_rows.late_modality,
}


@pytest.mark.parametrize("cls", BROKEN, ids=lambda cls: cls.__name__)
def test_a_broken_promise_fails_its_own_check_and_no_other(cls: type[Method]) -> None:
    failed = {outcome.check: outcome.reason for outcome in check_class(cls) if outcome.status == "failed"}
    assert list(failed) == [BROKEN[cls]], failed
    assert failed[BROKEN[cls]]


def test_every_check_can_fail() -> None:
    assert set(BROKEN.values()) == set(CHECKS)


def test_a_method_that_keeps_every_promise_passes_all() -> None:
    outcomes = check_class(toys.Toy)
    assert {outcome.status for outcome in outcomes if outcome.check is not outputs.pair_by_pair} == {"passed"}
    assert {outcome.status for outcome in check_class(toys.OwnSimilarity)} == {"passed"}


def not_passed(cls: type[Method], **options: Any) -> dict[Check, str]:
    """Return the reasons of all promises that are not kept, by promise."""
    outcomes = check_class(cls, **options)
    return {outcome.check: outcome.reason for outcome in outcomes if outcome.status != "passed"}


def test_declared_limits_are_skipped_with_the_reason() -> None:
    reasons = not_passed(toys.Modest)
    skipped = {changed_rows.pairs_unused, changed_rows.late_modality}
    assert set(reasons) == {outputs.pair_by_pair, outputs.multi_label, outputs.five_modalities} | skipped
    assert "one class per sample" in reasons[outputs.multi_label]
    assert "exactly two modalities, not 5" in reasons[outputs.five_modalities]


def test_a_closed_form_without_batches_is_asked_for_no_trace() -> None:
    assert {outcome.status for outcome in check_class(toys.ClosedForm)} == {"passed", "skipped"}
    reasons = not_passed(toys.ClosedForm)
    assert {fitting.trace, fitting.deadline, fitting.restoring, fitting.large_batch} <= set(reasons)
    assert all(reasons.values())


def test_settings_that_the_class_refuses_fail_every_fit() -> None:
    refused = not_passed(toys.Toy, settings={"lr": "fast"})
    assert all("were refused" in refused[check] for check in (outputs.valid_variants, fitting.basics))


def test_nothing_is_said_about_a_method_that_does_not_fit_plain_data() -> None:
    outcomes = check_class(toys.Crashing)
    (failed,) = [outcome for outcome in outcomes if outcome.status == "failed"]
    assert "ZeroDivisionError: nothing to divide by (toys.py, line " in failed.reason
    waiting = [outcome for outcome in outcomes if outcome.status == "skipped"]
    assert len(waiting) == len(CHECKS) - 3
    assert all(outcome.reason.startswith("waits until the method ") for outcome in waiting)


def test_data_that_a_method_declines_is_skipped_but_plain_data_must_be_taken() -> None:
    class Choosy(toys.Toy):
        def fit(self, train: Split, validation: Split, context: Context) -> None:
            if train["image"].dimension > 40:
                raise Unsupported("more than 40 features")
            super().fit(train, validation, context)

    class Refusing(toys.Toy):
        def fit(self, train: Split, validation: Split, context: Context) -> None:
            raise Unsupported("I would rather not")

    choosy = {outcome.check: outcome for outcome in check_class(Choosy)}
    assert choosy[fitting.wide].status == "skipped"
    assert "more than 40 features" in choosy[fitting.wide].reason
    refusing = {outcome.check: outcome for outcome in check_class(Refusing)}
    assert refusing[fitting.basics].status == "failed"
    assert "I would rather not" in refusing[fitting.basics].reason


def test_settings_given_by_hand_win_over_the_small_ones() -> None:
    small = MethodUnderTest(toys.Toy).instance().settings
    assert (small.epochs, small.batch_size) == (2, 8)
    assert MethodUnderTest(toys.Toy, {"epochs": 5}).instance().settings.epochs == 5
    with pytest.raises(UsageError, match="did you mean 'epochs'"):
        MethodUnderTest(toys.Toy, {"epoch": 5})


def test_only_sizes_and_durations_are_made_small() -> None:
    published = {"epochs": 200, "prior_epochs": 1, "hidden": [4096, 4096], "dim": 8, "batch_size": 1024}
    published |= {"lr": 1, "learned": True, "patience": None, "thresholds": [1, 2]}
    small = {"epochs": 2, "prior_epochs": 1, "hidden": [16, 16], "dim": 8, "batch_size": 8}
    assert shrunk(published) == small


def test_settings_that_are_not_frozen_are_refused_before_anything_is_tried() -> None:
    class Mutable(toys.Toy):
        Settings: ClassVar[type] = dataclasses.make_dataclass("Settings", [("epochs", int, 1)])

    with pytest.raises(PluginError, match="frozen dataclass"):
        check_class(Mutable)


def test_the_same_sample_has_the_same_bytes_and_fits_in_half_precision() -> None:
    one, other = Sample(rows=(7, 9), pairing="none").dataset(), Sample(rows=(7, 9), pairing="none").dataset()
    for name in one.train:
        features = one.train[name].features
        assert features.tobytes() == other.train[name].features.tobytes()
        assert (features.astype("float16").astype("float32") == features).all()
    assert not (one.train["text"].features[:7] == one.test["text"].features[:7]).all()
