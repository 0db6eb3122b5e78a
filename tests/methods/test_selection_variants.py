"""How states are selected: validation losses compare between epochs, and variants offer the other rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench import registry
from bench.contract import Context, Method
from bench.training import BY_LOSS, BY_MAP
from tests.methods.small_splits import separable

DEEP = [name for name in registry.method_names() if registry.method(name).card.deep]
OTHER_RULE = {
    ("drcl", "selected_by_map"): BY_MAP,
    ("sdml", "selected_by_map"): BY_MAP,
    ("mars", "selected_by_loss"): BY_LOSS,
    ("deep_sm", "selected_by_loss"): BY_LOSS,
}


def fitted(name: str, context: Context, variant: str = "full", **changes: Any) -> Method:
    small = {"epochs": 4, "spl_epochs": 1, "hidden": [8], "dim": 6, "label_hidden": [8], "batch_size": 10}
    known = registry.method(name).defaults
    overrides = {key: value for key, value in {**small, **changes}.items() if key in known}
    settings = registry.resolve_settings(registry.method(name), variant=variant, overrides=overrides)
    method = registry.instantiate(name, settings)
    train, validation = (separable({"image": n, "text": n}, pairing="natural", seed=n) for n in (40, 15))
    method.fit(train, validation, context)
    return method


@pytest.mark.parametrize("name", DEEP)
def test_validation_losses_of_one_state_are_equal_in_all_epochs(name: str) -> None:
    """At a learning rate of 0 nothing but the epoch changes: least loss must not mean latest epoch."""
    context = Context()
    fitted(name, context, lr=0.0, spl_lr=0.0)
    columns = {key for row in context.trace.rows for key in row if key.startswith("validation_loss/")}
    if not columns:
        pytest.skip("has no validation loss")
    for column in columns:
        values = [float(row[column] or 0.0) for row in context.trace.rows if column in row]
        assert np.ptp(values) <= 1e-6 * max(map(abs, values))


@pytest.mark.parametrize(("name", "variant"), OTHER_RULE)
def test_methods_that_train_modalities_apart_offer_the_other_rule(name: str, variant: str) -> None:
    usual, other = fitted(name, Context()), fitted(name, Context(), variant)
    rule = OTHER_RULE[name, variant]
    assert other.checkpoints()["best"].criterion == rule.criterion
    assert usual.checkpoints()["best"].criterion == (BY_LOSS if rule is BY_MAP else BY_MAP).criterion
