"""States of a stage's modules, kept in memory as the selection rules choose them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from bench.contract import Checkpoint
from bench.contract.context import Value
from bench.training.track import LAST, Rule, Stage

State = list[dict[str, Tensor]]


@dataclass(frozen=True)
class StageCheckpoints:
    """States stored of a finished stage.

    Attributes:
        stage: its name.
        epochs: that it ran.
        modules: per track.
        states: per rule and track.
        checkpoints: per rule, what was chosen and by what.
    """

    stage: str
    epochs: int
    modules: Mapping[str, Sequence[nn.Module]]
    states: Mapping[str, Mapping[str, State]]
    checkpoints: Mapping[str, Checkpoint]

    def restore(self, rule: str) -> None:
        """Load the states that ``rule`` chose into the modules."""
        for track, state in self.states[rule].items():
            for module, entries in zip(self.modules[track], state, strict=True):
                module.load_state_dict(entries)


class CheckpointRecorder:
    """Follows a stage's trace and copies states at the epochs that its rules choose."""

    def __init__(self, stage: Stage, rules: Mapping[str, Rule]) -> None:
        self._stage = stage
        self._rules = rules if stage.kept else {stage.then: rules[stage.then]}
        self._best = rules["best"]
        self._modules = {track.name: track.modules for track in stage.tracks}
        self._rows: list[Mapping[str, Value]] = []
        self._states: dict[str, dict[str, State]] = {rule: {} for rule in self._rules}

    def note(self, row: Mapping[str, Value]) -> None:
        """Record an epoch's row, and copy the state if a rule now selects it."""
        self._rows.append(row)
        for name, rule in self._rules.items():
            if rule is not LAST:
                for track, epoch in rule.choose(self._rows, tuple(self._modules)).items():
                    if epoch == len(self._rows):
                        held = self._states[name].get(track)
                        self._states[name][track] = _copy(self._modules[track], held)

    def stalled(self) -> bool:
        """Whether the best state is older than the stage's patience."""
        if self._stage.patience is None:
            return False
        chosen = self._best.choose(self._rows, tuple(self._modules))
        return len(self._rows) - max(chosen.values()) >= self._stage.patience

    def finish(self) -> StageCheckpoints:
        """Copy the last state, load the one that the stage ends with, and return all stored states."""
        checkpoints, tracks = {}, tuple(self._modules)
        for name, rule in self._rules.items():
            if rule is LAST:
                self._states[name] = {track: self._last(track) for track in tracks}
            epochs, values = rule.choose(self._rows, tracks), rule.values(self._rows, tracks)
            if rule.per_track:
                checkpoints[name] = Checkpoint(name, epochs, values, rule.criterion)
            else:
                value = None if values is None else values[tracks[0]]
                checkpoints[name] = Checkpoint(name, epochs[tracks[0]], value, rule.criterion)
        kept = StageCheckpoints(self._stage.name, len(self._rows), self._modules, self._states, checkpoints)
        kept.restore(self._stage.then)
        return kept

    def _last(self, track: str) -> State:
        """Return the last state of a track, shared with a rule that chose it as well."""
        for name, rule in self._rules.items():
            if rule is not LAST and rule.choose(self._rows, (track,))[track] == len(self._rows):
                return self._states[name][track]
        return _copy(self._modules[track], None)


def _copy(modules: Sequence[nn.Module], held: State | None) -> State:
    """Return copies of the modules' states, in the memory of ``held`` where there is some."""
    states = [module.state_dict() for module in modules]
    if held is None:
        return [{key: value.detach().clone() for key, value in state.items()} for state in states]
    for old, state in zip(held, states, strict=True):
        for key, value in state.items():
            old[key].copy_(value)
    return held


def merged(rule: str, kept: Sequence[StageCheckpoints]) -> Checkpoint:
    """Return one checkpoint for several stages."""
    epochs: dict[str, int] = {}
    for part in kept:
        chosen = part.checkpoints.get(rule, part.checkpoints["best"])
        for track in part.modules:
            epoch = chosen.epoch if isinstance(chosen.epoch, int) else chosen.epoch[track]
            epochs[f"{part.stage}/{track}"] = epoch
    final = kept[-1].checkpoints[rule]
    return Checkpoint(rule, epochs, final.value, final.criterion)
