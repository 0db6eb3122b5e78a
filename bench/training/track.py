"""Parts of a training: selection rules, clocks, steps, tracks, stages, and the usual optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import unwrap
from typing import Any, Final, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.contract.context import Value
from bench.training.batches import Plan
from bench.training.data import Batch

Row = Mapping[str, Value]
K = TypeVar("K", bound=Optimizer)


@dataclass(frozen=True)
class Rule:
    """Chooses the epoch at which a traced column is best, of equal epochs the first.

    Attributes:
        column: of the trace; per track it is looked up as ``<column>/<track>``. None for the last epoch.
        criterion: the column in words.
        highest: whether more is better.
        per_track: whether each track is chosen by its column.
        rankable: whether an epoch counts only if its validation embeddings could be ranked, where a stage
            tried to. A network may collapse while its loss still falls.
    """

    column: str | None
    criterion: str
    highest: bool = True
    per_track: bool = False
    rankable: bool = True

    def choose(self, rows: Sequence[Row], tracks: Sequence[str]) -> dict[str, int]:
        """Return the chosen epoch (from 1) of each track; ``rows`` are the epochs of one stage.

        Epochs without a number, or that do not count, never win unless there are no others.
        """
        return {track: self._best(rows, track)[0] for track in tracks}

    def values(self, rows: Sequence[Row], tracks: Sequence[str]) -> dict[str, float] | None:
        """Return the value of each track at its chosen epoch; None for the last epoch."""
        return {track: self._best(rows, track)[1] for track in tracks} if self.column else None

    def _best(self, rows: Sequence[Row], track: str) -> tuple[int, float]:
        """Return the chosen epoch and its value."""
        if self.column is None:
            return len(rows), math.nan
        column = f"{self.column}/{track}" if self.per_track else self.column
        values = [math.nan if row.get(column) is None else float(row[column] or 0.0) for row in rows]
        counts = [not self.rankable or row.get("validation_map", 0.0) is not None for row in rows]
        scores = [
            (value if self.highest else -value) if math.isfinite(value) and counted else -math.inf
            for value, counted in zip(values, counts, strict=True)
        ]
        index = max(range(len(scores)), key=scores.__getitem__)
        return index + 1, values[index]


BY_MAP = Rule("validation_map", "mean validation mAP@all over directions")
BY_LOSS = Rule("validation_loss", "validation loss of each track", highest=False, per_track=True)
BY_ORACLE = Rule("oracle_map", "mean TEST mAP@all over directions (oracle)")
LAST = Rule(None, "last epoch")


Loss = Tensor | Mapping[str, Tensor]
"""A scalar to minimise, or named scalars: ``loss`` is minimised, the others are only traced."""


@dataclass(frozen=True)
class Clock:
    """Time within a stage.

    Attributes:
        epoch: from 1.
        epochs: planned.
        iteration: batches of this track before the present one.
        iterations: planned.
    """

    epoch: int
    epochs: int
    iteration: int
    iterations: int

    @property
    def done(self) -> float:
        """Share of the stage that is done, in [0, 1]."""
        return self.iteration / self.iterations


@dataclass
class Step:
    """One update of some parameters per batch.

    Attributes:
        loss: of the batch; see `Loss`.
        optimiser: holds the parameters that this step changes; groups may have different rates.
        schedule: factor on every group's learning rate at a time.
        before: called before the loss, as for centres that are re-normalised.
        after: called after the update, as for averaged weights.
        name: first part of the traced column, ``<name>_loss/<track>``; differs between a track's steps.
    """

    loss: Callable[[Batch, Clock], Loss]
    optimiser: Optimizer
    schedule: Callable[[Clock], float] = lambda _: 1.0
    before: Callable[[Batch, Clock], None] = lambda *_: None
    after: Callable[[Batch, Clock], None] = lambda *_: None
    name: str = "train"


@dataclass
class Track:
    """Parameters that are optimised separately from other tracks, on separate batches.

    A joint method has one track; a method that trains each modality alone has one per modality.

    Attributes:
        name: such as ``image``, or ``joint``.
        modules: all whose state belongs to a checkpoint, buffers included.
        steps: taken one after the other on every batch; two or more where adversaries alternate.
        plan: which rows make up a batch.
        validation_loss: of a block of validation rows, in evaluation mode; None for none.
        after_epoch: called in evaluation mode when an epoch's steps are done and before anything is
            scored; what it returns is traced as ``<key>/<track>``. What depends on the weights of the
            whole training split, as a closing CCA, is refitted here.
    """

    name: str
    modules: Sequence[nn.Module]
    steps: Sequence[Step]
    plan: Plan
    validation_loss: Callable[[Batch, Clock], Loss] | None = None
    after_epoch: Callable[[Clock], Mapping[str, float]] = lambda _: {}


@dataclass
class Stage:
    """A part of the training in which the same tracks run for a number of epochs.

    Attributes:
        tracks: run epoch by epoch in lockstep.
        epochs: passes over the training split.
        name: as traced, and part of the streams of random numbers.
        rule: chooses the stage's best state; None means that of the setting `select` or of the
            method's card, and the last epoch where that is validation mAP and the stage is not scored.
        scored: whether validation mAP is traced: the method can embed all modalities by now.
        kept: whether the states belong to the method's checkpoints; otherwise they serve later stages only.
        then: the state in which the stage leaves its modules.
        patience: the stage ends when its best state is this many epochs old; None for never.
    """

    tracks: Sequence[Track]
    epochs: int
    name: str = "train"
    rule: Rule | None = None
    scored: bool = True
    kept: bool = True
    then: Literal["best", "last"] = "best"
    patience: int | None = None


def adam(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
    lr: float,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 0.0,
) -> torch.optim.Adam:
    """Return Adam with the family's first moment of .5, for parameters or for groups with different rates.

    The fused kernel computes the same update (within rounding) in one pass over memory; on the CPU it
    takes a tenth of the time where layers are 4096 wide, and it is deterministic.
    """
    return _Adam(parameters, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)


def rmsprop(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float, weight_decay: float = 0.0
) -> torch.optim.RMSprop:
    """Return RMSprop, for parameters or for groups with different rates."""
    return _RMSprop(parameters, lr=lr, weight_decay=weight_decay)


def _without_compiler(kind: type[K]) -> type[K]:
    """Return an optimiser without its decorators for `torch.compile`: they import it, which takes 1.5 s."""
    methods = {name: unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad")}
    return type(kind.__name__, (kind,), methods | {"step": torch.no_grad()(unwrap(kind.step))})


_Adam: Final = _without_compiler(torch.optim.Adam)
_RMSprop: Final = _without_compiler(torch.optim.RMSprop)


def parameters_of(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """Return the parameters of all modules, in order."""
    return [parameter for module in modules for parameter in module.parameters()]


def cosine_decay(epochs: int) -> Callable[[Clock], float]:
    """Return a schedule that falls along half a cosine from 1 in the first epoch to 0 after ``epochs``."""
    return lambda clock: (1 + math.cos(math.pi * min(1.0, (clock.epoch - 1) / epochs))) / 2
