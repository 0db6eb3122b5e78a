"""Base class of the methods that are trained by gradient descent.

A method declares ``card``, ``Settings``, ``batches`` and ``independent``, and defines `build`, `encode` and
`loss`; the rest are hooks with defaults. A method of several stages puts them together in `stages`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.contract import (
    Array,
    Checkpoint,
    Context,
    Method,
    PluginError,
    Split,
    State,
    Unsupported,
    UsageError,
    unsuitable,
)
from bench.data.scaling import Scaler
from bench.training.batches import Independent, Plan
from bench.training.checkpoints import StageCheckpoints, merged
from bench.training.data import Batch, DeviceSplit
from bench.training.loop import train_stage
from bench.training.networks import Prototypes, built, mlp, unit
from bench.training.seeding import reproducible
from bench.training.settings import DeepSettings, per_modality
from bench.training.stored import (
    Outline,
    build_from,
    modules_added,
    modules_of_modality,
    named_modules,
    outline_of,
    state_of,
)
from bench.training.track import Clock, Loss, Stage, Step, Track, adam, parameters_of
from bench.training.validation import FitData

M = TypeVar("M", bound=nn.Module)

Views = dict[str, Tensor]
"""Outputs of the networks for a batch: modality -> ``(n, d)``."""

LossOfViews = Callable[[Views, Batch, Clock], Loss]

EMBEDDED_ROWS = 4096
"""Rows that are embedded at a time, to bound the memory of wide layers."""


class DeepMethod(Method):
    """A method that is trained by gradient descent.

    Attributes:
        batches: plan of the batches; their size is the setting ``batch_size``.
        independent: whether each modality is trained separately. Then `loss` is called with one modality at
            a time, and each trained module is a value in a dictionary by modality, such as ``self.encoders``.
        unit_length: whether `encode` scales embeddings to length 1.
        encoders: the networks that `build` and `encode` use unless overridden.
        context: context of the fit: seed, device, random streams, trace.
    """

    Settings = DeepSettings
    batches: ClassVar[Plan] = Independent()
    independent: ClassVar[bool] = False
    unit_length: ClassVar[bool] = False
    search: ClassVar[Mapping[str, Sequence[Any]]] = {
        "batch_size": (50, 100, 200),
        "lr": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
        "scaling": ("standard", "unit"),
    }
    encoders: dict[str, nn.Module]
    context: Context
    _scalers: dict[str, Scaler]

    def __new__(cls, settings: Any = None) -> DeepMethod:
        """Return an instance; with ``faithful_to="release"`` that of ``released/``, if there is one."""
        if getattr(settings, "faithful_to", "paper") == "release" and "card" in vars(cls):
            package, _, module = cls.__module__.rpartition(".")
            file = Path(sys.modules[cls.__module__].__file__ or "")
            if (file.parent / "released" / file.name).is_file():
                cls = getattr(import_module(f"{package}.released.{module}"), cls.__name__)
        return super().__new__(cls)

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self._kept: list[StageCheckpoints] = []
        self._modules: list[nn.Module] = []
        self._parameters: dict[int, nn.Parameter] = {}
        self._threads: int | None = None

    # Defined by a method.

    def build(self, data: DeviceSplit) -> None:
        """Make the modules and keep them as attributes, alone or in dictionaries by modality.

        They are drawn from named streams by `mlps`, `each`, `module` and `prototypes`. The default makes
        ``self.encoders``, a perceptron ``d_v - hidden - dim`` for each modality.
        """
        self.encoders = self.mlps(data)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return the embedding ``(n, d)`` of features ``(n, d_v)`` on the device."""
        embedding: Tensor = self.encoders[modality](x)
        return unit(embedding) if self.unit_length else embedding

    def loss(self, z: Views, batch: Batch, clock: Clock) -> Loss:
        """Return the loss of a batch, or its named parts, of which ``loss`` is minimised.

        Args:
            z: the batch after `forward`, by modality.
            batch: its features, targets and row numbers.
            clock: epoch and iteration.
        """
        raise PluginError(f"{type(self).__name__} defines neither loss nor stages")

    # Hooks.

    def forward(self, modality: str, x: Tensor) -> Tensor:
        """Return what the loss gets of features; the embedding unless overridden."""
        return self.encode(modality, x)

    def validation_loss(self, z: Views, batch: Batch, clock: Clock) -> Loss:
        """Return the loss of validation rows; a method that does not override it has none."""
        raise NotImplementedError

    def optimiser(self, parameters: Iterable[nn.Parameter], lr: float) -> Optimizer:
        """Return the optimiser of a track; Adam with a first moment of .5 unless overridden."""
        return adam(parameters, lr)

    def schedule(self, clock: Clock) -> float:
        """Return the factor on all learning rates at a time."""
        return 1.0

    def plan(self, track: str, data: DeviceSplit) -> Plan:
        """Return which rows make up the batches of a track: `batches` in the size of the settings."""
        changes: dict[str, Any] = {"modalities": (track,)} if self.independent else {}
        return replace(self.batches, batch_size=self.settings.batch_size, **changes)  # type: ignore[type-var]

    def before(self, batch: Batch, clock: Clock) -> None:
        """Act before the loss of a batch, as to normalise centres."""

    def after(self, batch: Batch, clock: Clock) -> None:
        """Act after the update by a batch, as to average weights."""

    def after_epoch(self, track: str, clock: Clock) -> Mapping[str, float]:
        """Act in evaluation mode after an epoch of a track; return numbers to trace."""
        return {}

    def steps(self, track: str, modules: Sequence[nn.Module]) -> Sequence[Step]:
        """Return the updates by each batch; several where adversaries alternate."""
        return [self.step(track, modules)]

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """Yield the stages of the training, one after the other; one unless overridden.

        The code after a ``yield`` runs when that stage is over and its modules are in the state that
        the stage ends with.
        """
        self.context = context
        self.build(train)
        yield self.stage(train)

    def extension(self, modality: str, data: DeviceSplit) -> Sequence[nn.Module]:
        """Make the modules of a modality that is added later, and return those to be trained.

        The default runs `build` for the new modality and puts back what was trained before; it serves methods
        that keep their networks in dictionaries by modality, and train these alone or towards shared modules.
        """
        return [*modules_added(self, partial(self.build, data))]

    # Parts of hooks.

    def mlps(
        self, data: DeviceSplit, dim: int | None = None, prefix: str = "", **options: Any
    ) -> dict[str, nn.Module]:
        """Return a perceptron ``d_v - hidden - dim`` for each modality; see `each`.

        Widths are those of the settings where ``dim`` or ``hidden`` is not given; ``options`` are those of
        `mlp`.
        """
        hidden = options.pop("hidden") if "hidden" in options else self.settings.hidden
        width = self.settings.dim if dim is None else dim
        return dict(self.each(data, lambda d_v: mlp((d_v, *hidden, width), **options), prefix))

    def each(self, data: DeviceSplit, make: Callable[[int], M], prefix: str = "") -> dict[str, M]:
        """Return the module ``make(d_v)`` for each modality, drawn from ``init/<prefix><modality>``."""
        return {name: self.module(prefix + name, partial(make, data.dimension(name))) for name in data}

    def module(self, name: str, make: Callable[[], M]) -> M:
        """Return the module ``make()``, drawn from ``init/<name>`` and moved to the device."""
        return built(make, self.context, name)

    def prototypes(self, data: DeviceSplit, name: str = "prototypes", *, trained: bool = True) -> Prototypes:
        """Return orthonormal columns, one per class, in the width ``dim``; drawn from ``init/<name>``."""
        return self.module(name, lambda: Prototypes(self.settings.dim, data.n_classes, trained))

    def stage(
        self,
        data: DeviceSplit,
        name: str = "train",
        modules: Mapping[str, Sequence[nn.Module]] | None = None,
        **options: Any,
    ) -> Stage:
        """Return a stage of one joint track, or of one track per modality where they are independent.

        Without ``modules`` of each track they are those that `build` made. ``options`` are fields of `Stage`;
        ``epochs`` and ``patience`` default to the settings.
        """
        if modules is None and self.independent:
            modules = {track: modules_of_modality(self, track) for track in data}
        elif modules is None:
            modules = {"joint": [*dict.fromkeys(named_modules(self).values())]}
        validated = type(self).validation_loss is not DeepMethod.validation_loss
        made = [
            Track(
                track,
                parts,
                self.steps(track, parts),
                self.plan(track, data),
                self._on_views(self.validation_loss, track) if validated else None,
                partial(self.after_epoch, track),
            )
            for track, parts in modules.items()
        ]
        limits = {"epochs": self.settings.epochs, "patience": self.settings.patience}
        return Stage(made, name=name, **{**limits, **options})

    def step(
        self,
        track: str,
        modules: Sequence[nn.Module],
        loss: LossOfViews | None = None,
        lr: Any = None,
        name: str = "train",
    ) -> Step:
        """Return one update of modules by a loss, as part of a track, traced under ``name``.

        ``loss`` defaults to `loss`, and ``lr``, for all modalities or by modality, to the setting.
        """
        parameters = [weight for weight in parameters_of(modules) if weight.requires_grad]
        rate = per_modality(self.settings.lr if lr is None else lr, track)
        optimiser = self.optimiser(parameters, rate)
        wrapped = self._on_views(loss or self.loss, track)
        return Step(wrapped, optimiser, self.schedule, self.before, self.after, name)

    # Called by the harness.

    def fit(self, train: Split, validation: Split, context: Context) -> None:
        """Run all stages; the method is left in its ``best`` state.

        Raises:
            Unsupported: if the data is outside what the card declares.
            DeadlineExceeded: when the time is over.
        """
        if (reason := unsuitable(self.card, train)) is not None:
            raise Unsupported(reason)
        self.context, self._threads, self._device = context, context.threads, torch.device(context.device)
        self._kept, self._modules, self._parameters = [], [], {}
        self._scalers, self._outline = {}, Outline.of(train)
        with reproducible(context.threads):
            data = self._fit_data(train, validation, context)
            for stage in self.stages(data.train, context):
                self._train(stage, data, context)

    def extend(self, modality: str, train: Split, validation: Split, context: Context) -> None:
        """Train the networks of one more modality; see `Method.extend` and the hook `extension`.

        Its state is chosen by its validation loss, where the method has one, and is the last one otherwise.

        Raises:
            Unsupported: if the card lacks ``late``, or labels are missing.
            UsageError: if the modality was trained already.
            DeadlineExceeded: when the time is over.
        """
        if not self.card.late:
            super().extend(modality, train, validation, context)
        if (reason := unsuitable(self.card, train)) is not None:
            raise Unsupported(reason)
        if modality in self._scalers:
            raise UsageError(f"{self.card.title} was fitted on {modality} already")
        self.context = context
        widths = {**self._outline.widths, modality: train[modality].dimension}
        self._outline = replace(self._outline, widths=widths)
        with reproducible(context.threads):
            data = self._fit_data(train, validation, context)
            modules = {modality: self.extension(modality, data.train)}
            stage = self.stage(data.train, f"late/{modality}", modules, scored=False)
            self._train(stage, data, context)

    def embed(self, modality: str, features: Array) -> Array:
        """Map features ``(n, d_v)`` to the common space, ``(n, d)`` float32."""
        starts = range(0, max(len(features), 1), EMBEDDED_ROWS)
        parts = (self._scalers[modality](features[start : start + EMBEDDED_ROWS]) for start in starts)
        # Copies: the features may be read-only, which torch does not honour.
        blocks = (torch.tensor(part, dtype=torch.float32, device=self._device) for part in parts)
        return np.asarray(self._embedded(modality, blocks).cpu().numpy())

    def checkpoints(self) -> Mapping[str, Checkpoint]:
        """Return the kept states by rule; with several kept stages, epochs are named ``stage/track``."""
        if len(self._kept) == 1:
            return self._kept[0].checkpoints
        rules = self._kept[-1].checkpoints if self._kept else {}
        return {rule: merged(rule, self._kept) for rule in rules}

    def restore(self, rule: str) -> None:
        """Bring back the state that ``rule`` selected.

        Raises:
            KeyError: if there is no such state.
        """
        if rule not in self.checkpoints():
            raise KeyError(rule)
        for kept in self._kept:
            kept.restore(rule if rule in kept.states else "best")

    def stored_state(self) -> State:
        """Return scaling and modules as they are; raises `Unsupported` if `stages` makes the modules."""
        if type(self).build is DeepMethod.build and "encoders" not in vars(self):
            raise Unsupported(f"{self.card.title} cannot be stored: stages makes its modules, not build")
        state = state_of(self, self._outline)
        arrays = {**state.arrays}
        for name, scaler in self._scalers.items():
            arrays |= scaler.arrays(f"scaling/{name}/")
        return State(arrays, state.facts)

    def load_state(self, state: State, device: str = "cpu") -> None:
        """Make the modules by `build` with stored values; what training alone needs is not made.

        Raises:
            DataError: if it is no state of this method with these settings.
        """
        self._outline, kind = outline_of(state), self.settings.scaling
        widths = self._outline.widths.items()
        self._scalers = {name: Scaler.of_state(kind, state, f"scaling/{name}/", d) for name, d in widths}
        self._modules = build_from(self, self._outline, state, device)
        self._device = torch.device(device)

    def notes(self) -> Mapping[str, Any]:
        """Return the number of trained parameters, and the epochs that were run."""
        return {
            "parameters": sum(weight.numel() for weight in self._parameters.values()),
            "epochs_run": {kept.stage: kept.epochs for kept in self._kept},
        }

    def _fit_data(self, train: Split, validation: Split, context: Context) -> FitData:
        """Fit the scaling of modalities that are new; bring the rows to the device."""
        new = (name for name in train if name not in self._scalers)
        fitted = {name: Scaler.fit(train[name].features, self.settings.scaling) for name in new}
        self._scalers = {**self._scalers, **fitted}
        on_device, held_out = (DeviceSplit(s, context.device, self._scalers) for s in (train, validation))
        usual = (type(self).embed, type(self).similarity) == (DeepMethod.embed, Method.similarity)

        def embed(modality: str, rows: Tensor) -> Tensor:
            return self._embedded(modality, torch.split(rows, EMBEDDED_ROWS))

        return FitData(on_device, held_out, embed if usual else None)

    def _embedded(self, modality: str, blocks: Iterable[Tensor]) -> Tensor:
        """Return the embeddings ``(n, d)`` of blocks of scaled rows on the device, float32."""
        for module in self._modules:
            module.eval()
        with reproducible(self._threads), torch.no_grad():
            return torch.cat([self.encode(modality, rows) for rows in blocks]).float()

    def _train(self, stage: Stage, data: FitData, context: Context) -> None:
        """Run a stage and keep its states."""
        modules = [module for track in stage.tracks for module in track.modules]
        trained = {id(weight): weight for weight in parameters_of(modules) if weight.requires_grad}
        before, self._modules = self._modules, [*self._modules, *modules]
        kept = train_stage(self, stage, data, context)
        if not stage.kept:
            self._modules = before
            return
        self._kept.append(kept)
        self._parameters |= trained

    def _on_views(self, loss: LossOfViews, track: str) -> Callable[[Batch, Clock], Loss]:
        """Return a loss of batches from one of what `forward` makes of them."""

        def of_batch(batch: Batch, clock: Clock) -> Loss:
            part = batch.only(track) if self.independent else batch
            return loss({name: self.forward(name, x) for name, x in part.features.items()}, part, clock)

        return of_batch
