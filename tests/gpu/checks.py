"""Checks of correctness on a device: tests, parity, cells that share it, fill it and break it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path

from bench.records import Store
from bench.records.schema import Record
from tests.gpu.parts import Found, Run
from tests.grid import write_bundle
from tests.versions import reference

_PLUGINS = Path(__file__).with_name("plugins.py")
_HEADERS = ("check", "outcome", "detail")

DRAWS_ON_THE_DEVICE = {"clip4cmr": "dropout", "algcn": "noise of the graph's supervision"}
"""Methods whose numbers differ between kinds of device, because torch draws other numbers there."""


def marked_tests(run: Run) -> Found:
    """Run the tests that are marked ``cuda``."""
    found = Found("Tests", _HEADERS)
    if not run.on_gpu:
        found.check("tests marked cuda", None, "they need a GPU")
        return found
    done = _python(run, "-m", "pytest", "-q", "tests", "-m", "cuda", "-p", "no:cacheprovider")
    found.check("tests marked cuda", done.returncode == 0, _last_line(done))
    return found


def released_numbers(run: Run) -> Found:
    """Run the tests against numbers of released code, with all tensors on the device."""
    found = Found("Golden numbers of released code", _HEADERS)
    words = ("-m", "pytest", "-q", "tests/methods", "-p", "no:cacheprovider")
    done = _python(run, *words, BENCH_TEST_DEVICE=run.device)
    for line in done.stdout.splitlines():
        if line.startswith(("FAILED", "ERROR")):
            found.check(line.split()[1].removeprefix("tests/methods/"), False, line.partition(" - ")[2][:150])
    found.check("tests with numbers of released code", done.returncode == 0, _last_line(done))
    return found


def reference_grid(run: Run) -> Found:
    """Run the reference grid on the device and compare it with the numbers of the CPU."""
    found = Found("Reference grid", ("method", "outcome", "difference, in parts of the tolerance", "where"))
    folder = run.folder / "reference"
    folder.mkdir()
    stored = reference.read_stored()["methods"]
    only = run.sizes.methods
    now = reference.measure(folder, device=run.device, methods=only)
    gaps = reference.gaps({name: stored[name] for name in now}, now)
    for method in sorted(now):
        gap, _, sentence = max(part for part in gaps if part[1] == method)
        drawn = run.on_gpu and method in DRAWS_ON_THE_DEVICE
        outcome = "passed" if gap <= 1.0 else "other draws" if drawn else "failed"
        found.rows.append((method, outcome, gap, sentence.partition(": ")[0]))
        found.failed |= outcome == "failed"
    found.notes = [f"{name}: torch draws its {what} there." for name, what in DRAWS_ON_THE_DEVICE.items()]
    return found


def three_cells(run: Run) -> Found:
    """Run three cells at once, after one from which their need of memory is known."""
    found = Found("Three cells at once", _HEADERS)
    results = run.folder / "three"
    _cells(run, results, "gpu_plain", "0-0")
    line = _cells(run, results, "gpu_plain", "1-3", at_once=3)
    records = [record for record in Store(results).records() if record.identity.seed > 0]
    done = [record for record in records if record.status == "done"]
    spans = [_span(record) for record in done]
    together = all(max(a[0], b[0]) < min(a[1], b[1]) for a, b in combinations(spans, 2))
    found.check("all are done", len(done) == 3, f"{len(done)} of 3" if len(done) == 3 else line)
    found.check("all run at the same time", together and len(spans) == 3, "by the times of their records")
    return found


def full_device(run: Run) -> Found:
    """Run a cell that needs more memory than there is, and one after it."""
    found = Found("A cell that runs out of memory", _HEADERS)
    results = run.folder / "full"
    line = _cells(run, results, "gpu_full", "0-0")
    after = _cells(run, results, "gpu_plain", "0-0")
    records = {record.identity.method: record for record in Store(results).records()}
    full, plain = records.get("gpu_full"), records.get("gpu_plain")
    reason = "" if full is None or full.failure is None else full.failure.reason
    found.check(
        "its status is out-of-memory", full is not None and full.status == "out-of-memory", reason or line
    )
    names_need = "needs at least" in reason if run.on_gpu else None
    found.check("the reason names its need", names_need, "" if run.on_gpu else "only on GPUs")
    next_is_done = plain is not None and plain.status == "done"
    found.check("the next cell is done", next_is_done, "" if next_is_done else after)
    return found


def broken_device(run: Run) -> Found:
    """Run two cells that fault inside a kernel, in one slot: the second needs a new process."""
    found = Found("A device fault", _HEADERS)
    if not run.on_gpu:
        found.check("the worker is replaced", None, "a CPU has no faults inside kernels")
        return found
    results = run.folder / "fault"
    line = _cells(run, results, "gpu_fault", "0-1")
    after = _cells(run, results, "gpu_plain", "0-0")
    store = Store(results)
    records = list(store.records())
    faults = [record for record in records if record.identity.method == "gpu_fault"]
    logs = [re.search(r"process (\d+)", store.log(record.digest)) for record in faults]
    processes = {log[1] for log in logs if log is not None}
    kinds = {record.status for record in faults}
    plain = [record.status for record in records if record.identity.method == "gpu_plain"]
    found.check("both cells fail", kinds == {"failed"} and len(faults) == 2, ", ".join(kinds) or line)
    found.check("the worker is replaced", len(processes) == 2, f"{len(processes)} processes of 2 cells")
    found.check("the next cell is done", plain == ["done"], "" if plain == ["done"] else after)
    return found


def _cells(run: Run, results: Path, method: str, seeds: str, at_once: int = 1) -> str:
    """Run cells of a plug-in on a small bundle with the command line; return its last line."""
    bundle = run.folder / "small.npz"
    if not bundle.exists():
        write_bundle(bundle)
    jobs = ("--devices", run.device, "--jobs-per-device", at_once) if run.on_gpu else ("--jobs", at_once)
    words = ("--methods", method, "--datasets", bundle, "--seeds", seeds, "--plugin", _PLUGINS, *jobs)
    return _last_line(_python(run, "-m", "bench", "run", "--results", results, *words))


def _python(run: Run, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = [sys.executable, *map(str, words)]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=max(1.0, run.left),
            check=False,
            env={**os.environ, **variables},
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "the time of the script was over", "")


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


def _span(record: Record) -> tuple[datetime, datetime]:
    """Return when a cell began and ended."""
    start = datetime.fromisoformat(record.environment.started)
    return start, start + timedelta(seconds=record.environment.seconds["total"])
