"""Small feature bundles, and a small grid that is run once for all tests that read records."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import registry
from bench.cli import invoke
from bench.execution.data_check import describe_sources
from bench.execution.local import run_inline
from bench.experiment.grid import Cell, Request, plan
from bench.records import Store
from bench.records.encoding import FILES, encode_sums
from tests.wording import mentions

FAULTS = Path(__file__).with_name("faults.py")
WIDTHS = {"image": 12, "text": 8, "audio": 6}


def write_bundle(
    path: Path,
    modalities: Sequence[str] = ("image", "text"),
    *,
    multi_label: bool = False,
    paired: bool = True,
    rows: int = 60,
    classes: int = 3,
    seed: int = 0,
) -> Path:
    """Write a feature bundle whose classes can be learnt; every modality of a part has its labels."""
    random = np.random.default_rng(seed)
    centres = {name: 1.5 * random.normal(size=(classes, WIDTHS[name])) for name in modalities}
    arrays: dict[str, Any] = {"paired": np.array(paired)}
    if multi_label:
        arrays["multi_label"] = np.array(True)
    for part, count in (("train", rows), ("validation", rows // 2), ("test", rows // 2)):
        numbers = random.permutation(np.arange(count) % classes)
        for name in modalities:
            labels = numbers if paired else random.permutation(numbers)
            noise = random.normal(size=(count, WIDTHS[name]))
            arrays[f"{part}_{name}"] = (centres[name][labels] + noise).astype(np.float32)
            arrays[f"{part}_{name}_labels"] = (
                np.eye(classes, dtype=np.int64)[labels] if multi_label else labels
            )
    np.savez(path, **arrays)
    return path


def cells_of(
    methods: Sequence[str], *bundles: Path, seeds: Sequence[int] = (0,), **overrides: Any
) -> list[Cell]:
    """Plan cells on bundles; ``overrides`` hold for every method that has the setting."""
    with data_opened_here():
        sources = describe_sources([str(path) for path in bundles], Path("data"), "quick")
    assert not sources.damaged
    changes = {"*": overrides} if overrides else {}
    request = Request(methods, list(sources.usable), seeds, overrides=changes)
    return plan(request, sources.usable)


@contextlib.contextmanager
def only_plugins(*files: Path) -> Any:
    """Let exactly these files be the plug-ins given by path in the body."""
    from bench.registry import sources

    before = list(sources._PLUGINS)
    sources._PLUGINS[:] = []
    for file in files:
        registry.add_plugin(file)
    try:
        yield
    finally:
        sources._PLUGINS[:] = before


@dataclass(frozen=True)
class Output:
    """Exit status and output of a command."""

    status: int
    out: str
    err: str

    def check(self, status: int, *keys: str, silent: bool = False) -> Output:
        """Check the exit status, what the output `mentions`, and if ``silent`` that there was no warning."""
        assert self.status == status, self
        assert not (silent and self.err), self
        for key in keys:
            assert mentions(self.out, key) or mentions(self.err, key), self
        return self


@contextlib.contextmanager
def data_opened_here() -> Iterator[None]:
    """Open datasets in this process in the body: a worker for each bundle costs half a second.

    Faults of data in workers are tested in ``execution/test_data_check.py``.
    """

    def here(tasks: Any, work: Any, slots: Any, **limits: Any) -> Any:
        return run_inline(tasks, work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.execution.data_check.run_local", here)
        yield


_FITTING = {"ablate", "run", "sweep", "tune", "verify"}
_WORKERS = {
    *("--devices", "--executor", "--jobs", "--jobs-per-device", "--max-memory", "--scheduler", "--timeout")
}


def run_command(*words: object) -> Output:
    """Run a command in this process, with no plug-ins given by path but its options.

    Cells run here, too, unless options name their workers: one that loads torch costs two seconds.
    """
    line = [str(word) for word in words]
    if line[0] in _FITTING and not _WORKERS & {*line}:
        line += ["--jobs", "0"]
    out, err = io.StringIO(), io.StringIO()
    with only_plugins(), data_opened_here(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = invoke(line)
    return Output(status, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Grid:
    """A results folder with every kind of record in it.

    Attributes:
        results: the folder.
        small: single-label bundle, two modalities.
        multi: multi-label bundle, two modalities.
        output: status and output of the run.
    """

    results: Path
    small: Path
    multi: Path
    output: Output

    @property
    def store(self) -> Store:
        return Store(self.results)

    def record(self, method: str, dataset: str = "small", seed: int = 0) -> Any:
        """Return the record of a cell as plain JSON."""
        for folder in sorted((self.results / "runs").iterdir()):
            content = json.loads((folder / "record.json").read_text(encoding="utf-8"))
            identity = content["identity"]
            if (identity["method"], identity["dataset"], identity["seed"]) == (method, dataset, seed):
                return content
        raise AssertionError(f"no record of {method} on {dataset}, seed {seed}")


def run_grid(folder: Path) -> Grid:
    """Run the grid: methods that work and methods that fail, on single and multi labels, in this process.

    Only a method that ends its process gets a worker: each would load torch and more, for four seconds.
    """
    small = write_bundle(folder / "small.npz")
    multi = write_bundle(folder / "multi.npz", multi_label=True)
    results = folder / "results"
    output = run_command(
        *("run", "--results", results, "--plugin", FAULTS, "--set", "*.epochs=2"),
        *("--set", "*.spl_epochs=2", "--seeds", 2, "--datasets", f"{small},{multi}"),
        *("--methods", "mcca,sm,sdml,drcl,plain,raises,nan,peeks,sneaks,single"),
    )
    usual = ("run", "--results", results, "--plugin", FAULTS, "--jobs", 1)
    last = run_command(*usual, "--datasets", small, "--methods", "leaves")
    return Grid(
        results, small, multi, Output(max(output.status, last.status), output.out + last.out, output.err)
    )


def bytes_of(results: Path) -> dict[str, tuple[str, list[bytes]]]:
    """Return, by digest, the parts of records that must not depend on the environment, and their files."""
    found = {}
    for folder in sorted((results / "runs").iterdir()):
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        del record["circumstances"]
        fixed = json.dumps(record, sort_keys=True)
        names = ["per_query.npz", "trace.csv", *(["view.npz"] if record["status"] == "done" else [])]
        found[folder.name] = fixed, [(folder / name).read_bytes() for name in names]
    return found


def make_newer(folder: Path) -> None:
    """Edit a record as if a later version of the program had written it."""
    files = {name: (folder / name).read_bytes() for name in FILES}
    files["record.json"] = files["record.json"].replace(b'"schema": 3', b'"schema": 99')
    (folder / "record.json").write_bytes(files["record.json"])
    (folder / "sha256sums.txt").write_bytes(encode_sums(files))
