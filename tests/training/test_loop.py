"""The training loop: what it traces, keeps and restores, and that tracks do not depend on each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import Tensor

from bench import training as t
from bench.contract import Context, Method, MethodCard, PluginError, Split, Unsupported
from bench.evaluation import validation_map
from tests.methods.small_splits import separable

ROWS = {"image": 24, "text": 24}
TRAIN = separable(ROWS, pairing="natural")
VALIDATION = separable({"image": 9, "text": 9}, pairing="natural", seed=1)


@dataclass(frozen=True, kw_only=True)
class ToySettings(t.DeepSettings):
    epochs: int = 4
    lr: float = 1e-2
    dropout: float = 0.0


class Classifier(t.DeepMethod):
    """Each modality learns its classes alone; the posteriors are the embedding."""

    card = MethodCard("toy", "Toy", "", 2000, "", "", pairs="unused", any_modalities=True)
    Settings = ToySettings
    settings: ToySettings

    def stages(self, train: t.DeviceSplit, context: Context) -> Iterator[t.Stage]:
        dropout = self.settings.dropout
        self.nets = {
            name: t.built(
                partial(t.mlp, (train.dimension(name), 8, train.n_classes), dropout=dropout), context, name
            )
            for name in train
        }
        tracks = [self.track(name) for name in train]
        yield t.Stage(tracks, self.settings.epochs, patience=self.settings.patience)

    def track(self, name: str) -> t.Track:
        net = self.nets[name]

        def loss(batch: t.Batch, _: t.Clock) -> dict[str, Tensor]:
            error = t.distance(net(batch.features[name]), batch.targets[name])
            return {"loss": error, "J": 2 * error}

        step = t.Step(loss, t.adam(net.parameters(), self.settings.lr))
        return t.Track(name, [net], [step], t.Independent(7, (name,)), validation_loss=loss)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        embedding: Tensor = self.nets[modality](x)
        return embedding


class ByLoss(Classifier):
    """The same, where each modality selects by its validation loss."""

    card = replace(Classifier.card, selects_by="loss")


def fit(method: t.DeepMethod, context: Context | None = None, train: Split = TRAIN) -> Context:
    context = context or Context(scope=("small",))
    method.fit(train, separable(dict.fromkeys(train, 9), pairing="natural", seed=1), context)
    return context


def everything(method: Method) -> np.ndarray[Any, Any]:
    return np.concatenate([method.embed(name, VALIDATION[name].features) for name in VALIDATION])


def test_every_epoch_traces_losses_their_parts_and_validation_map() -> None:
    calls: list[tuple[str, int, int]] = []
    context = Context(progress=lambda stage, epoch, epochs, values: calls.append((stage, epoch, epochs)))
    method = Classifier()
    fit(method, context)
    assert calls == [("train", epoch, 4) for epoch in (1, 2, 3, 4)]
    directions = {"validation_map/image>text", "validation_map/text>image"}
    for row in context.trace.rows:
        assert set(row) == {"stage", "epoch", "validation_map"} | directions | {
            f"{key}/{name}" for key in ("train_loss", "J", "validation_loss") for name in ROWS
        }
        assert row["J/image"] == pytest.approx(2 * float(row["train_loss/image"] or 0))
        assert row["validation_map"] == pytest.approx(np.mean([float(row[key] or 0) for key in directions]))
    assert context.trace.rows[-1]["train_loss/image"] < context.trace.rows[0]["train_loss/image"]  # type: ignore[operator]


@pytest.mark.parametrize("method", [Classifier, ByLoss])
@pytest.mark.parametrize("select", ["card", "map", "loss"])
def test_the_setting_select_replaces_what_the_card_selects_by(
    method: type[Classifier], select: Literal["card", "map", "loss"]
) -> None:
    chosen = method(ToySettings(select=select))
    fit(chosen)
    expected = chosen.card.selects_by if select == "card" else select
    rule = {"map": t.BY_MAP, "loss": t.BY_LOSS}[expected]
    assert chosen.checkpoints()["best"].criterion == rule.criterion
    assert isinstance(chosen.checkpoints()["best"].epoch, dict) == (expected == "loss")


class WithoutLoss(Classifier):
    def track(self, name: str) -> t.Track:
        return replace(super().track(name), validation_loss=None)


def test_a_selection_by_a_loss_that_a_method_does_not_have_is_declined_or_the_cards_fault() -> None:
    with pytest.raises(Unsupported, match="validation loss"):
        fit(WithoutLoss(ToySettings(select="loss")))
    method = WithoutLoss()
    method.card = ByLoss.card  # type: ignore[misc]
    with pytest.raises(PluginError, match="validation_loss"):
        fit(method)


def test_best_is_the_epoch_of_highest_validation_map_and_is_what_fit_leaves() -> None:
    method = Classifier(ToySettings(epochs=8, lr=0.3))
    context = fit(method)
    best, last = method.checkpoints()["best"], method.checkpoints()["last"]
    maps = [float(value or 0) for value in context.trace.column("validation_map")]
    assert (best.value, last.epoch, last.value) == (max(maps), 8, None)
    assert isinstance(best.epoch, int)
    assert maps[best.epoch - 1] == best.value
    left = everything(method)
    for rule, epoch in (("last", 8), ("best", best.epoch)):
        method.restore(rule)
        assert np.mean(list(validation_map(method, VALIDATION).values())) == pytest.approx(maps[epoch - 1])
    assert_array_equal(everything(method), left)
    with pytest.raises(KeyError):
        method.restore("oracle")
    # Restoring the best epoch is stopping there.
    stopped = Classifier(ToySettings(epochs=best.epoch, lr=0.3))
    fit(stopped)
    stopped.restore("last")
    assert_array_equal(left, everything(stopped))


def test_the_oracle_is_traced_and_kept_only_on_request() -> None:
    values = iter([0.1, 0.9, 0.3, 0.2])
    method = Classifier()
    context = fit(method, Context(oracle=lambda _: next(values)))
    assert context.trace.column("oracle_map") == [0.1, 0.9, 0.3, 0.2]
    oracle = method.checkpoints()["oracle"]
    assert (oracle.epoch, oracle.value) == (2, 0.9)
    assert "TEST" in oracle.criterion
    method.restore("oracle")
    stopped = Classifier(ToySettings(epochs=2))
    fit(stopped, Context())
    stopped.restore("last")
    assert_array_equal(everything(method), everything(stopped))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_track_learns_the_same_alone_and_beside_others(dropout: float) -> None:
    settings = ToySettings(dropout=dropout)
    two, three = ByLoss(settings), ByLoss(settings)
    fit(two)
    fit(three, train=separable({"image": 24, "text": 13, "audio": 31}))
    probe = VALIDATION["image"].features
    assert_array_equal(two.embed("image", probe), three.embed("image", probe))
    assert not np.allclose(two.embed("image", probe), two.embed("text", probe))


def test_embedding_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    method = Classifier()
    fit(method)
    whole = method.embed("image", VALIDATION["image"].features)
    assert (whole.dtype, whole.shape) == (np.dtype(np.float32), (9, 3))
    monkeypatch.setattr("bench.training.method.EMBEDDED_ROWS", 4)
    np.testing.assert_allclose(method.embed("image", VALIDATION["image"].features), whole, atol=1e-5)


def test_patience_ends_a_stage_whose_best_epoch_is_old() -> None:
    method = ByLoss(ToySettings(epochs=60, lr=1.0, patience=2))
    fit(method)
    best, run = method.checkpoints()["best"].epoch, method.notes()["epochs_run"]["train"]
    assert isinstance(best, dict)
    assert run == max(best.values()) + 2 < 60


class Adversarial(t.DeepMethod):
    """One joint track with two steps per batch, rates per group, a schedule, hooks and a buffer."""

    card = MethodCard("toy", "Toy", "", 2000, "", "", pairs="needed")
    Settings = ToySettings
    settings: ToySettings

    def stages(self, train: t.DeviceSplit, context: Context) -> Iterator[t.Stage]:
        self.net = t.built(lambda: t.mlp((train.dimension("image"), 4)), context, "net")
        self.critic = t.built(lambda: t.mlp((4, 1)), context, "critic")
        self.weight, self.bias = self.net.parameters()
        self.net.register_buffer("mean", torch.zeros(4))
        self.events: list[str] = []
        self.clocks: list[t.Clock] = []

        def critic_loss(batch: t.Batch, _: t.Clock) -> Tensor:
            self.events.append("critic")
            value: Tensor = self.critic(self.net(batch.features["image"]).detach()).mean()
            return value

        def loss(batch: t.Batch, clock: t.Clock) -> Tensor:
            self.events.append("net")
            self.clocks.append(clock)
            value: Tensor = -self.critic(self.net(batch.features["image"])).mean()
            return value

        def mark(event: str) -> Callable[[t.Batch, t.Clock], None]:
            return lambda batch, clock: self.events.append(event)

        def measure(clock: t.Clock) -> dict[str, float]:
            self.net.get_buffer("mean").fill_(clock.epoch)
            return {"norm": 1.5}

        self.sgd = torch.optim.SGD([{"params": [self.weight], "lr": 1.0}, {"params": [self.bias], "lr": 0.1}])
        steps = [
            t.Step(critic_loss, t.adam(self.critic.parameters(), 1e-3), name="critic", before=mark("before")),
            t.Step(loss, self.sgd, schedule=lambda clock: 1 - clock.done, after=mark("after")),
        ]
        yield t.Stage(
            [t.Track("joint", [self.net, self.critic], steps, t.AlignedPairs(12), after_epoch=measure)],
            self.settings.epochs,
            rule=t.Rule("norm", "norm", per_track=True),
        )

    def encode(self, modality: str, x: Tensor) -> Tensor:
        embedding: Tensor = self.net(x)
        return embedding


@pytest.fixture(scope="module")
def adversarial() -> tuple[Adversarial, Context]:
    method = Adversarial(ToySettings(epochs=2))
    return method, fit(method)


def test_steps_alternate_on_every_batch_with_hooks_clocks_and_schedules(
    adversarial: tuple[Adversarial, Context],
) -> None:
    method, context = adversarial
    assert method.events == ["before", "critic", "net", "after"] * 4
    assert {"critic_loss/joint", "train_loss/joint", "norm/joint"} <= set(context.trace.rows[0])
    assert method.clocks == [t.Clock(1 + i // 2, 2, i, 4) for i in range(4)]
    assert [group["lr"] for group in method.sgd.param_groups] == pytest.approx([0.25, 0.025])


def test_buffers_belong_to_the_state_and_gradients_do_not_outlive_training(
    adversarial: tuple[Adversarial, Context],
) -> None:
    method, _ = adversarial
    for rule, epoch in (("last", 2.0), ("best", 1.0)):
        method.restore(rule)
        assert method.net.get_buffer("mean").tolist() == [epoch] * 4
    assert all(value.grad is None for value in method.critic.parameters())


class Staged(Classifier):
    """Images first, then texts; a first, unkept stage whose last state counts."""

    first_rule: t.Rule | None = t.Rule("train_loss", "training loss", highest=False, per_track=True)

    def stages(self, train: t.DeviceSplit, context: Context) -> Iterator[t.Stage]:
        epochs = self.settings.epochs
        self.nets = {
            name: t.built(lambda: t.mlp((6, 3)), context, name) for name in ("image", "text", "aside")
        }
        aside = t.Track("aside", [self.nets["aside"]], self._steps("aside"), t.Independent(7, ("image",)))
        rule = t.Rule("train_loss", "loss", highest=True, per_track=True)
        yield t.Stage([aside], epochs, "aside", rule=rule, scored=False, kept=False, then="last")
        self.after_aside = {key: value.clone() for key, value in self.nets["aside"].state_dict().items()}
        yield t.Stage([self.track("image")], epochs, "first", rule=self.first_rule, scored=False)
        yield t.Stage([self.track("text")], epochs, "second")

    def _steps(self, name: str) -> list[t.Step]:
        net = self.nets[name]

        def loss(batch: t.Batch, _: t.Clock) -> Tensor:
            return t.distance(net(batch.features["image"]), batch.targets["image"])

        return [t.Step(loss, t.adam(net.parameters(), 0.1))]


def test_stages_follow_each_other_and_their_checkpoints_are_one() -> None:
    method = Staged(ToySettings(epochs=3))
    context = fit(method, Context(oracle=lambda _: 0.5))
    assert [row["stage"] for row in context.trace.rows] == ["aside"] * 3 + ["first"] * 3 + ["second"] * 3
    assert [row.get("validation_map") is None for row in context.trace.rows] == [True] * 6 + [False] * 3
    assert set(method.checkpoints()) == {"best", "last", "oracle"}
    assert method.checkpoints()["last"].epoch == {"first/image": 3, "second/text": 3}
    assert method.checkpoints()["oracle"].epoch == {"first/image": 3, "second/text": 1}
    method.restore("oracle")
    for key, value in method.nets["aside"].state_dict().items():
        assert torch.equal(value, method.after_aside[key])
    assert set(method.notes()["epochs_run"]) == {"first", "second"}
    # A stage without scores and without a rule counts at its end.
    unruled = Staged(ToySettings(epochs=3))
    unruled.first_rule = None
    fit(unruled)
    epochs: Any = unruled.checkpoints()["best"].epoch
    assert epochs["first/image"] == 3
    assert Classifier().checkpoints() == {}


def test_a_feature_that_was_constant_in_training_says_nothing_in_test_rows() -> None:
    def with_constant(split: Split, value: float) -> Split:
        parts = {
            name: replace(part, features=np.column_stack([part.features, np.full(len(part), value)]))
            for name, part in split.items()
        }
        return replace(split, modalities=parts)

    method = Classifier(ToySettings(scaling="standard"))
    method.fit(with_constant(TRAIN, 0.1), with_constant(VALIDATION, 0.1), Context())
    as_trained, far = (with_constant(VALIDATION, value) for value in (0.1, 5.0))
    for name in VALIDATION:
        expected = method.embed(name, as_trained[name].features)
        assert_array_equal(method.embed(name, far[name].features), expected)
