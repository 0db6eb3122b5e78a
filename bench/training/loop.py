"""The one training loop: epochs over tracks, a traced row per epoch, states kept by selection rules."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice

import numpy as np
import torch
from torch import Tensor

from bench.contract import Context, Method, PluginError, RefusedEmbeddings, Unsupported
from bench.contract.context import Value
from bench.training.checkpoints import CheckpointRecorder, StageCheckpoints
from bench.training.data import Batch
from bench.training.seeding import Noise
from bench.training.track import (
    BY_LOSS,
    BY_MAP,
    BY_ORACLE,
    LAST,
    Clock,
    Loss,
    Rule,
    Stage,
    Step,
    Track,
)
from bench.training.validation import FitData, Validation, oracle_map, unchanged_generators

VALIDATION_ROWS = 8192
"""Validation losses are taken over blocks of at most this many rows, to bound their memory."""


def train_stage(method: Method, stage: Stage, data: FitData, context: Context) -> StageCheckpoints:
    """Run a stage and return the states that its rules chose; modules are left in the state ``stage.then``.

    Every epoch adds a row to ``context.trace``: ``<step>_loss/<track>``, named parts of losses,
    ``validation_loss/<track>``, what the tracks measure, and in scored stages ``validation_map``
    (mean), ``validation_map/<query>><gallery>`` and, on request, ``oracle_map``.

    Raises:
        DeadlineExceeded: between two batches, when the time is over.
        Unsupported: if the settings select by validation loss and the method has none.
        PluginError: if the stage is to be selected by validation losses that its tracks do not have.
    """
    scored = stage.scored and len(data.validation.split) > 1
    stage = replace(stage, scored=scored)
    rules = _rules(method, stage, context)
    runs = [_TrackRun(track, stage, data, context) for track in stage.tracks]
    keeper = CheckpointRecorder(stage, rules)
    validation = Validation(method, data, context) if scored else None
    for epoch in range(1, stage.epochs + 1):
        row: dict[str, Value] = {}
        for run in runs:
            row.update(run.train_epoch(epoch))
        for run in runs:
            row.update(run.measure())
        if validation is not None:
            row.update(_scores(method, validation, context))
        context.trace.add(stage.name, epoch, **row)
        keeper.note(row)
        if context.progress is not None:
            context.progress(stage.name, epoch, stage.epochs, row)
        if keeper.stalled():
            break
    for step in chain.from_iterable(track.steps for track in stage.tracks):
        step.optimiser.zero_grad(set_to_none=True)  # gradients of wide networks need not outlive the stage
    return keeper.finish()


def _rules(method: Method, stage: Stage, context: Context) -> dict[str, Rule]:
    """Return the selection rules of a stage by name."""
    declared: dict[str, Rule] = {"map": BY_MAP, "loss": BY_LOSS, "none": LAST}
    select = method.settings.select
    best = stage.rule or declared[method.card.selects_by if select == "card" else select]
    if best is BY_MAP and not stage.scored:
        best = LAST
    if best is BY_LOSS and any(track.validation_loss is None for track in stage.tracks):
        if select == "loss":
            raise Unsupported(
                f"{method.card.name} has no validation loss to be selected by; set `select` to map or card"
            )
        raise PluginError(
            f"stage {stage.name!r} of {method.card.name} is selected by validation loss, "
            "but not every track has one; give each Track a validation_loss or the Stage another rule"
        )
    rules: dict[str, Rule] = {"best": best, "last": LAST}
    if context.oracle is not None and stage.scored and stage.kept:
        rules["oracle"] = BY_ORACLE
    return rules


def _scores(method: Method, validation: Validation, context: Context) -> Iterator[tuple[str, Value]]:
    """Yield validation mAP, its directions, and the oracle's, as columns of the trace."""
    try:
        with unchanged_generators(context.device):
            maps = validation.maps()
    except RefusedEmbeddings:
        # A network may collapse for an epoch and recover; if it does not, its cell fails at the end.
        yield "validation_map", None
    else:
        yield "validation_map", math.fsum(maps.values()) / len(maps)
        yield from ((f"validation_map/{direction}", value) for direction, value in maps.items())
    if context.oracle is not None:
        yield "oracle_map", oracle_map(method, context)


class _TrackRun:
    """The training of a track in a stage."""

    def __init__(self, track: Track, stage: Stage, data: FitData, context: Context) -> None:
        self.track = track
        self._epochs = stage.epochs
        self._fit_data = data
        self._context = context
        self._noise = Noise(context, f"noise/{stage.name}/{track.name}")
        batches = track.plan.epochs(data.train.split, context, f"batches/{stage.name}")
        first = next(batches)
        self._batches = chain([first], batches)
        self._per_epoch = len(first)
        self._rates = [[group["lr"] for group in step.optimiser.param_groups] for step in track.steps]
        self._clock = Clock(1, stage.epochs, 0, stage.epochs * self._per_epoch)

    def train_epoch(self, epoch: int) -> dict[str, Value]:
        """Take all steps of an epoch; return the means of their losses, weighted by rows."""
        for module in self.track.modules:
            module.train()
        sums = _Sums()
        with self._noise.active():
            for position, batch in enumerate(self._fit_data.train.batches(next(self._batches))):
                self._context.check_deadline()
                iteration = (epoch - 1) * self._per_epoch + position
                self._clock = Clock(epoch, self._epochs, iteration, self._epochs * self._per_epoch)
                for step, rates in zip(self.track.steps, self._rates, strict=True):
                    sums.add(step.name, take_step(step, batch, self._clock, rates), len(batch))
        return sums.means(self.track.name)

    def measure(self) -> dict[str, Value]:
        """Return the track's measures and its validation loss after an epoch."""
        for module in self.track.modules:
            module.eval()
        row: dict[str, Value] = {}
        with torch.no_grad(), self._noise.active():
            measures = self.track.after_epoch(self._clock)
            row.update({f"{key}/{self.track.name}": value for key, value in measures.items()})
            if self.track.validation_loss is not None:
                sums = _Sums()
                for block in self._fit_data.validation.blocks(VALIDATION_ROWS):
                    loss = _parts(self.track.validation_loss(block, self._clock))["loss"]
                    sums.add("validation", {"loss": loss}, len(block))
                row.update(sums.means(self.track.name))
        return row


class _Sums:
    """Losses of an epoch, left on the device until the epoch is over."""

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[Tensor, int]]] = {}

    def add(self, step: str, parts: Mapping[str, Tensor], rows: int) -> None:
        """Keep the losses of a batch with its number of rows."""
        for part, value in parts.items():
            column = f"{step}_loss" if part == "loss" else part
            self._values.setdefault(column, []).append((value.detach(), rows))

    def means(self, track: str) -> dict[str, Value]:
        """Return the means over the rows, by column of the trace."""
        # All columns in one copy: each copy would wait for the device.
        columns = [torch.stack([value for value, _ in found]).double() for found in self._values.values()]
        numbers = iter(torch.cat(columns).tolist())
        means: dict[str, Value] = {}
        for column, found in self._values.items():
            weights = [rows for _, rows in found]
            means[f"{column}/{track}"] = float(np.average([*islice(numbers, len(found))], weights=weights))
        return means


def take_step(step: Step, batch: Batch, clock: Clock, rates: list[float]) -> Mapping[str, Tensor]:
    """Update a step's parameters on a batch and return its losses.

    ``rates`` are the learning rates of the parameter groups before any schedule.
    """
    step.before(batch, clock)
    factor = step.schedule(clock)
    for group, rate in zip(step.optimiser.param_groups, rates, strict=True):
        group["lr"] = rate * factor
    parts = _parts(step.loss(batch, clock))
    step.optimiser.zero_grad(set_to_none=True)
    parts["loss"].backward()  # type: ignore[no-untyped-call]
    step.optimiser.step()
    step.after(batch, clock)
    return parts


def _parts(loss: Loss) -> Mapping[str, Tensor]:
    """Return a loss by its parts."""
    return {"loss": loss} if isinstance(loss, Tensor) else loss
