"""SDML: its network, losses, gradients and steps equal the released code's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from bench.contract import Context, Modality, Split
from bench.training import Batch, Clock, DeviceSplit, Plan, mlp, unit
from methods.sdml import SDML, SDMLSettings, label_distance
from tests.methods.golden import GivenOrder, Golden, layers
from tests.methods.small_splits import fitted, separable

SMALL = SDMLSettings(epochs=6, batch_size=10, hidden=(8,), dim=5, lr=0.3)
SPLIT = separable({"image": 25, "text": 25})


def state(numbers: Golden, prefix: str) -> dict[str, Tensor]:
    return layers(numbers, {str(2 * index): f"{prefix}_fc{index + 1}" for index in range(3)})


def test_network_losses_and_gradient_equal_the_releases(numbers: Golden) -> None:
    x, w = torch.tensor(numbers["x"]), torch.tensor(numbers["W"])
    y = torch.tensor(numbers["labels_with_unlabeled"], dtype=torch.float32)
    encoder, decoder = mlp((15, 18, 18, 16)), mlp((16, 18, 18, 15))
    encoder.load_state_dict(state(numbers, "enc_init"))
    decoder.load_state_dict(state(numbers, "dec_init"))
    z = unit(encoder(x))
    z.retain_grad()
    prediction = z @ w
    for name, value in (("z", z), ("reconstruction", unit(decoder(z))), ("prediction", prediction)):
        assert_allclose(value.detach(), numbers[name], rtol=1e-4, atol=1e-6)

    def loss(alpha: float) -> Any:
        method = SDML(SDMLSettings(alpha=alpha))
        method.nets = {"view": nn.ModuleDict({"decoder": decoder})}
        method.prior = lambda rows: rows @ w  # type: ignore[assignment]
        return method.loss({"view": z}, Batch({"view": x}, {"view": y}, {}), Clock(1, 1, 0, 1))

    parts = loss(0.5)
    assert_allclose(parts["J_ae"].item(), numbers["ae_loss_unweighted"], rtol=1e-5)
    assert_allclose(parts["J_label"].item(), numbers["label_loss_unweighted"], rtol=1e-5)
    for alpha, name in ((0.1, "total_alpha01"), (0.5, "total"), (0.9, "total_alpha09")):
        assert_allclose(loss(alpha)["loss"].item(), numbers[name], rtol=1e-5)
    multihot = torch.tensor(numbers["labels_multihot"], dtype=torch.float32)
    assert_allclose(label_distance(prediction, multihot).item(), numbers["label_loss_multihot"], rtol=1e-5)
    parts["loss"].backward()
    assert z.grad is not None
    assert_allclose(z.grad, numbers["grad_z"], rtol=1e-4, atol=1e-7)


class Replayed(SDML):
    """The released run of three steps on one batch."""

    numbers: Golden

    def build(self, data: DeviceSplit) -> None:
        super().build(data)
        self.prior.weight.data.copy_(torch.tensor(self.numbers["W"]))
        self.nets["view"]["encoder"].load_state_dict(state(self.numbers, "enc_init"))
        self.nets["view"]["decoder"].load_state_dict(state(self.numbers, "dec_init"))

    def plan(self, track: str, data: DeviceSplit) -> Plan:
        return GivenOrder([np.arange(28).tolist()] * 3, 28, track)


def test_adam_steps_in_the_loop_equal_the_releases(numbers: Golden) -> None:
    labels = numbers["labels_with_unlabeled"].astype(np.int64)
    other = Modality(np.ones((28, 2), np.float32), labels)
    split = Split({"view": Modality(numbers["x"], labels), "other": other}, n_classes=6)
    method = Replayed(SDMLSettings(epochs=3, hidden=(18, 18), dim=16, lr=float(numbers["adam_lr"])))
    method.numbers, context = numbers, Context()
    fitted(method, split, context=context).restore("last")
    losses = np.array(context.trace.column("train_loss/view"), float)
    assert_allclose(losses, numbers["adam_losses"], rtol=1e-4)
    for key, value in state(numbers, "enc_final").items():
        assert_allclose(method.nets["view"]["encoder"].state_dict()[key], value, rtol=1e-3, atol=2e-5)


def test_the_best_epoch_of_each_modality_has_its_least_validation_label_loss() -> None:
    context = Context(scope=("small",))
    method = fitted(SDML(SMALL), SPLIT, separable({"image": 9, "text": 9}, seed=1), context)
    best: Any = method.checkpoints()["best"]
    for name in SPLIT:
        losses = np.array(context.trace.column(f"validation_loss/{name}"), float)
        assert (best.epoch[name], best.value[name]) == (losses.argmin() + 1, losses.min())


@pytest.mark.parametrize(("faithful_to", "short"), [("release", 0), ("paper", 2)])
def test_release_drops_the_rows_that_do_not_fill_a_batch(
    monkeypatch: pytest.MonkeyPatch, faithful_to: Any, short: int
) -> None:
    seen: list[int] = []
    take = DeviceSplit.take

    def counted(self: DeviceSplit, rows: Any) -> Any:
        seen.extend(len(chosen) for chosen in rows.values())
        return take(self, rows)

    monkeypatch.setattr(DeviceSplit, "take", counted)
    settings = replace(SMALL, epochs=1, lr=1e-2, faithful_to=faithful_to)
    fitted(SDML(settings), SPLIT, separable({"image": 9, "text": 9}, seed=1))
    assert seen.count(5) == short


def test_rows_without_a_class_enter_the_reconstruction_only() -> None:
    prediction = torch.tensor([[5.0, 5.0], [0.0, 0.0]])
    assert label_distance(prediction, torch.tensor([[0.0, 0.0], [0.0, 1.0]])).item() == 1.0
    assert label_distance(prediction, torch.zeros(2, 2)).item() == 0.0
