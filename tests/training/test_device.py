"""On a GPU a step waits for nothing: no value leaves the device and no copy blocks the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench import registry
from bench.contract import Context, Split
from bench.training import Clock, DeepMethod, DeviceSplit, Stage
from bench.training.loop import take_step
from bench.training.track import _Adam
from tests.methods.small_splits import separable

WAITS = {
    "man": "the leading eigenvalues are chosen on the host, where torch.linalg checks them in any case",
    "dccae": "torch.linalg checks singular values and Cholesky factors on the host",
}
"""Methods whose steps wait for the device, and why."""

ROWS = {"image": 24, "text": 24}
SMALL = {"hidden": (8, 8), "dim": 6, "batch_size": 8, "epochs": 2}


def deep_methods() -> list[str]:
    """Return the names of all methods that are trained in steps."""
    return [name for name in registry.method_names() if issubclass(registry.method_class(name), DeepMethod)]


def small(name: str) -> DeepMethod:
    """Return a method with narrow layers."""
    kind = registry.method_class(name)
    fields = {field.name for field in dataclasses.fields(kind.Settings)}
    known = {key: value for key, value in SMALL.items() if key in fields}
    if name == "drsl":
        known["scorer_hidden"] = (8, 8)
    method = kind(kind.Settings(**known))
    assert isinstance(method, DeepMethod)
    return method


def first_stages(method: DeepMethod, train: Split, context: Context) -> Iterator[tuple[Stage, DeviceSplit]]:
    """Yield the stages of a training in which nothing is trained."""
    data = DeviceSplit(train, context.device)
    for stage in method.stages(data, context):
        for row in range(stage.epochs):
            quality = {f"quality/{track.name}": 0.5 for track in stage.tracks}
            context.trace.add(stage.name, row + 1, **quality)
        yield stage, data


class Blocking(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects copies between the host and the device that the host waits for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.copies: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default:
            moved = args[0].device != result.device
            if moved and not (kwargs or {}).get("non_blocking"):
                self.copies.append(f"{args[0].device} -> {result.device}")
        return result


def take_all_steps(method: DeepMethod, device: str, inside: Any) -> None:
    """Take every step of every stage on every batch of an epoch, each within what ``inside()`` returns."""
    train, context = separable(ROWS, pairing="natural"), Context(scope=("small",), device=device)
    method.context = context
    for stage, data in first_stages(method, train, context):
        for track in stage.tracks:
            for batch in data.batches(next(track.plan.epochs(train, context, "batches"))):
                for step in track.steps:
                    rates = [group["lr"] for group in step.optimiser.param_groups]
                    with inside():
                        take_step(step, batch, Clock(1, 2, 0, 6), rates)


@pytest.mark.parametrize("name", deep_methods())
def test_a_step_reads_no_value_of_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of the device `meta` have no values: reading one fails there, and waits for a GPU."""
    usual, blocking = _Adam, Blocking()

    def for_tensors_without_values(*args: Any, **options: Any) -> torch.optim.Optimizer:
        return usual(*args, **{**options, "fused": None, "foreach": False})

    monkeypatch.setattr("bench.training.track._Adam", for_tensors_without_values)
    if name == "man":
        with pytest.raises(RuntimeError, match="meta tensors"):
            take_all_steps(small(name), "meta", lambda: blocking)
    else:
        take_all_steps(small(name), "meta", lambda: blocking)
    assert blocking.copies == []


@contextmanager
def waiting_forbidden() -> Iterator[None]:
    """Raise an error in the body for every wait for a GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.cuda
@pytest.mark.parametrize("name", sorted({*deep_methods()} - {*WAITS}))
def test_a_step_does_not_wait_for_the_gpu(name: str) -> None:
    take_all_steps(small(name), "cuda", waiting_forbidden)


def test_batches_hold_the_rows_of_their_numbers() -> None:
    train = separable({"image": 10, "text": 7})
    data = DeviceSplit(train, "cpu")
    epoch = [
        {"image": np.array([3, 1, 4]), "text": np.array([6, 0])},
        {"image": np.array([1, 5]), "text": np.array([2, 2, 5, 1])},
    ]
    for rows, batch in zip(epoch, data.batches(epoch), strict=True):
        assert len(batch) == max(map(len, rows.values()))
        for name, chosen in rows.items():
            np.testing.assert_array_equal(batch.rows[name], chosen)
            np.testing.assert_array_equal(batch.features[name], train[name].features[chosen])
            np.testing.assert_array_equal(batch.targets[name], train.targets(name)[chosen])


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize("name", ["mrl", "deep_sm", "drsl"])
def test_validation_on_the_device_equals_that_of_the_host(
    name: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DRSL overrides `similarity`, which is then called in both cases."""
    train = separable({"image": 40, "text": 40}, pairing="natural")
    held_out = separable({"image": 25, "text": 25}, pairing="natural", seed=1)
    traces = []
    for on_device in (False, True):
        monkeypatch.setattr("bench.training.validation.ranks_on", lambda _, there=on_device: there)
        context = Context(scope=("small",), device=device)
        small(name).fit(train, held_out, context)
        traces.append(context.trace.rows)
    for usual, there in zip(*traces, strict=True):
        assert usual.keys() == there.keys()
        for column, value in usual.items():
            assert there[column] == (pytest.approx(value, abs=1e-6) if "map" in column else value), column


@pytest.mark.parametrize("on_device", [False, True])
def test_a_state_that_cannot_be_ranked_has_no_validation_map(
    on_device: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.training.validation.ranks_on", lambda _: on_device)
    method, context = small("mrl"), Context(scope=("small",))
    monkeypatch.setattr(method, "encode", lambda name, x: torch.zeros(len(x), 4))
    monkeypatch.setattr(method, "forward", type(method).encode.__get__(method))
    train = separable(ROWS, pairing="natural")
    method.fit(train, train, context)
    assert [row["validation_map"] for row in context.trace.rows] == [None, None]
