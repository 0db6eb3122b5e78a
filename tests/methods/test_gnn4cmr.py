"""GNN4CMR: its losses, gradients, graph and network equal the released code's; its adversaries work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from bench.training import LabelNetwork, correlations, label_scores, normalised
from methods.gnn4cmr import (
    GNN4CMR,
    GNN4CMRSettings,
    Imitation,
    adversarial_loss,
    encoder,
    gnn4cmr_loss,
    soft_contrast,
)
from tests.methods.golden import Golden, assert_gradients, gradients, layers, leaves, state

PUBLISHED = GNN4CMRSettings()


@pytest.mark.parametrize("kind", ["onehot", "multihot"])
def test_losses_and_their_gradients_equal_the_releases(numbers: Golden, kind: str) -> None:
    z, p = leaves(numbers, "z1", "z2"), leaves(numbers, "pred1", "pred2")
    y = [torch.tensor(numbers[f"labels_{kind}"])] * 2
    temperature, gamma = float(numbers["T"]), float(numbers["gamma"])
    published = PUBLISHED.temperature, PUBLISHED.gamma, PUBLISHED.alpha, PUBLISHED.beta
    assert published == (temperature, gamma, numbers["alpha"], numbers["beta"])
    whole, inter = soft_contrast(z, y, temperature, gamma), soft_contrast(z, y, temperature, 0.0)
    spaces = ("img_on_imgspace", "txt_on_imgspace", "img_on_txtspace", "txt_on_txtspace")
    j_adv = adversarial_loss([torch.tensor(numbers[f"modal_logits_{space}"]) for space in spaces])
    parts = gnn4cmr_loss(z, p, y, j_adv, PUBLISHED)
    for value, key in (
        (whole, f"{kind}_SC"),
        (inter, f"{kind}_SC_inter_only"),
        (soft_contrast(z, y, temperature, 1.0) - inter, f"{kind}_SC_intra_unweighted"),
        (soft_contrast(z, y, 0.2, gamma), f"{kind}_SC_T02"),
        (j_adv, "gan_loss"),
        (parts["loss"], f"{kind}_total"),
        (parts["J_c"], f"{kind}_cla"),
    ):
        assert_allclose(value.item(), numbers[key], rtol=1e-8)
    assert_gradients(whole, z, [numbers[f"{kind}_grad_SC_{name}"] for name in ("z1", "z2")])
    assert_gradients(parts["J_c"], p, [numbers[f"{kind}_grad_cla_{name}"] for name in ("pred1", "pred2")])


def test_graph_equals_the_releases(numbers: Golden) -> None:
    labels = numbers["graph_labels"]
    counts = labels.T @ labels
    assert_allclose(counts.diagonal(), numbers["graph_counts"])
    assert_allclose(counts + np.diag(counts.diagonal()), numbers["graph_cooccurrence_as_written"])
    threshold = float(numbers["graph_t"])
    assert_allclose(correlations(torch.tensor(counts), threshold).T, numbers["graph_A"], rtol=1e-8)
    released = GNN4CMR(replace(PUBLISHED, threshold=threshold, faithful_to="release"))
    found = released.label_graph(torch.tensor(counts))
    assert_allclose(found, numbers["graph_A_normalised"], rtol=1e-6)
    single = correlations(torch.diag(torch.arange(1.0, 7.0)), 0.4)
    assert_allclose(single, numbers["graph_onehot_A"])
    assert_allclose(normalised(single), numbers["graph_onehot_A_normalised"], rtol=1e-6)


def test_network_in_training_and_evaluation_equals_the_releases(numbers: Golden) -> None:
    labels = LabelNetwork(6, 9, 8, 3)
    names = {f"weights.{layer}": f"net_lrn_{layer}_weight" for layer in range(3)} | {"inputs": "net_inp"}
    labels.load_state_dict(state(numbers, names) | layers(numbers, {"head": "net_hypo"}))
    vectors = labels(torch.tensor(numbers["net_adj"]))
    assert_allclose(vectors.detach(), numbers["net_train_label_embeddings"], rtol=1e-5, atol=1e-6)
    for index, (name, width) in enumerate((("img", 20), ("text", 17)), start=1):
        net = encoder(width, 8)
        running = ("running_mean", "running_var", "num_batches_tracked")
        statistics = state(numbers, {f"0.{kind}": f"net_{name}_net_bn_{kind}" for kind in running})
        prefix = f"net_{name}_net"
        net.load_state_dict(statistics | layers(numbers, {"0": f"{prefix}_bn", "1": f"{prefix}_denseL1"}))
        x = torch.tensor(numbers[f"net_x{index}"])
        z = net.train()(x)
        for value, key in (
            (z, f"net_train_z{index}"),
            (net.eval()(x), f"net_eval_after_one_forward_z{index}"),
            (label_scores(z, vectors), f"net_train_pred{index}"),
        ):
            assert_allclose(value.detach(), numbers[key], rtol=1e-5, atol=1e-6)


def test_modalities_of_unequal_size_are_contrasted_by_their_labels() -> None:
    z = [torch.eye(3), torch.eye(3)[:2]]
    right, swapped = ([torch.eye(3), torch.eye(3)[rows]] for rows in ([0, 1], [1, 0]))
    assert soft_contrast(z, right, 0.22, 0.0) < soft_contrast(z, swapped, 0.22, 0.0)


def test_adversaries_learn_to_recognise_what_decoders_learn_to_hide() -> None:
    torch.manual_seed(0)
    imitation = Imitation({"image": 20, "text": 17}, replace(PUBLISHED, dim=8, decoder_hidden=6))
    x, z = [torch.randn(12, 20), torch.randn(12, 17)], [torch.randn(12, 8).requires_grad_() for _ in "ab"]
    for moved, lowers in ((imitation.adversaries, True), (imitation.decoders, False)):
        before = [value.clone() for value in moved.parameters()]
        loss = imitation(x, z)
        steps = torch.autograd.grad(loss, list(moved.parameters()))
        with torch.no_grad():
            for value, step in zip(moved.parameters(), steps, strict=True):
                value.sub_(1e-3 * step)
            assert (imitation(x, z) < loss) == lowers
            for value, old in zip(moved.parameters(), before, strict=True):
                value.copy_(old)
    assert all(step.abs().sum() > 0 for step in gradients(imitation(x, z), z))


def test_images_are_decoded_by_relu_and_other_modalities_by_leaky_relu() -> None:
    decoders = Imitation({"image": 20, "text": 17}, PUBLISHED).decoders
    for made, last in zip(decoders, (nn.ReLU, nn.LeakyReLU), strict=True):
        kinds = [type(layer) for layer in made.children()]
        assert kinds == [nn.BatchNorm1d, nn.Linear, last, nn.Linear, last]
