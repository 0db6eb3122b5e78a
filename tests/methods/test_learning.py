"""What several methods promise alike: they learn, refuse data without pairs, and train modalities apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from numpy.testing import assert_array_equal

from bench import registry
from bench.contract import Context, Unsupported
from methods.acmr import ACMR, ACMRSettings
from methods.algcn import ALGCN, ALGCNSettings
from methods.clip4cmr import CLIP4CMR, CLIP4CMRSettings
from methods.deep_sm import DeepSM, DeepSMSettings
from methods.gnn4cmr import GNN4CMR, GNN4CMRSettings
from methods.mars import MARS, MARSSettings
from methods.rono import RONO, RONOSettings
from methods.sdml import SDML, SDMLSettings
from tests.methods.small_splits import separable

PAIR, UNEQUAL = {"image": 30, "text": 30}, {"image": 30, "text": 20}
GRAPH: dict[str, Any] = {"epochs": 15, "batch_size": 7, "dim": 64, "label_width": 4, "lr": 3e-3}
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
    *[
        (method, rows, {"pairing": pairing, "multi_label": several})
        for method in GRAPHS
        for rows, pairing in ((PAIR, "natural"), (UNEQUAL, "none"))
        for several in (False, True)
    ],
]
NEEDS_PAIRS = [name for name in registry.method_names() if registry.method(name).card.pairs == "needed"]


@pytest.mark.parametrize(("method", "rows", "kind"), LEARNS)
def test_small_data_is_learned(method: Any, rows: dict[str, int], kind: dict[str, Any]) -> None:
    split, context = separable(rows, **kind), Context(scope=("small",))
    method.fit(split, split, context)
    losses = [float(value or 0) for value in context.trace.column("train_loss/joint")]
    maps = [float(value or 0) for value in context.trace.column("validation_map")]
    assert losses[-1] < 0.9 * losses[0]
    assert max(maps) > 0.8 if kind.get("multi_label") else max(maps) > 0.9


@pytest.mark.parametrize("name", NEEDS_PAIRS)
def test_data_without_pairs_is_refused_with_a_reason(name: str) -> None:
    split = separable({"image": 20, "text": 20})
    with pytest.raises(Unsupported, match="correspond"):
        registry.create_method(name, profile="quick").fit(split, split, Context())


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
    probe = separable({"text": 9})["text"].features
    found = []
    for rows in ({"image": 25, "text": 31}, {"image": 25, "text": 31, "audio": 40}):
        fresh = type(method)(replace(method.settings))
        fresh.fit(separable(rows), separable(dict.fromkeys(rows, 9), seed=1), Context(scope=("small",)))
        fresh.restore("last")  # the best epoch of MARS and Deep-SM is one for all and depends on all
        found.append(fresh.embed("text", probe))
    assert_array_equal(found[0], found[1])
