"""DRSL: network, loss and gradients equal the released code's; pairs are scored the same, only cheaper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from bench.contract import Context, Split
from bench.evaluation import evaluate
from bench.training import mlp
from methods import drsl
from methods.drsl import DRSL, DRSLSettings, PairScorer, relation_loss
from tests.methods.golden import Golden, golden, gradients, leaves
from tests.methods.small_splits import separable

SMALL = DRSLSettings(epochs=6, batch_size=10, hidden=(8,), dim=6, scorer_hidden=(8, 8), lr=1e-2)


@pytest.fixture(scope="module")
def numbers() -> Golden:
    return golden("drsl")


def weights(numbers: Golden, block: str) -> dict[str, Tensor]:
    prefix = f"net_{block}_Sequential_"
    found = {}
    for key in numbers:
        if key.startswith(prefix):
            place, _, kind = key.removeprefix(prefix).partition("_")
            found[f"{place}.{kind}"] = torch.tensor(numbers[key])
    return found


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
    place, _, kind = key.partition(".")
    return {"0": f"first.{kind}", "1": f"norm.{kind}"}.get(place, f"rest.{int(place) - 3}.{kind}")


def all_pairs(z1: Tensor, z2: Tensor) -> Tensor:
    """Return ``[z1_i, z2_j]`` for every pair, row ``i m + j``."""
    return torch.cat([z1.repeat_interleave(len(z2), 0), z2.repeat(len(z1), 1)], dim=1)


def test_training_and_evaluation_equal_the_releases(numbers: Golden) -> None:
    image, text, scorer, _ = released(numbers)
    x1, x2 = (torch.tensor(numbers[key]) for key in ("x1", "x2"))
    z1, z2 = image(x1), text(x2)
    scores = scorer(z1, z2)
    for value, key in ((z1, "train_z1"), (z2, "train_z2"), (scores, "train_score")):
        assert_allclose(value.detach(), numbers[key], rtol=1e-4, atol=1e-5)
    labels = torch.tensor(numbers["label"])
    related = (labels[:, None] == labels).float()
    assert_allclose(related, numbers["pair_target"])
    loss = relation_loss(scores, related)
    assert_allclose(loss.item(), numbers["train_loss"], rtol=1e-5)
    for key, value in zip(("grad_z1", "grad_z2"), gradients(loss, [z1, z2]), strict=True):
        assert_allclose(value, numbers[key], rtol=1e-3, atol=1e-5 * float(np.abs(numbers[key]).max()))
    mean = image.state_dict()["1.running_mean"]
    variance = scorer.state_dict()["norm.running_var"]
    assert_allclose(mean, numbers["net_running_after_one_forward_img_bn1_mean"], rtol=1e-5, atol=1e-7)
    assert_allclose(variance, numbers["net_running_after_one_forward_rel_bn1_var"], rtol=1e-5, atol=1e-7)
    for net in (image, text, scorer):
        net.eval()
    z1, z2 = image(x1), text(x2)
    for value, key in ((z1, "eval_z1"), (z2, "eval_z2"), (scorer(z1, z2), "eval_score")):
        assert_allclose(value.detach(), numbers[key], rtol=1e-4, atol=1e-5)


def test_loss_on_given_scores_equals_the_releases(numbers: Golden) -> None:
    (scores,) = leaves(numbers, "loose_score")
    loss = relation_loss(scores, torch.tensor(numbers["pair_target"], dtype=torch.float64))
    assert_allclose(loss.item(), numbers["loose_loss"], rtol=1e-8)
    assert_allclose(gradients(loss, [scores])[0], numbers["loose_grad"], rtol=1e-8)


def test_products_per_sample_give_the_direct_form_with_its_gradients_and_statistics(numbers: Golden) -> None:
    _, _, scorer, direct = (net.double() for net in released(numbers))
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(n, 8, generator=generator, dtype=torch.float64, requires_grad=True) for n in (7, 5)]
    one = scorer(*inputs)
    other = direct(all_pairs(*inputs)).reshape(7, 5)
    assert_allclose(one.detach(), other.detach(), rtol=1e-9, atol=1e-12)
    pull = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    for a, b in zip(
        gradients((one * pull).sum(), inputs), gradients((other * pull).sum(), inputs), strict=True
    ):
        assert_allclose(a, b, rtol=1e-8, atol=1e-11)
    mine = scorer.state_dict()
    for key, value in direct.state_dict().items():
        if "running" in key:
            assert_allclose(mine[ours(key)], value, rtol=1e-9)


def fitted(split: Split) -> DRSL:
    method = DRSL(SMALL)
    method.fit(split, split, Context(scope=("small",)))
    return method


def test_scores_of_both_directions_are_transposes_and_independent_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split = separable({"image": 31, "text": 23})
    method = fitted(split)
    image, text = (split[name].features for name in ("image", "text"))
    whole = method.similarity("image", image, "text", text)
    assert whole.shape == (31, 23)
    assert_allclose(method.similarity("text", text, "image", image), whole.T, rtol=1e-6)
    for size in (1, 8 * 5, 8 * 23 * 4):
        monkeypatch.setattr(drsl, "BLOCK_NUMBERS", size)
        assert_allclose(method.similarity("image", image, "text", text), whole, rtol=1e-4, atol=1e-6)
    assert_allclose(method.similarity("image", image[:1], "text", text), whole[:1], rtol=1e-4, atol=1e-6)


def test_it_is_ranked_by_its_scores_and_learns_from_labels_alone() -> None:
    result = evaluate(
        fitted(separable({"image": 60, "text": 45})), separable({"image": 30, "text": 30}, seed=1)
    )
    assert result.mean() > 0.8


def test_a_last_batch_of_one_row_joins_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def noted(self: PairScorer, left: Tensor, right: Tensor) -> Tensor:
        seen.append((len(left), len(right)))
        return PairScorer._paired(self, *self._halves(left, right))

    monkeypatch.setattr(PairScorer, "forward", noted)
    fitted(separable({"image": 21, "text": 21}, pairing="natural"))
    assert set(seen) == {(10, 10), (11, 11)}


def test_memory_of_many_pairs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    largest: list[int] = []
    scorer = PairScorer(4, (16, 16)).eval()
    scorer.rest.register_forward_hook(lambda module, inputs, output: largest.append(inputs[0].numel()))
    monkeypatch.setattr(drsl, "BLOCK_NUMBERS", 1 << 12)
    with torch.no_grad():
        scores = scorer.blockwise(torch.randn(300, 4), torch.randn(700, 4))
    assert scores.shape == (300, 700)
    assert max(largest) <= 1 << 12
