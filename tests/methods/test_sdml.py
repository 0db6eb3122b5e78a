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
from bench.training import Batch, Clock, DeviceSplit, GivenOrder, Plan, mlp, unit
from methods.sdml import SDML, SDMLSettings, label_distance
from tests.methods.golden import Golden, golden
from tests.methods.small_splits import separable

SMALL = SDMLSettings(epochs=4, batch_size=10, hidden=(8,), dim=5, lr=1e-2)


@pytest.fixture(scope="module")
def numbers() -> Golden:
    return golden("sdml")


def state(numbers: Golden, prefix: str) -> dict[str, Tensor]:
    """Return a perceptron's state from the stored layers ``fc1``, ``fc2``, ``fc3``."""
    return {
        f"{2 * place}.{kind}": torch.tensor(numbers[f"{prefix}_fc{place + 1}_{kind}"])
        for place in range(3)
        for kind in ("weight", "bias")
    }


def test_network_losses_and_gradient_equal_the_releases(numbers: Golden) -> None:
    x, w = torch.tensor(numbers["x"]), torch.tensor(numbers["W"])
    y = torch.tensor(numbers["labels_with_unlabeled"], dtype=torch.float32)
    encoder, decoder = mlp((15, 18, 18, 16)), mlp((16, 18, 18, 15))
    encoder.load_state_dict(state(numbers, "enc_init"))
    decoder.load_state_dict(state(numbers, "dec_init"))
    z = unit(encoder(x))
    z.retain_grad()
    reconstruction, prediction = unit(decoder(z)), z @ w
    for name, value in (("z", z), ("reconstruction", reconstruction), ("prediction", prediction)):
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
        return GivenOrder([np.arange(28).tolist()] * 3, 28, (track,))


def test_adam_steps_in_the_loop_equal_the_releases(numbers: Golden) -> None:
    labels = numbers["labels_with_unlabeled"].astype(np.int64)
    other = Modality(np.ones((28, 2), np.float32), labels)
    split = Split({"view": Modality(numbers["x"], labels), "other": other}, n_classes=6)
    method = Replayed(SDMLSettings(epochs=3, hidden=(18, 18), dim=16, lr=float(numbers["adam_lr"])))
    method.numbers = numbers
    context = Context()
    method.fit(split, split, context)
    method.restore("last")
    losses = np.array(context.trace.column("train_loss/view"), float)
    assert_allclose(losses, numbers["adam_losses"], rtol=1e-4)
    for key, value in state(numbers, "enc_final").items():
        assert_allclose(method.nets["view"]["encoder"].state_dict()[key], value, rtol=1e-3, atol=2e-5)


def fitted(settings: SDMLSettings, rows: dict[str, int]) -> SDML:
    method = SDML(settings)
    method.fit(separable(rows), separable(dict.fromkeys(rows, 9), seed=1), Context(scope=("small",)))
    return method


def test_the_best_epoch_of_each_modality_has_its_least_validation_label_loss() -> None:
    context = Context(scope=("small",))
    method = SDML(replace(SMALL, lr=0.3, epochs=6))
    method.fit(separable({"image": 25, "text": 25}), separable({"image": 9, "text": 9}, seed=1), context)
    best = method.checkpoints()["best"]
    assert isinstance(best.epoch, dict)
    assert isinstance(best.value, dict)
    for name in ("image", "text"):
        losses = np.array(context.trace.column(f"validation_loss/{name}"), float)
        assert best.epoch[name] == losses.argmin() + 1
        assert best.value[name] == losses.min()


def test_release_drops_the_rows_that_do_not_fill_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    take = DeviceSplit.take

    def counted(self: DeviceSplit, rows: Any) -> Any:
        seen.extend(len(chosen) for chosen in rows.values())
        return take(self, rows)

    monkeypatch.setattr(DeviceSplit, "take", counted)
    fitted(replace(SMALL, epochs=1, faithful_to="release"), {"image": 25, "text": 25})
    assert 5 not in seen
    fitted(replace(SMALL, epochs=1), {"image": 25, "text": 25})
    assert seen.count(5) == 2


def test_rows_without_a_class_enter_the_reconstruction_only() -> None:
    y = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    prediction = torch.tensor([[5.0, 5.0], [0.0, 0.0]])
    assert label_distance(prediction, y).item() == 1.0
    assert label_distance(prediction, torch.zeros(2, 2)).item() == 0.0
