"""ALGCN: its losses, gradients, graph and network equal the released code's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from bench.contract import Context
from bench.training import DeviceSplit, LabelNetwork, label_scores, mlp
from methods.algcn import ALGCN, ALGCNSettings, Graph, algcn_loss, supervision
from tests.methods.golden import Golden, golden, gradients, leaves, state
from tests.methods.small_splits import separable

RELEASE = ALGCNSettings(faithful_to="release", dim=8, label_width=9)
SMALL = ALGCNSettings(epochs=15, batch_size=7, dim=64, label_width=4, lr=3e-3)
NOTHING = torch.zeros(())


@pytest.fixture(scope="module")
def numbers() -> Golden:
    return golden("algcn")


@pytest.mark.parametrize("kind", ["onehot", "multihot"])
def test_loss_its_parts_and_gradients_equal_the_releases(numbers: Golden, kind: str) -> None:
    names = ("z1", "z2", "pred1", "pred2")
    inputs = leaves(numbers, *names)
    y = torch.tensor(numbers[f"labels_{kind}"])
    parts = algcn_loss(inputs[:2], inputs[2:], (y, y), NOTHING, RELEASE, counted=True)
    for part, key in (("loss", "total_without_super"), ("J_c", "cla"), ("J_p", "pair")):
        assert_allclose(parts[part].item(), numbers[f"{kind}_{key}"], rtol=1e-8)
    assert RELEASE.alpha == numbers["alpha"]
    for name, value in zip(names, gradients(parts["loss"], inputs), strict=True):
        assert_allclose(value, numbers[f"{kind}_grad_{name}"], rtol=1e-7, atol=1e-12)


def released_graph(numbers: Golden) -> Graph:
    labels = torch.tensor(numbers["graph_labels"], dtype=torch.float32)
    released = ALGCN(replace(RELEASE, threshold=float(numbers["graph_t"])))
    graph = Graph(released.neighbours(labels.T @ labels), float(numbers["graph_gamma"]))
    graph.learned.data = torch.tensor(numbers["net_B"])
    return graph


def released_network(numbers: Golden) -> tuple[list[nn.Module], LabelNetwork]:
    encoders: list[nn.Module] = []
    for name, width in (("img", 14), ("text", 11)):
        encoder = mlp((width, 8), activate_last=True)
        encoder.load_state_dict(
            state(numbers, {f"0.{kind}": f"net_{name}_net_denseL1_{kind}" for kind in ("weight", "bias")})
        )
        encoders.append(encoder)
    labels = LabelNetwork(6, 9, 8, 3)
    names = {f"weights.{layer}": f"net_gc{layer + 1}_weight" for layer in range(3)}
    names |= {f"head.{kind}": f"net_hypo_{kind}" for kind in ("weight", "bias")} | {"inputs": "net_inp"}
    labels.load_state_dict(state(numbers, names))
    return encoders, labels


def test_graph_equals_the_releases(numbers: Golden) -> None:
    labels = numbers["graph_labels"]
    counts = labels.T @ labels
    assert_allclose(counts.diagonal(), numbers["graph_counts"])
    assert_allclose(counts + np.diag(counts.diagonal()), numbers["graph_cooccurrence_as_written"])
    graph = released_graph(numbers)
    assert_allclose(graph.given, numbers["net_A"], rtol=1e-6)
    adjacency = ALGCN(RELEASE).normalised(graph())
    assert_allclose(adjacency.detach(), numbers["graph_adj_normalised"], rtol=1e-5)


def test_supervision_of_the_graph_equals_the_releases(numbers: Golden) -> None:
    graph = released_graph(numbers)
    noise = torch.tensor(numbers["net_noise"])
    adjacency = ALGCN(RELEASE).normalised(graph())
    without = supervision(adjacency, graph.given, torch.zeros_like(noise))
    assert_allclose(without.item(), numbers["net_super_loss_no_noise"], rtol=1e-5)
    drawn = supervision(adjacency, graph.given, noise)
    assert_allclose(drawn.item(), numbers["net_super_loss_with_noise"], rtol=1e-5)


def test_network_and_its_gradients_equal_the_releases(numbers: Golden) -> None:
    graph, (encoders, labels) = released_graph(numbers), released_network(numbers)
    x = [torch.tensor(numbers[key]) for key in ("net_x1", "net_x2")]
    z = [encoder(rows) for encoder, rows in zip(encoders, x, strict=True)]
    adjacency = ALGCN(RELEASE).normalised(graph())
    vectors = labels(adjacency)
    p = [label_scores(rows, vectors) for rows in z]
    found = {"z1": z[0], "z2": z[1], "pred1": p[0], "pred2": p[1], "label_embeddings": vectors}
    for name, value in found.items():
        assert_allclose(value.detach(), numbers[f"net_out_{name}"], rtol=1e-5, atol=1e-6)
    y = torch.tensor(numbers["labels_onehot"], dtype=torch.float32)
    held = supervision(adjacency, graph.given, torch.zeros(3, 6, 6))
    total = algcn_loss(z, p, (y, y), held, RELEASE)["loss"]
    assert_allclose(total.item(), numbers["net_total_no_noise"], rtol=1e-5)
    inputs: list[Tensor] = [graph.learned, labels.inputs, labels.head.weight]
    for name, value in zip(("B", "inp", "hypo_weight"), gradients(total, inputs), strict=True):
        assert_allclose(value, numbers[f"net_grad_{name}"], rtol=1e-5, atol=1e-6)


def test_random_neighbours_are_as_many_as_said_and_differ_between_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[Tensor] = []

    def noted(adjacency: Tensor, a: Tensor, noise: Tensor) -> Tensor:
        drawn.append(noise)
        return NOTHING

    monkeypatch.setattr("methods.algcn.supervision", noted)
    split = separable({"image": 50, "text": 50}, n_classes=50, pairing="natural")
    ALGCN(replace(SMALL, epochs=1, noise=0.2)).fit(split, split, Context(scope=("small",)))
    assert drawn[0].shape == (3, 50, 50)
    assert drawn[0].mean().item() == pytest.approx(0.2, abs=0.02)
    assert not torch.equal(drawn[0][0], drawn[0][1])


def test_the_learned_part_of_the_graph_moves_a_hundred_times_as_fast_as_the_weights() -> None:
    split = separable({"image": 20, "text": 20}, pairing="natural")
    train = DeviceSplit(split, "cpu")
    (stage,) = ALGCN(SMALL).stages(train, Context())
    weights, learned = stage.tracks[0].steps[0].optimiser.param_groups
    assert learned["lr"] == pytest.approx(100 * weights["lr"])
    assert [len(values) for values in learned["params"]] == [3]
