"""A modality that is added later is embedded in the common space, and changes nothing that was trained."""

from __future__ import annotations

import numpy as np
import pytest

from bench import registry
from bench.conformance.samples import Sample
from bench.contract import Context, Method, Unsupported, UsageError
from bench.evaluation import evaluate

LATE = [name for name in registry.registered().methods if registry.method(name).card.late]
DATASET = Sample(modalities=("image", "text", "audio"), rows=(60, 60, 60)).dataset()
CONTEXT = Context(scope=("late",), threads=1)


def _fitted(name: str, modalities: tuple[str, ...]) -> Method:
    settings = registry.resolve_settings(
        registry.method(name), profile="quick", dataset="conformance", kind="real", variant="full"
    )
    method = registry.instantiate(name, settings)
    method.fit(DATASET.train.select(modalities), DATASET.validation.select(modalities), CONTEXT)
    return method


def _extend(method: Method, modality: str) -> None:
    chosen = (modality,)
    method.extend(modality, DATASET.train.select(chosen), DATASET.validation.select(chosen), CONTEXT)


def test_methods_that_train_each_modality_towards_a_common_target_can_be_extended() -> None:
    assert {"drcl", "sdml", "mars", "deep_sm", "sm", "clip4cmr"} <= {*LATE}


@pytest.mark.parametrize("name", LATE)
def test_late_modalities_are_learnt_one_by_one_and_the_others_stay(name: str) -> None:
    method, test = _fitted(name, ("image",)), DATASET.test
    before = {"image": method.embed("image", test["image"].features)}
    for late in ("text", "audio"):
        _extend(method, late)
        for rule in reversed(list(method.checkpoints())):  # ends with the first, which is the best one
            method.restore(rule)
        for known, rows in before.items():
            np.testing.assert_array_equal(method.embed(known, test[known].features), rows)
        before[late] = method.embed(late, test[late].features)
        result = evaluate(method, test.select(tuple(before)), ["map@all"])
        assert result.mean() > 0.6  # chance is about a third


def test_others_say_that_they_cannot_and_none_takes_a_modality_twice() -> None:
    with pytest.raises(Unsupported, match="together"):
        _extend(_fitted("dscmr", ("image", "text")), "audio")
    method = _fitted("sdml", ("image",))
    with pytest.raises(UsageError, match="image"):
        _extend(method, "image")
