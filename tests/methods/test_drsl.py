"""DRSL: network, loss and gradients equal the released code's; pairs are scored the same, only cheaper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from bench.evaluation import evaluate
from bench.training import Clock, mlp
from methods import drsl
from methods.drsl import DRSL, DRSLSettings, PairScorer, relation_loss
from tests.methods.golden import Golden, assert_gradients, gradients, leaves
from tests.methods.small_splits import fitted, separable

SMALL = DRSLSettings(epochs=6, batch_size=10, hidden=(8,), dim=6, scorer_hidden=(8, 8), lr=1e-2)


def weights(numbers: Golden, block: str) -> dict[str, Tensor]:
    prefix = f"net_{block}_Sequential_"
    keys = (key.removeprefix(prefix) for key in numbers if key.startswith(prefix))
    return {key.replace("_", ".", 1): torch.tensor(numbers[prefix + key]) for key in keys}


def released(numbers: Golden) -> tuple[nn.Module, nn.Module, PairScorer, nn.Module]:
    """Return both encoders, the scorer, and the scorer in its direct form, a perceptron on pairs."""
    image, text = (mlp((d, 12, 12, 8), norm=nn.BatchNorm1d, activate_last=True) for d in (14, 10))
    image.load_state_dict(weights(numbers, "ImageDNN"))
    text.load_state_dict(weights(numbers, "TextDNN"))
    given = weights(numbers, "RelationDNN")
    direct = mlp((16, 12, 12, 1), norm=nn.BatchNorm1d)
    direct.load_state_dict(given)
    scorer = PairScorer(8, (12, 12))
    scorer.load_state_dict({ours(key): value for key, value in given.items()})
    return image, text, scorer, direct


def ours(key: str) -> str:
    layer, _, kind = key.partition(".")
    return {"0": f"first.{kind}", "1": f"norm.{kind}"}.get(layer, f"rest.{int(layer) - 3}.{kind}")


def test_training_and_evaluation_equal_the_releases(numbers: Golden) -> None:
    image, text, scorer, _ = released(numbers)
    x1, x2 = (torch.tensor(numbers[key]) for key in ("x1", "x2"))

    def check(prefix: str) -> tuple[Tensor, Tensor, Tensor]:
        z1, z2 = image(x1), text(x2)
        scores = scorer(z1, z2)
        for value, key in ((z1, "z1"), (z2, "z2"), (scores, "score")):
            assert_allclose(value.detach(), numbers[f"{prefix}_{key}"], rtol=1e-4, atol=1e-5)
        return z1, z2, scores

    z1, z2, scores = check("train")
    labels = torch.tensor(numbers["label"])
    related = (labels[:, None] == labels).float()
    assert_allclose(related, numbers["pair_target"])
    loss = relation_loss(scores, related)
    assert_allclose(loss.item(), numbers["train_loss"], rtol=1e-5)
    for key, value in zip(("grad_z1", "grad_z2"), gradients(loss, [z1, z2]), strict=True):
        assert_allclose(value, numbers[key], rtol=1e-3, atol=1e-5 * float(np.abs(numbers[key]).max()))
    running = image.state_dict()["1.running_mean"], scorer.state_dict()["norm.running_var"]
    for statistic, key in zip(running, ("img_bn1_mean", "rel_bn1_var"), strict=True):
        stored = numbers[f"net_running_after_one_forward_{key}"]
        assert_allclose(statistic, stored, rtol=1e-5, atol=1e-7)
    for net in (image, text, scorer):
        net.eval()
    check("eval")


def test_loss_on_given_scores_equals_the_releases(numbers: Golden) -> None:
    (scores,) = leaves(numbers, "loose_score")
    loss = relation_loss(scores, torch.tensor(numbers["pair_target"], dtype=torch.float64))
    assert_allclose(loss.item(), numbers["loose_loss"], rtol=1e-8)
    assert_gradients(loss, [scores], [numbers["loose_grad"]], rtol=1e-8, atol=0)


def test_products_per_sample_give_the_direct_form_with_its_gradients_and_statistics(numbers: Golden) -> None:
    _, _, scorer, direct = (net.double() for net in released(numbers))
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(n, 8, generator=generator, dtype=torch.float64, requires_grad=True) for n in (7, 5)]
    pairs = torch.cat([inputs[0].repeat_interleave(5, 0), inputs[1].repeat(7, 1)], dim=1)
    found, expected = scorer(*inputs), direct(pairs).reshape(7, 5)
    assert_allclose(found.detach(), expected.detach(), rtol=1e-9, atol=1e-12)
    pull = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    slopes = gradients((expected * pull).sum(), inputs)
    assert_gradients((found * pull).sum(), inputs, slopes, rtol=1e-8, atol=1e-11)
    for key, value in direct.state_dict().items():
        if "running" in key:
            assert_allclose(scorer.state_dict()[ours(key)], value, rtol=1e-9)


def test_scores_of_both_directions_are_transposes_and_independent_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split = separable({"image": 31, "text": 23})
    method = fitted(DRSL(SMALL), split)
    image, text = (split[name].features for name in ("image", "text"))
    whole = method.similarity("image", image, "text", text)
    assert whole.shape == (31, 23)
    assert_allclose(method.similarity("text", text, "image", image), whole.T, rtol=1e-6)
    assert_allclose(method.similarity("image", image[:1], "text", text), whole[:1], rtol=1e-4, atol=1e-6)
    for size in (1, 8 * 5, 8 * 23 * 4):
        monkeypatch.setattr(drsl, "BLOCK_NUMBERS", size)
        assert_allclose(method.similarity("image", image, "text", text), whole, rtol=1e-4, atol=1e-6)


def test_it_is_ranked_by_its_scores_and_learns_from_labels_alone() -> None:
    method = fitted(DRSL(SMALL), separable({"image": 60, "text": 45}))
    assert evaluate(method, separable({"image": 30, "text": 30}, seed=1)).mean() > 0.8


def test_a_last_batch_of_one_row_joins_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def noted(self: PairScorer, left: Tensor, right: Tensor) -> Tensor:
        seen.append((len(left), len(right)))
        return PairScorer._paired(self, *self._halves(left, right))

    monkeypatch.setattr(PairScorer, "forward", noted)
    fitted(DRSL(SMALL), separable({"image": 21, "text": 21}, pairing="natural"))
    assert set(seen) == {(10, 10), (11, 11)}


def test_the_learning_rate_of_the_release_falls_an_epoch_earlier() -> None:
    clock = Clock(1, 10, 0, 1)
    paper, release = DRSL(SMALL), DRSL(replace(SMALL, faithful_to="release"))
    assert release.schedule(clock) == paper.schedule(replace(clock, epoch=2))


def test_memory_of_many_pairs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    largest: list[int] = []
    scorer = PairScorer(4, (16, 16)).eval()
    scorer.rest.register_forward_hook(lambda module, inputs, output: largest.append(inputs[0].numel()))
    monkeypatch.setattr(drsl, "BLOCK_NUMBERS", 1 << 12)
    with torch.no_grad():
        assert scorer.blockwise(torch.randn(100, 4), torch.randn(200, 4)).shape == (100, 200)
    assert max(largest) <= 1 << 12
