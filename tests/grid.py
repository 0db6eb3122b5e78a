"""Small feature bundles, and a small grid that is run once for all tests that read records."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import registry
from bench.cli import invoke
from bench.execution.data_check import describe_sources
from bench.experiment.grid import Cell, Request, plan
from bench.records import Store
from bench.records.encoding import FILES, encode_sums

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
    """Write a feature bundle whose classes can be learnt; all parts have labels of their own."""
    random = np.random.default_rng(seed)
    centres = {name: 1.5 * random.normal(size=(classes, WIDTHS[name])) for name in modalities}
    arrays: dict[str, Any] = {}
    for part, count in (("train", rows), ("validation", rows // 2), ("test", rows // 2)):
        numbers = random.permutation(np.arange(count) % classes)
        for name in modalities:
            own = numbers if paired else random.permutation(numbers)
            noise = random.normal(size=(count, WIDTHS[name]))
            arrays[f"{part}_{name}"] = (centres[name][own] + noise).astype(np.float32)
            arrays[f"{part}_{name}_labels"] = np.eye(classes, dtype=np.int64)[own] if multi_label else own
    np.savez(path, **arrays)
    return path


def cells_of(
    methods: Sequence[str], *bundles: Path, seeds: Sequence[int] = (0,), **overrides: Any
) -> list[Cell]:
    """Plan cells on bundles; ``overrides`` hold for every method that has the setting."""
    sources = describe_sources([str(path) for path in bundles], Path("data"), "quick")
    assert not sources.damaged
    changes = {"*": overrides} if overrides else {}
    request = Request(methods, list(sources.usable), seeds, overrides=changes)
    return plan(request, sources.usable)


@contextlib.contextmanager
def only_plugins(*files: Path) -> Any:
    """Let exactly these files be named by hand in the body."""
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
class Said:
    """How a command ended."""

    status: int
    out: str
    err: str

    def check(self, status: int, *keys: str) -> Said:
        """Check the exit status, and that each key was printed."""
        assert self.status == status, self
        for key in keys:
            assert key in self.out or key in self.err, self
        return self


def say(*words: object) -> Said:
    """Run a command in this process, with no plug-in but those that it names."""
    out, err = io.StringIO(), io.StringIO()
    with only_plugins(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = invoke([str(word) for word in words])
    return Said(status, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Grid:
    """A results folder with every kind of record in it.

    Attributes:
        results: the folder.
        small: single-label bundle, two modalities.
        multi: multi-label bundle, two modalities.
        said: how the run ended.
    """

    results: Path
    small: Path
    multi: Path
    said: Said

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
    """Run the grid: two workers, methods that work and methods that fail, on single and multi labels."""
    small = write_bundle(folder / "small.npz")
    multi = write_bundle(folder / "multi.npz", multi_label=True)
    results = folder / "results"
    said = say(
        *("run", "--results", results, "--plugin", FAULTS, "--jobs", 2, "--set", "*.epochs=2"),
        *("--set", "*.spl_epochs=2", "--seeds", 2, "--datasets", f"{small},{multi}"),
        *("--methods", "mcca,sm,sdml,drcl,plain,raises,nan,peeks,sneaks,single"),
    )
    # A method that takes its process with it costs a new process: once is enough.
    last = say(
        "run",
        "--results",
        results,
        "--plugin",
        FAULTS,
        "--jobs",
        1,
        "--datasets",
        small,
        "--methods",
        "leaves",
    )
    return Grid(results, small, multi, Said(max(said.status, last.status), said.out + last.out, said.err))


def bytes_of(results: Path) -> dict[str, tuple[str, list[bytes]]]:
    """Return what must not depend on environment, by digest: the record, and the content of its files."""
    found = {}
    for folder in sorted((results / "runs").iterdir()):
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        del record["circumstances"]
        fixed = json.dumps(record, sort_keys=True)
        names = ["per_query.npz", "trace.csv", *(["view.npz"] if record["status"] == "done" else [])]
        found[folder.name] = fixed, [(folder / name).read_bytes() for name in names]
    return found


def make_newer(folder: Path) -> None:
    """Let a record look as if a later version of the program had written it."""
    files = {name: (folder / name).read_bytes() for name in FILES}
    files["record.json"] = files["record.json"].replace(b'"schema": 3', b'"schema": 99')
    (folder / "record.json").write_bytes(files["record.json"])
    (folder / "sha256sums.txt").write_bytes(encode_sums(files))
