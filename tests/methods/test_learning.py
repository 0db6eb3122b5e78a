"""What several methods promise alike: they learn, refuse data without pairs, train apart, and select."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bench import registry
from bench.contract import Context, Method, Unsupported
from bench.training import BY_LOSS, BY_MAP
from methods.acmr import ACMR, ACMRSettings
from methods.algcn import ALGCN, ALGCNSettings
from methods.clip4cmr import CLIP4CMR, CLIP4CMRSettings
from methods.deep_sm import DeepSM, DeepSMSettings
from methods.gnn4cmr import GNN4CMR, GNN4CMRSettings
from methods.mars import MARS, MARSSettings
from methods.rono import RONO, RONOSettings
from methods.sdml import SDML, SDMLSettings
from tests.methods.small_splits import PAIR, fitted, separable

UNEQUAL = {"image": 30, "text": 20}
GRAPH: dict[str, Any] = {"epochs": 10, "batch_size": 10, "dim": 64, "label_width": 4, "lr": 5e-3}
SMALL: dict[str, Any] = {"epochs": 10, "batch_size": 10, "hidden": (8,), "dim": 5, "lr": 1e-2}
RONO_SMALL = {**SMALL, "epochs": 8, "batch_size": 7, "hidden": (16,), "dim": 8}
NATURAL = {"pairing": "natural"}
CLIP = CLIP4CMR(CLIP4CMRSettings(**{**SMALL, "epochs": 20}, dropout=0.0))
GRAPHS = (ALGCN(ALGCNSettings(**GRAPH)), GNN4CMR(GNN4CMRSettings(**GRAPH, layers=2, decoder_hidden=8)))
LEARNS: list[tuple[Any, dict[str, int], dict[str, Any]]] = [
    (ACMR(ACMRSettings(**SMALL, adversary_hidden=(4,))), PAIR, NATURAL),
    (CLIP, {**UNEQUAL, "audio": 12}, {}),
    (CLIP, UNEQUAL, {"multi_label": True}),
    (RONO(RONOSettings(**RONO_SMALL, head_lr=1e-2, centre_lr=1e-2)), {**PAIR, "audio": 30}, NATURAL),
    *[(method, PAIR, NATURAL) for method in GRAPHS],
    *[(method, UNEQUAL, {"multi_label": True}) for method in GRAPHS],
]
NEEDS_PAIRS = [name for name in registry.method_names() if registry.method(name).card.pairs == "needed"]


@pytest.mark.parametrize(("method", "rows", "kind"), LEARNS)
def test_small_data_is_learned(method: Any, rows: dict[str, int], kind: dict[str, Any]) -> None:
    context = Context(scope=("small",))
    fitted(method, separable(rows, **kind), context=context)
    losses = [float(value or 0) for value in context.trace.column("train_loss/joint")]
    maps = [float(value or 0) for value in context.trace.column("validation_map")]
    assert losses[-1] < 0.9 * losses[0]
    assert max(maps) > 0.8 if kind.get("multi_label") else max(maps) > 0.9


@pytest.mark.parametrize("name", NEEDS_PAIRS)
def test_data_without_pairs_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(Unsupported, match="correspond"):
        fitted(registry.create_method(name, profile="quick"), separable({"image": 20, "text": 20}))


APART: dict[str, Any] = {"epochs": 3, "batch_size": 10, "hidden": (8,), "lr": 1e-2}


@pytest.mark.parametrize(
    "method",
    [
        DeepSM(DeepSMSettings(**APART)),
        SDML(SDMLSettings(**APART, dim=5)),
        MARS(MARSSettings(**APART, label_hidden=(8,), dim=5)),
    ],
    ids=lambda method: method.card.name,
)
def test_a_modality_that_is_trained_apart_learns_the_same_beside_any_others(method: Any) -> None:
    found = []
    for rows in ({"image": 25, "text": 31}, {"image": 25, "text": 31, "audio": 40}):
        validation = separable(dict.fromkeys(rows, 9), seed=1)
        fresh = fitted(type(method)(replace(method.settings)), separable(rows), validation)
        fresh.restore("last")  # the best epoch of MARS and Deep-SM is one for all and depends on all
        found.append(fresh.embed("text", validation["text"].features))
    assert_array_equal(found[0], found[1])


DEEP_SM = DeepSMSettings(epochs=10, batch_size=10, hidden=(8,), lr=1e-2)


def test_embeddings_are_posteriors_of_the_right_class() -> None:
    split, context = separable({"image": 30, "text": 24}), Context(scope=("small",))
    method = fitted(DeepSM(DEEP_SM), split, context=context)
    for name, part in split.items():
        rows = method.embed(name, part.features)
        np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-5)
        assert (rows.argmax(axis=1) == part.labels).mean() > 0.95
    # Untrained classifiers have the entropy of the choice.
    losses = [float(value or 0.0) for value in context.trace.column("train_loss/image")]
    assert losses[0] == pytest.approx(np.log(3), abs=0.6)
    assert losses[-1] < 0.5 * losses[0]


def test_several_classes_have_a_posterior_each() -> None:
    split = separable({"image": 40, "text": 40}, multi_label=True)
    rows = fitted(DeepSM(DEEP_SM), split).embed("image", split["image"].features)
    assert rows.sum(axis=1).max() > 1.2
    assert ((rows > 0.5) == split["image"].labels).mean() > 0.8


DEEP = [name for name in registry.method_names() if registry.method(name).card.deep]
BY_OTHER_RULE = {"drcl": BY_MAP, "sdml": BY_MAP, "mars": BY_LOSS, "deep_sm": BY_LOSS}


def small_fit(name: str, context: Context, variant: str = "full", **changes: Any) -> Method:
    values = {"epochs": 3, "spl_epochs": 1, "hidden": [8], "dim": 6, "label_hidden": [8], "batch_size": 10}
    description = registry.method(name)
    overrides = {key: value for key, value in (values | changes).items() if key in description.defaults}
    settings = registry.resolve_settings(description, variant=variant, overrides=overrides)
    train, validation = (separable({"image": n, "text": n}, pairing="natural", seed=n) for n in (40, 15))
    return fitted(registry.instantiate(name, settings), train, validation, context)


@pytest.mark.parametrize("name", DEEP)
def test_validation_losses_of_one_state_are_equal_in_all_epochs(name: str) -> None:
    """At a learning rate of 0 nothing but the epoch changes: least loss must not mean latest epoch."""
    context = Context()
    small_fit(name, context, lr=0.0, spl_lr=0.0)
    columns = {key for row in context.trace.rows for key in row if key.startswith("validation_loss/")}
    if not columns:
        pytest.skip("has no validation loss")
    for column in columns:
        values = [float(row[column] or 0.0) for row in context.trace.rows if column in row]
        assert np.ptp(values) <= 1e-6 * max(map(abs, values))


@pytest.mark.parametrize("name", BY_OTHER_RULE)
def test_methods_that_train_modalities_apart_offer_the_other_rule(name: str) -> None:
    rule = BY_OTHER_RULE[name]
    usual = BY_LOSS if rule is BY_MAP else BY_MAP
    variant = "selected_by_map" if rule is BY_MAP else "selected_by_loss"
    for chosen, expected in (("full", usual), (variant, rule)):
        assert small_fit(name, Context(), chosen).checkpoints()["best"].criterion == expected.criterion


CENTRED = [
    name for name in DEEP if '(data, "centres")' in Path(registry.method(name).where).read_text("utf-8")
]


@pytest.mark.parametrize("name", CENTRED)
def test_learned_centres_move_and_have_length_1_in_every_step(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls, seen = registry.method_class(name), []

    def watched(self: Any, *given: Any) -> Any:
        seen.append(self.centres.weight.detach().clone())
        return loss(self, *given)

    loss = cls.loss  # type: ignore[attr-defined]
    monkeypatch.setattr(cls, "loss", watched)
    small_fit(name, Context(), lr=1e-2)
    assert abs(seen[-1] - seen[0]).max() > 1e-2
    assert_allclose([centres.norm(dim=0).numpy() for centres in seen], 1.0, rtol=1e-5)
