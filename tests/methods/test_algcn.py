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
from tests.methods.golden import Golden, assert_gradients, layers, leaves, state
from tests.methods.small_splits import fitted, separable

RELEASE = ALGCNSettings(faithful_to="release", dim=8, label_width=9)
SMALL = ALGCNSettings(epochs=1, batch_size=7, dim=64, label_width=4, lr=3e-3)
NOTHING = torch.zeros(())


@pytest.mark.parametrize("kind", ["onehot", "multihot"])
def test_loss_its_parts_and_gradients_equal_the_releases(numbers: Golden, kind: str) -> None:
    names = ("z1", "z2", "pred1", "pred2")
    inputs = leaves(numbers, *names)
    y = torch.tensor(numbers[f"labels_{kind}"])
    parts = algcn_loss(inputs[:2], inputs[2:], (y, y), NOTHING, RELEASE, counted=True)
    for part, key in (("loss", "total_without_super"), ("J_c", "cla"), ("J_p", "pair")):
        assert_allclose(parts[part].item(), numbers[f"{kind}_{key}"], rtol=1e-8)
    assert RELEASE.alpha == numbers["alpha"]
    assert_gradients(parts["loss"], inputs, [numbers[f"{kind}_grad_{name}"] for name in names])


@pytest.fixture
def graph(numbers: Golden) -> Graph:
    labels = torch.tensor(numbers["graph_labels"], dtype=torch.float32)
    released = ALGCN(replace(RELEASE, threshold=float(numbers["graph_t"])))
    graph = Graph(released.neighbours(labels.T @ labels), float(numbers["graph_gamma"]))
    graph.learned.data = torch.tensor(numbers["net_B"])
    return graph


def test_graph_and_its_supervision_equal_the_releases(numbers: Golden, graph: Graph) -> None:
    labels = numbers["graph_labels"]
    counts = labels.T @ labels
    assert_allclose(counts.diagonal(), numbers["graph_counts"])
    assert_allclose(counts + np.diag(counts.diagonal()), numbers["graph_cooccurrence_as_written"])
    assert_allclose(graph.given, numbers["net_A"], rtol=1e-6)
    adjacency = ALGCN(RELEASE).normalised(graph())
    assert_allclose(adjacency.detach(), numbers["graph_adj_normalised"], rtol=1e-5)
    noise = torch.tensor(numbers["net_noise"])
    for drawn, key in ((torch.zeros_like(noise), "no_noise"), (noise, "with_noise")):
        found = supervision(adjacency, graph.given, drawn)
        assert_allclose(found.item(), numbers[f"net_super_loss_{key}"], rtol=1e-5)


def test_network_and_its_gradients_equal_the_releases(numbers: Golden, graph: Graph) -> None:
    z = []
    for key, name, width in (("net_x1", "img", 14), ("net_x2", "text", 11)):
        encoder: nn.Module = mlp((width, 8), activate_last=True)
        encoder.load_state_dict(layers(numbers, {"0": f"net_{name}_net_denseL1"}))
        z.append(encoder(torch.tensor(numbers[key])))
    labels = LabelNetwork(6, 9, 8, 3)
    names = {f"weights.{layer}": f"net_gc{layer + 1}_weight" for layer in range(3)} | {"inputs": "net_inp"}
    labels.load_state_dict(state(numbers, names) | layers(numbers, {"head": "net_hypo"}))
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
    expected = [numbers[f"net_grad_{name}"] for name in ("B", "inp", "hypo_weight")]
    assert_gradients(total, [graph.learned, labels.inputs, labels.head.weight], expected, 1e-5, 1e-6)


def test_random_neighbours_are_as_many_as_set_and_differ_between_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[Tensor] = []

    def noted(adjacency: Tensor, a: Tensor, noise: Tensor) -> Tensor:
        drawn.append(noise)
        return NOTHING

    monkeypatch.setattr("methods.algcn.supervision", noted)
    fitted(
        ALGCN(replace(SMALL, noise=0.2)),
        separable({"image": 50, "text": 50}, n_classes=50, pairing="natural"),
    )
    assert drawn[0].shape == (3, 50, 50)
    assert drawn[0].mean().item() == pytest.approx(0.2, abs=0.02)
    assert not torch.equal(drawn[0][0], drawn[0][1])


def test_the_learned_part_of_the_graph_moves_a_hundred_times_as_fast_as_the_weights() -> None:
    train = DeviceSplit(separable({"image": 20, "text": 20}, pairing="natural"), "cpu")
    (stage,) = ALGCN(SMALL).stages(train, Context())
    weights, learned = stage.tracks[0].steps[0].optimiser.param_groups
    assert learned["lr"] == pytest.approx(100 * weights["lr"])
    assert [len(values) for values in learned["params"]] == [3]
