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
from tests.methods.golden import Golden, golden, gradients, leaves, state

PUBLISHED = GNN4CMRSettings()
SMALL = GNN4CMRSettings(epochs=15, batch_size=7, dim=64, layers=2, label_width=4, decoder_hidden=8, lr=3e-3)
NOTHING = torch.zeros(())


@pytest.fixture(scope="module")
def numbers() -> Golden:
    return golden("gnn4cmr")


@pytest.mark.parametrize("kind", ["onehot", "multihot"])
def test_soft_contrast_and_its_gradients_equal_the_releases(numbers: Golden, kind: str) -> None:
    z = leaves(numbers, "z1", "z2")
    y = [torch.tensor(numbers[f"labels_{kind}"])] * 2
    temperature, gamma = float(numbers["T"]), float(numbers["gamma"])
    assert (temperature, gamma) == (PUBLISHED.temperature, PUBLISHED.gamma)
    whole = soft_contrast(z, y, temperature, gamma)
    inter = soft_contrast(z, y, temperature, 0.0)
    intra = soft_contrast(z, y, temperature, 1.0) - inter
    assert_allclose(whole.item(), numbers[f"{kind}_SC"], rtol=1e-8)
    assert_allclose(inter.item(), numbers[f"{kind}_SC_inter_only"], rtol=1e-8)
    assert_allclose(intra.item(), numbers[f"{kind}_SC_intra_unweighted"], rtol=1e-8)
    assert_allclose(soft_contrast(z, y, 0.2, gamma).item(), numbers[f"{kind}_SC_T02"], rtol=1e-8)
    for name, value in zip(("z1", "z2"), gradients(whole, z), strict=True):
        assert_allclose(value, numbers[f"{kind}_grad_SC_{name}"], rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("kind", ["onehot", "multihot"])
def test_label_distance_adversarial_loss_and_total_equal_the_releases(numbers: Golden, kind: str) -> None:
    z, p = leaves(numbers, "z1", "z2"), leaves(numbers, "pred1", "pred2")
    y = [torch.tensor(numbers[f"labels_{kind}"])] * 2
    spaces = ("img_on_imgspace", "txt_on_imgspace", "img_on_txtspace", "txt_on_txtspace")
    j_adv = adversarial_loss([torch.tensor(numbers[f"modal_logits_{space}"]) for space in spaces])
    assert_allclose(j_adv.item(), numbers["gan_loss"], rtol=1e-8)
    assert (PUBLISHED.alpha, PUBLISHED.beta) == (numbers["alpha"], numbers["beta"])
    parts = gnn4cmr_loss(z, p, y, j_adv, PUBLISHED)
    assert_allclose(parts["loss"].item(), numbers[f"{kind}_total"], rtol=1e-8)
    assert_allclose(parts["J_c"].item(), numbers[f"{kind}_cla"], rtol=1e-8)
    for name, value in zip(("pred1", "pred2"), gradients(parts["J_c"], p), strict=True):
        assert_allclose(value, numbers[f"{kind}_grad_cla_{name}"], rtol=1e-7, atol=1e-12)


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
    z: list[torch.Tensor] = []
    for place, (name, width) in enumerate((("img", 20), ("text", 17)), start=1):
        net = encoder(width, 8)
        batch_norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        names = {f"0.{kind}": f"net_{name}_net_bn_{kind}" for kind in batch_norm}
        names |= {f"1.{kind}": f"net_{name}_net_denseL1_{kind}" for kind in ("weight", "bias")}
        net.load_state_dict(state(numbers, names))
        x = torch.tensor(numbers[f"net_x{place}"])
        z.append(net.train()(x))
        assert_allclose(z[-1].detach(), numbers[f"net_train_z{place}"], rtol=1e-5, atol=1e-6)
        after = net.eval()(x).detach()
        assert_allclose(after, numbers[f"net_eval_after_one_forward_z{place}"], rtol=1e-5, atol=1e-6)
    labels = LabelNetwork(6, 9, 8, 3)
    names = {f"weights.{layer}": f"net_lrn_{layer}_weight" for layer in range(3)}
    names |= {f"head.{kind}": f"net_hypo_{kind}" for kind in ("weight", "bias")} | {"inputs": "net_inp"}
    labels.load_state_dict(state(numbers, names))
    vectors = labels(torch.tensor(numbers["net_adj"]))
    assert_allclose(vectors.detach(), numbers["net_train_label_embeddings"], rtol=1e-5, atol=1e-6)
    for place, rows in enumerate(z, start=1):
        scores = label_scores(rows, vectors).detach()
        assert_allclose(scores, numbers[f"net_train_pred{place}"], rtol=1e-5, atol=1e-6)


def test_modalities_of_unequal_size_are_contrasted_by_their_labels() -> None:
    z = [torch.eye(3), torch.eye(3)[:2]]
    y = [torch.eye(3), torch.eye(3)[:2]]
    swapped = [torch.eye(3), torch.eye(3)[[1, 0]]]
    assert soft_contrast(z, y, 0.22, 0.0) < soft_contrast(z, swapped, 0.22, 0.0)


def test_adversaries_learn_to_tell_what_decoders_learn_to_hide() -> None:
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
    imitation = Imitation({"image": 20, "text": 17}, PUBLISHED)
    to_image, to_text = ([type(layer) for layer in made.children()] for made in imitation.decoders)
    assert to_image == [nn.BatchNorm1d, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU]
    assert to_text == [nn.BatchNorm1d, nn.Linear, nn.LeakyReLU, nn.Linear, nn.LeakyReLU]
