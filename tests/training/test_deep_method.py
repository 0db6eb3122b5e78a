"""A method of networks and a loss trains like one that passes stages to the loop itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from numpy.testing import assert_array_equal
from torch import Tensor, nn

from bench import registry
from bench import training as t
from bench.contract import PluginError, Unsupported
from tests.methods.small_splits import separable

PAIRS = separable({"image": 24, "text": 24}, pairing="natural")
RELEASED = sorted(path.stem for path in (registry.folder_of("methods") / "released").glob("[a-z]*.py"))


@dataclass(frozen=True, kw_only=True)
class Settings(t.DeepSettings):
    epochs: int = t.setting(3, "passes over the training rows")
    batch_size: int = t.setting(7, "rows per batch")
    hidden: tuple[int, ...] = t.setting((8,), "widths of the hidden layers")
    dim: int = t.setting(3, "width of the embedding")
    lr: t.PerModality = t.setting(1e-2, "learning rate")


class Smallest(t.DeepMethod):
    """Nothing but a loss: the mean distance of the embedding to the classes."""

    card = t.card("smallest", pairs="unused", any_modalities=True)
    Settings = Settings

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        return torch.stack([t.distance(z[v], batch.targets[v]) for v in z]).sum()


class Apart(Smallest):
    independent = True
    validation_loss = Smallest.loss


class InStages(t.DeepMethod):
    """The same as `Smallest`, put together by hand."""

    card = Smallest.card
    Settings = Settings

    def stages(self, train: t.DeviceSplit, context: t.Context) -> Iterator[t.Stage]:
        s = self.settings
        widths = {name: (train.dimension(name), *s.hidden, s.dim) for name in train}
        self.nets: dict[str, nn.Module] = {
            name: t.built(partial(t.mlp, widths[name]), context, name) for name in train
        }
        step = t.Step(self.total, t.adam(t.parameters_of(self.nets.values()), s.lr))
        track = t.Track("joint", [*self.nets.values()], [step], t.Independent(s.batch_size))
        yield t.Stage([track], s.epochs, patience=s.patience)

    def total(self, batch: t.Batch, clock: t.Clock) -> Tensor:
        terms = [t.distance(self.encode(name, x), batch.targets[name]) for name, x in batch.features.items()]
        return torch.stack(terms).sum()

    def encode(self, modality: str, x: Tensor) -> Tensor:
        rows: Tensor = self.nets[modality](x)
        return rows


def fitted(method: Any, split: Any = PAIRS) -> Any:
    method.trace = t.Context(scope=("small",))
    method.fit(split, split, method.trace)
    return method


def test_build_encode_and_loss_give_the_same_bytes_as_stages_put_together_by_hand() -> None:
    front, back = fitted(Smallest()), fitted(InStages())
    for name, part in PAIRS.items():
        assert_array_equal(front.embed(name, part.features), back.embed(name, part.features))
    assert front.trace.trace.rows == back.trace.trace.rows
    assert front.notes() == back.notes()


class WithFormerNames(InStages):
    """The same with names that the toolkit had before."""

    def stages(self, train: t.DeviceSplit, context: t.Context) -> Iterator[t.Stage]:
        s = self.settings
        self.nets = t.perceptrons(train, s.hidden, s.dim, context)
        step = t.Step(self.total, t.adam(t.parameters_of(self.nets.values()), s.lr))
        track = t.Track("joint", [*self.nets.values()], [step], t.Independent(s.batch_size))
        yield t.Stage([track], s.epochs, rule=t.Best("validation_map", "mAP"), patience=s.patience)


def test_former_names_give_the_same_bytes() -> None:
    former, now = fitted(WithFormerNames()), fitted(InStages())
    for name, part in PAIRS.items():
        assert_array_equal(former.embed(name, part.features), now.embed(name, part.features))
    assert former.trace.trace.rows == now.trace.trace.rows
    assert t.Last() == t.LAST
    data, context = t.DeviceSplit(PAIRS, "cpu"), t.Context(scope=("a",))
    assert t.prototypes(data, 5, context, "centres").weight.shape == (5, data.n_classes)
    assert t.label_network(data, 4, 5, 2, context).inputs.shape == (data.n_classes, 4)
    drawn = [torch.rand(1, generator=t.generator(context, "noise")) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_a_method_whose_stages_make_its_modules_cannot_be_stored() -> None:
    with pytest.raises(Unsupported, match="stages"):
        fitted(InStages()).stored_state()


def test_modalities_that_train_apart_select_and_learn_apart() -> None:
    three = separable({"image": 24, "text": 30, "audio": 12})
    pair = three.select(("image", "text"))
    alone, beside = (fitted(Apart(Settings(select="loss")), split) for split in (pair, three))
    assert set(alone.checkpoints()["best"].epoch) == {"image", "text"}
    for name, part in pair.items():
        assert_array_equal(alone.embed(name, part.features), beside.embed(name, part.features))


def test_a_module_that_trains_must_belong_to_a_modality_where_they_train_apart() -> None:
    class Sharing(Apart):
        def build(self, data: t.DeviceSplit) -> None:
            super().build(data)
            self.shared = self.module("shared", lambda: nn.Linear(3, 3))

    class Frozen(Sharing):
        def build(self, data: t.DeviceSplit) -> None:
            super().build(data)
            self.shared.requires_grad_(False)

    with pytest.raises(PluginError, match="shared"):
        fitted(Sharing())
    assert fitted(Frozen()).notes() == fitted(Apart()).notes()


def test_hooks_are_called_around_every_update_and_every_epoch() -> None:
    class Hooked(Smallest):
        batches = t.AlignedPairs(minimum=2)

        def build(self, data: t.DeviceSplit) -> None:
            super().build(data)
            self.events: list[str] = []

        def forward(self, modality: str, x: Tensor) -> Tensor:
            return super().forward(modality, x) + 0.0

        def optimiser(self, parameters: Any, lr: float) -> torch.optim.Optimizer:
            self.sgd = torch.optim.SGD(parameters, lr=lr)
            return self.sgd

        def schedule(self, clock: t.Clock) -> float:
            return 0.5**clock.epoch

        def before(self, batch: t.Batch, clock: t.Clock) -> None:
            self.events.append("before")

        def after(self, batch: t.Batch, clock: t.Clock) -> None:
            self.events.append("after")

        def after_epoch(self, track: str, clock: t.Clock) -> Mapping[str, float]:
            self.events.append(track)
            return {"done": clock.done}

    method = fitted(Hooked(Settings(epochs=2)))
    assert method.events == (["before", "after"] * 4 + ["joint"]) * 2
    assert method.sgd.param_groups[0]["lr"] == pytest.approx(1e-2 / 4)
    assert "done/joint" in method.trace.trace.rows[0]


def test_losses_may_alternate_each_with_its_modules() -> None:
    class Alternating(Smallest):
        def steps(self, track: str, modules: Sequence[nn.Module]) -> Sequence[t.Step]:
            nets = self.encoders.items()
            return [self.step(track, [net], partial(self.of, name), name=name) for name, net in nets]

        def of(self, name: str, z: t.Views, batch: t.Batch, clock: t.Clock) -> Tensor:
            return t.distance(z[name], batch.targets[name])

    row = fitted(Alternating()).trace.trace.rows[0]
    assert {"image_loss/joint", "text_loss/joint"} <= set(row)


def test_a_method_without_loss_and_stages_is_refused() -> None:
    class Nothing(t.DeepMethod):
        card = Smallest.card
        Settings = Settings

    with pytest.raises(PluginError, match="loss"):
        fitted(Nothing())


@pytest.mark.parametrize("name", RELEASED)
def test_released_quirks_run_instead_of_the_method_when_the_release_is_followed(name: str) -> None:
    paper, release = (registry.create_method(name, faithful_to=source) for source in ("paper", "release"))
    package = type(paper).__module__.removesuffix(f".{name}")
    assert type(release).__module__ == f"{package}.released.{name}"
    assert isinstance(release, type(paper))


def test_every_method_that_may_follow_its_release_has_a_file_of_quirks() -> None:
    known = registry.registered().methods
    assert [name for name in sorted(known) if "faithful_to" in known[name].defaults] == RELEASED

    @dataclass(frozen=True, kw_only=True)
    class Old(Settings):
        """Of a plug-in that has no such file: it is left alone."""

        faithful_to: t.FaithfulTo = "paper"

    assert type(Smallest(Old(faithful_to="release"))) is Smallest
