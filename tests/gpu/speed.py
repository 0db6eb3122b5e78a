"""How fast a device trains and ranks: seconds per epoch, share of kernels, the evaluator, a plain loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import bench
from bench import registry
from bench.contract import Context, Dataset, Split, unsuitable
from bench.evaluation import STANDARD_PROTOCOLS, mean_average_precision, rank_embeddings
from bench.evaluation.device_ranking import device_maps
from bench.evaluation.inputs import label_sets
from bench.training import Clock, DeepMethod, DeviceSplit, reproducible
from bench.training.loop import take_step
from tests.gpu.parts import Found, Run

_MIB = 1 << 20


def epochs(run: Run) -> Found:
    """Train every deep method for two epochs with its published settings; the second epoch is measured."""
    headers = ("method", "dataset", "stage", "s per epoch", "share in kernels", "peak MiB")
    found = Found("Seconds per epoch, paper profile", headers)
    for name in run.sizes.datasets:
        dataset = _dataset(name, run)
        for method in _deep(run):
            if run.left < 60 and run.sizes.rows is None:
                found.notes.append(f"{method} on {name}: left out, the time was over.")
                continue
            found.rows += _epochs_of(method, dataset, run, found)
    found.notes.append(
        "Training and validation of the second of two epochs, on look-alikes of the full sizes. Kernels are "
        "those of the last stage on the first dataset, by torch.profiler in another run."
    )
    return found


def evaluator(run: Run) -> Found:
    """Rank random rows with labels, and compare with one matrix product and one sort."""
    headers = ("queries x items x dimensions", "map@all s", "4 protocols s", "product and sort s", "ratio")
    found = Found("Evaluator", headers)
    for n_queries, n_items, dimensions in run.sizes.evaluator:
        rng = np.random.default_rng(0)
        rows = [rng.standard_normal((n, dimensions), dtype=np.float32) for n in (n_queries, n_items)]
        labels = [rng.integers(0, 200, n) for n in (n_queries, n_items)]
        there = [torch.as_tensor(part, device=run.device) for part in rows]
        sets = {str(side): label_sets(part, len(part), "labels") for side, part in enumerate(labels)}
        both = {str(side): part for side, part in enumerate(there)}
        one = run.fastest(partial(device_maps, both, sets, "cosine"), 2) / 2
        ranking = rank_embeddings(*there, *labels)
        four = run.fastest(partial(ranking.evaluate, STANDARD_PROTOCOLS), 1)
        least = run.fastest(partial(_product_and_sort, *there), 2)
        size = f"{n_queries:,} x {n_items:,} x {dimensions:,}"
        found.rows.append((size, one, four, least, one / least))
        found.failed |= not _agrees(run, rows, labels, there)
    found.notes.append(
        "map@all: checking, ordering and ranking of tensors that are on the device, mean of two directions. "
        "4 protocols: rows that were prepared on the host, one direction. Both include all ties."
    )
    return found


def yardstick(run: Run) -> Found:
    """Compare DRCL's steps in the harness with a plain loop of PyTorch, and with a graph of that."""
    headers = ("batch", "plain loop ms", "harness ms", "faster by", "goal", "plain step as a CUDA graph ms")
    found = Found("A step of DRCL", headers)
    goals = {100: "2 x", 1024: "within 10 %"}
    for batch in run.sizes.batches:
        width, hidden, dim = run.sizes.widths
        rng = np.random.default_rng(0)
        x = torch.as_tensor(rng.standard_normal((4 * batch, width), dtype=np.float32), device=run.device)
        y = torch.eye(5, device=run.device)[torch.arange(4 * batch, device=run.device) % 5]
        plain = PlainDRCL(x, y, hidden, dim, batch)
        steps = run.sizes.steps
        usual = run.fastest(partial(plain.steps, steps)) / steps
        ours = run.fastest(_harness_steps(x, y, hidden, dim, batch, steps, run)) / steps
        graph = _as_graph(plain, steps, run)
        faster, goal = f"{usual / ours:.2f} x", goals.get(batch, "")
        found.rows.append((batch, 1e3 * usual, 1e3 * ours, faster, goal, graph))
    found.notes.append(
        f"Input, hidden layers and output are {', '.join(map(str, run.sizes.widths))} wide. The plain loop "
        "draws rows on the device, uses torch.optim.Adam as it comes and reads the loss after every step."
    )
    return found


class PlainDRCL:
    """RSC of DRCL as a plain loop of PyTorch."""

    def __init__(self, x: Tensor, y: Tensor, hidden: int, dim: int, batch: int) -> None:
        """Make the network and its optimiser."""
        self.x, self.y, self.batch, self.device = x, y, batch, x.device
        layers = [nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Linear(hidden, dim, bias=False)).to(self.device)
        self.w = nn.init.orthogonal_(torch.empty(dim, y.shape[1])).to(self.device)
        self.inverse = torch.linalg.pinv(self.w)
        self.optimiser = torch.optim.Adam(self.net.parameters(), 1e-5, (0.5, 0.999))

    def steps(self, count: int) -> float:
        """Take steps; return the sum of the losses."""
        total = 0.0
        for _ in range(count):
            chosen = torch.randperm(len(self.x), device=self.device)[: self.batch]
            total += self.step(self.x[chosen], self.y[chosen]).item()
        return total

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Take a step on a batch; return its loss."""
        z = nn.functional.normalize(self.net(x))
        partner = torch.randperm(len(z), device=self.device)
        z, y = 0.9 * z + 0.1 * z[partner], 0.9 * y + 0.1 * y[partner]
        p = ((z @ self.w).softmax(dim=1) * y).sum(dim=1)
        recast = y @ self.inverse
        r, u = nn.functional.normalize(recast), nn.functional.normalize(z)
        cross = 2 * r @ u.T
        structure = (2 * r @ r.T - 2 * u @ u.T).square().mean() + (cross - cross.T).square().mean()
        loss: Tensor = ((1 - p**0.5) / 0.5).mean() + 0.1 * structure + 0.1 * (recast - z).square().mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.detach()


def _harness_steps(
    x: Tensor, y: Tensor, hidden: int, dim: int, batch: int, steps: int, run: Run
) -> Callable[[], float]:
    """Return what takes as many steps of DRCL's RSC in the harness, and collects their losses."""
    labels = y.argmax(dim=1).cpu().numpy()
    split = Split({"image": bench.Modality(x.cpu().numpy(), labels)}, y.shape[1])
    context = Context(device=run.device)
    options: dict[str, Any] = {"hidden": (hidden, hidden), "dim": dim, "batch_size": batch}
    method = bench.create_method("drcl", prior="orthogonal", lr=1e-5, **options)
    assert isinstance(method, DeepMethod)
    method.context = context
    data = DeviceSplit(split, run.device)
    (stage,) = method.stages(data, context)
    (track,) = stage.tracks
    (step,) = track.steps
    batches, clock = track.plan.epochs(split, context, "batches"), Clock(50, 200, 0, 1)

    def take() -> float:
        losses: list[Tensor] = []
        with reproducible(None):
            while len(losses) < steps:
                rows = data.batches(next(batches))
                losses += [take_step(step, batch, clock, [1e-5])["loss"].detach() for batch in rows]
        return float(torch.stack(losses).sum())

    return take


def _as_graph(plain: PlainDRCL, steps: int, run: Run) -> str:
    """Return the milliseconds of the plain step replayed as a CUDA graph, or why there are none."""
    if not run.on_gpu:
        return "no GPU"
    try:
        options: dict[str, Any] = {"betas": (0.5, 0.999), "fused": True, "capturable": True}
        plain.optimiser = torch.optim.Adam(plain.net.parameters(), 1e-5, **options)
        x, y = plain.x[: plain.batch].clone(), plain.y[: plain.batch].clone()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                plain.step(x, y)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            plain.step(x, y)
    except RuntimeError as error:
        return f"not captured: {str(error).splitlines()[0][:80]}"

    def replay() -> None:
        for _ in range(steps):
            graph.replay()

    return f"{1e3 * run.fastest(replay) / steps:.3g}"


def _deep(run: Run) -> list[str]:
    names = [name for name in registry.method_names() if issubclass(registry.method_class(name), DeepMethod)]
    return [name for name in names if run.sizes.methods is None or name in run.sizes.methods]


def _dataset(name: str, run: Run) -> Dataset:
    """Return a look-alike of two modalities; of tests of the script, few rows of it."""
    dataset = bench.load_dataset(name, run.folder / "no-data", profile="quick" if run.sizes.rows else "paper")
    return dataset.select(tuple(dataset.modalities)[:2])


def _first(split: Split, count: int | None) -> Split:
    parts = {name: part.take(np.arange(min(len(part), count or len(part)))) for name, part in split.items()}
    return Split(parts, split.n_classes, split.pairing)


def _epochs_of(name: str, dataset: Dataset, run: Run, found: Found) -> list[tuple[Any, ...]]:
    """Return a row for each stage of a method's training."""
    train, validation = (_first(part, run.sizes.rows) for part in (dataset.train, dataset.validation))
    method = registry.method_class(name)
    if (reason := unsuitable(method.card, train)) is not None:
        found.notes.append(f"{name} on {dataset.card.name}: {reason}")
        return []
    changes: dict[str, Any] = {"epochs": 2, "patience": None}
    if run.sizes.rows:
        changes |= {"hidden": (8,), "dim": 64}
    times, share = _two_epochs(name, dataset.card.name, changes, (train, validation), run)
    kernels = share if dataset.card.name == run.sizes.datasets[0] else ""
    peak = torch.cuda.max_memory_allocated(run.device) / _MIB if run.on_gpu else ""
    last = list(times)[-1]
    return [
        (name, dataset.card.name, stage, ends[1] - ends[0], kernels if stage == last else "", peak)
        for stage, ends in times.items()
    ]


def _two_epochs(
    name: str, dataset: str, changes: Mapping[str, Any], rows: tuple[Split, Split], run: Run
) -> tuple[dict[str, list[float]], str]:
    """Train twice; return when the epochs of each stage ended, and which share of the last took kernels."""
    times: dict[str, list[float]] = {}

    def note(stage: str, epoch: int, epochs_: int, values: object) -> None:
        run.synchronise()
        times.setdefault(stage, []).append(time.perf_counter())

    def fit(progress: Any) -> None:
        known = {**changes, **({"spl_epochs": 2} if name == "drcl" else {})}
        method = bench.create_method(name, dataset=dataset, **known)
        method.fit(*rows, Context(device=run.device, progress=progress))

    if run.on_gpu:
        torch.cuda.reset_peak_memory_stats(run.device)
    fit(note)
    if not run.on_gpu or dataset != run.sizes.datasets[0]:
        return times, "no GPU" if not run.on_gpu else ""
    return times, _share_of_kernels(fit, list(times)[-1], run)


def _share_of_kernels(fit: Callable[[Any], None], last: str, run: Run) -> str:
    """Return which share of the second epoch of the stage ``last`` the device was busy."""
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
    started: list[float] = []
    shares: list[float] = []

    def note(stage: str, epoch: int, epochs_: int, values: object) -> None:
        if stage != last:
            return
        run.synchronise()
        if epoch == 1:
            profiler.start()
            started.append(time.perf_counter())
        else:
            seconds = time.perf_counter() - started[0]
            profiler.stop()
            parts = profiler.key_averages()
            busy = sum(part.self_device_time_total for part in parts)
            shares.append(busy / 1e6 / seconds)

    fit(note)
    return f"{100 * shares[0]:.0f} %"


def _product_and_sort(queries: Tensor, items: Tensor) -> None:
    """Multiply and sort, a block of queries at a time."""
    step = max(1, (1 << 23) // len(items))
    for block in torch.split(queries, step):
        (block @ items.T).sort(dim=1)


def _agrees(run: Run, rows: list[Any], labels: list[Any], there: list[Tensor]) -> bool:
    """Return whether a few hundred queries have the same mAP on the device and on the CPU."""
    some = min(200, len(rows[0]))
    usual = mean_average_precision(rows[0][:some], rows[1][:4000], labels[0][:some], labels[1][:4000])
    found = mean_average_precision(there[0][:some], there[1][:4000], labels[0][:some], labels[1][:4000])
    return abs(usual - found) < 1e-6
