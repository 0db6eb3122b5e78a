"""DRCL: its losses and its whole procedure equal the released code's; its parts can be switched off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from bench.contract import Array, Context, Modality, RefusedEmbeddings, Split, Unsupported
from bench.evaluation import validation_map
from bench.training import Clock, DeviceSplit, Plan, Prototypes, Stage, gce
from methods.drcl import DRCL, DRCLSettings, class_loss, drcl_encoder, drcl_loss, generalisation
from methods.released.drcl import DRCL as Released
from tests.methods.golden import GivenOrder, Golden, assert_gradients, golden, layers, leaves
from tests.methods.small_splits import PAIR, fitted, separable

KINDS = ("onehot", "mixed", "multihot", "multihot_mixed")
SMALL = DRCLSettings(epochs=2, batch_size=16, hidden=(8,), dim=5, lr=1e-2, spl_lr=1e-2)
TRAIN, VALIDATION = separable(PAIR), separable({"image": 9, "text": 9}, seed=1)


@pytest.mark.parametrize("kind", KINDS)
def test_gce_and_its_gradient_equal_the_releases(numbers: Golden, kind: str) -> None:
    y = torch.tensor(numbers[f"gce_{kind}"])
    for index, q in enumerate(numbers["gce_q"]):
        (logits,) = leaves(numbers, "gce_logits")
        value = gce(logits, y, float(q))
        # Mixed labels were rounded to float32 on the way.
        assert_allclose(value.item(), numbers[f"gce_value_{kind}"][index], rtol=1e-7)
        assert_gradients(value, [logits], [numbers[f"gce_grad_{kind}"][index]], rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("kind", ["raw", "unit"])
def test_parts_of_the_reversible_loss_equal_the_releases(numbers: Golden, kind: str) -> None:
    # With W = I recast labels are the labels themselves, so the stored label features can be put in.
    r = torch.tensor(numbers["disc_label_features"])
    (z,) = leaves(numbers, f"disc_{kind}_features")
    eye = torch.eye(r.shape[1], dtype=r.dtype)
    for name, part, settings in (
        ("intra", "J_D", DRCLSettings(inter=0.0)),
        ("inter", "J_D", DRCLSettings(intra=0.0)),
        ("mse", "J_MSE", DRCLSettings()),
        ("total", "loss", DRCLSettings(eta=0.0)),
    ):
        value = drcl_loss(z, r, eye, eye, 1.0, settings)[part]
        assert_allclose(value.item(), numbers[f"disc_{kind}_{name}"], rtol=1e-8)
    assert_gradients(value, [z], [numbers[f"disc_{kind}_grad_features"]])


@pytest.mark.parametrize("matrix", ["randW", "orthW"])
@pytest.mark.parametrize("kind", ["onehot", "mixed", "multihot_mixed"])
def test_full_loss_and_its_gradient_equal_the_releases(numbers: Golden, matrix: str, kind: str) -> None:
    w, y = torch.tensor(numbers[f"full_{matrix}"]), torch.tensor(numbers[f"full_labels_{kind}"])
    inverse = torch.linalg.pinv(w)
    assert_allclose(inverse, numbers[f"full_{matrix}_pinv"], atol=1e-12)
    assert_allclose(y @ inverse, numbers[f"recast_{matrix}_{kind}"], rtol=1e-6, atol=1e-7)
    (z,) = leaves(numbers, "full_features")
    for index, epoch in enumerate(numbers["full_epochs"]):
        value = drcl_loss(z, y, w, inverse, generalisation(int(epoch)), DRCLSettings())["loss"]
        assert_allclose(value.item(), numbers[f"full_{matrix}_{kind}_value"][index], rtol=1e-7)
        assert_gradients(value, [z], [numbers[f"full_{matrix}_{kind}_grad"][index]], rtol=1e-5, atol=1e-10)
    if kind == "onehot":
        settings = DRCLSettings(alpha=0.3, beta=0.7, eta=2.0)
        value = drcl_loss(z, y, w, inverse, generalisation(20), settings)["loss"]
        assert_allclose(value.item(), numbers[f"full_{matrix}_onehot_a03_b07_eta2_epoch20"], rtol=1e-8)


def test_cross_entropy_of_mixed_labels_is_linear_in_them() -> None:
    logits, y = torch.randn(5, 3), torch.eye(3)[[0, 1, 2, 0, 1]]
    other = y.roll(1, dims=0)
    mixed = class_loss(logits, 0.9 * y + 0.1 * other, 0.5, "ce")
    parts = 0.9 * class_loss(logits, y, 0.5, "ce") + 0.1 * class_loss(logits, other, 0.5, "ce")
    assert_allclose(mixed, parts, rtol=1e-5)


def test_encoder_has_no_last_bias_and_starts_in_the_releases_range() -> None:
    last = drcl_encoder(16, (32, 32), 64)[-1]
    assert isinstance(last, nn.Linear)
    assert "bias" not in dict(last.named_parameters())
    assert 0.2 < last.weight.abs().max().item() <= 0.25


@pytest.fixture(scope="module")
def stored() -> Golden:
    return golden("drcl_train")


class Replayed(Released):
    """The released run: its weights, its orders of rows, its partners; every batch's loss written down."""

    stored: Golden
    losses: dict[tuple[str, str], list[float]]
    priors: dict[str, list[Tensor]]

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        self.losses, self.priors = {}, {}
        for stage in super().stages(train, context):
            for track in stage.tracks:
                self._listen(stage.name, track)
            yield stage

    def new_prior(self, data: DeviceSplit) -> Prototypes:
        prior = super().new_prior(data)
        prior.weight.data.copy_(torch.tensor(self.stored["W_init"]))
        return prior

    def new_encoder(self, stage: str, name: str, data: DeviceSplit) -> nn.Sequential:
        self.phase = stage
        encoder = super().new_encoder(stage, name, data)
        encoder.load_state_dict(weights(self.stored, f"{stage}_init_v{name}"))
        return encoder

    def plan(self, track: str, data: DeviceSplit) -> Plan:
        return GivenOrder(self.stored[f"{self.phase}_order_v{track}"], 16, track, keep_rest=False)

    def partners(self, name: str, clock: Clock, count: int) -> Tensor:
        return torch.tensor(self.stored[f"rsc_aug_perm_v{name}"][clock.epoch - 1, clock.iteration % 3])

    def _listen(self, stage: str, track: Any) -> None:
        step, losses = track.steps[0], self.losses.setdefault((stage, track.name), [])
        loss = step.loss

        def heard(batch: Any, clock: Clock) -> Any:
            value = loss(batch, clock)
            losses.append((value["loss"] if isinstance(value, dict) else value).item())
            return value

        step.loss = heard
        if stage == "spl":
            quality, seen = track.after_epoch, self.priors.setdefault(track.name, [])

            def noted(clock: Clock) -> Any:
                seen.append(track.modules[1].weight.detach().clone())
                return quality(clock)

            track.after_epoch = noted


def weights(stored: Golden, prefix: str) -> dict[str, Tensor]:
    """Return an encoder's state from the stored layers ``fc1``, ``fc2``, ``fc3``."""
    return layers(stored, {str(2 * index): f"{prefix}_fc{index + 1}" for index in range(3)})


def part(stored: Golden, name: str) -> Split:
    labels = stored[f"{name}_label"]
    modalities = {v: Modality(stored[f"{name}_x{v}"], labels) for v in ("0", "1")}
    return Split(modalities, n_classes=5, pairing="natural")


@pytest.fixture(scope="module")
def replayed(stored: Golden) -> Replayed:
    rates: dict[str, Any] = {
        "lr": dict(zip("01", stored["lr_rsc"].tolist(), strict=True)),
        "spl_lr": float(stored["lr_spl"]),
    }
    widths: dict[str, Any] = {"batch_size": 16, "hidden": (24, 24), "dim": 16}
    method = Replayed(DRCLSettings(epochs=4, faithful_to="release", **rates, **widths))
    method.stored = stored
    method.context = Context()
    return fitted(method, part(stored, "train"), part(stored, "val"), method.context)


@pytest.mark.parametrize("v", ["0", "1"])
class TestReleasedProcedureIsFollowedStepByStep:
    """Every stored number of the released run, for each of its two modalities."""

    def test_priors_and_losses_of_spl(self, replayed: Replayed, stored: Golden, v: str) -> None:
        assert_allclose(replayed.priors[v][0], stored["W_init"], rtol=0, atol=0)
        assert_allclose(torch.stack(replayed.priors[v]), stored[f"spl_W_after_epoch_v{v}"], atol=2e-5)
        assert_allclose(replayed.losses["spl", v][3:], stored["spl_loss"][int(v)].ravel(), rtol=1e-4)

    def test_quality_and_choice(self, replayed: Replayed, stored: Golden, v: str) -> None:
        quality = replayed.context.trace.column(f"quality/{v}", "spl")
        assert_allclose(np.array(quality, float), stored[f"spl_quality_train_v{v}"], rtol=1e-4)
        assert replayed.notes()["prior"] == str(stored["spl_chosen_view"])
        assert_allclose(replayed.prior.weight, stored["spl_W_returned"], atol=2e-5)

    def test_losses_of_rsc(self, replayed: Replayed, stored: Golden, v: str) -> None:
        trace = replayed.context.trace
        assert_allclose(replayed.losses["rsc", v], stored[f"rsc_train_loss_v{v}"].ravel(), rtol=1e-4)
        values = np.array(trace.column(f"validation_loss/{v}", "rsc"), float)
        assert_allclose(values, stored[f"rsc_val_loss_v{v}"], rtol=1e-4)
        epochs = replayed.checkpoints()["best"].epoch
        assert isinstance(epochs, dict)
        assert epochs[v] == stored[f"rsc_best_epoch_v{v}"]

    def test_final_weights_and_test_features(self, replayed: Replayed, stored: Golden, v: str) -> None:
        for key, value in weights(stored, f"rsc_final_v{v}").items():
            assert_allclose(replayed.encoders[v].state_dict()[key], value, rtol=1e-3, atol=2e-5)
        z = replayed.embed(v, stored[f"test_x{v}"])
        assert_allclose(z, stored[f"rsc_test_features_v{v}"], rtol=1e-3, atol=1e-4)
        posterior = (torch.tensor(z) @ replayed.prior.weight).softmax(dim=1)
        assert_allclose(posterior, stored[f"rsc_test_posterior_v{v}"], rtol=1e-3)


def test_released_test_map_is_met(replayed: Replayed, stored: Golden) -> None:
    found = validation_map(replayed, part(stored, "test"))
    assert_allclose([found["0>1"], found["1>0"]], stored["rsc_map_all"][[0, 1], [1, 0]], atol=1e-4)


def drcl(settings: DRCLSettings) -> DRCL:
    return fitted(DRCL(settings), TRAIN, VALIDATION)


def embedded(settings: DRCLSettings) -> Array:
    return drcl(settings).embed("text", TRAIN["text"].features)


@pytest.fixture(scope="module")
def usual() -> DRCL:
    return drcl(SMALL)


def test_the_prior_is_the_one_of_highest_quality_a_named_one_or_random(usual: DRCL) -> None:
    quality = usual.notes()["quality"]
    assert set(quality) == {"image", "text"}
    assert usual.notes()["prior"] == max(quality, key=quality.__getitem__)
    assert drcl(replace(SMALL, prior="text")).notes()["prior"] == "text"
    random = drcl(replace(SMALL, prior="orthogonal"))
    assert random.notes()["quality"] == {}
    assert_allclose(random.prior.weight.T @ random.prior.weight, np.eye(3), atol=1e-5)
    with pytest.raises(Unsupported, match="image, text"):
        drcl(replace(SMALL, prior="audio"))


ABSENT = {"prior_audio", "prior_3d", "prior_video"}


@pytest.mark.parametrize("variant", sorted(DRCL.variants.keys() - ABSENT - {"selected_by_map"}))
def test_every_variant_changes_what_is_learned(usual: DRCL, variant: str) -> None:
    changed = embedded(replace(SMALL, **DRCL.variants[variant]))
    same = np.allclose(usual.embed("text", TRAIN["text"].features), changed, atol=1e-6)
    # The variant that names the modality which is selected anyway is the method itself.
    assert same == (variant == f"prior_{usual.notes()['prior']}")


def test_the_releases_validation_losses_fall_with_the_epoch_alone() -> None:
    """With a learning rate of 0 the state stays what it is, and q lowers its loss all the same."""
    context = Context()
    fitted(DRCL(replace(SMALL, epochs=5, lr=0.0, faithful_to="release")), TRAIN, VALIDATION, context)
    for name in PAIR:
        losses = np.array(context.trace.column(f"validation_loss/{name}", "rsc"), float)
        assert (np.diff(losses) < 0).all()


def test_validation_losses_are_taken_at_the_last_q(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def noted(z: Tensor, y: Tensor, w: Tensor, inverse: Tensor, q: float, settings: DRCLSettings) -> Any:
        seen.extend([] if z.requires_grad else [q])
        return drcl_loss(z, y, w, inverse, q, settings)

    monkeypatch.setattr("methods.drcl.drcl_loss", noted)
    drcl(replace(SMALL, epochs=3))
    assert set(seen) == {0.03}


def test_only_the_release_may_keep_an_epoch_that_cannot_be_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embeddings of all epochs but the first collapse, while the validation loss goes on falling."""
    calls = iter([False, True, True, True] * 2)

    def refusing(method: Any, split: Any, **_: Any) -> Any:
        if next(calls):
            raise RefusedEmbeddings("collapsed")
        return validation_map(method, split)

    settings = replace(SMALL, epochs=4, lr=1e-3)
    monkeypatch.setattr("bench.evaluation.validation_map", refusing)
    kept: Any = drcl(settings).checkpoints()["best"].epoch
    released: Any = drcl(replace(settings, faithful_to="release")).checkpoints()["best"].epoch
    assert kept == {"image": 1, "text": 1}
    assert min(released.values()) > 1
