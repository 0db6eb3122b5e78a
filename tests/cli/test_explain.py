"""`explain`: one set of embeddings under every convention, of files and of recorded cells."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.io import loadmat
from scipy.spatial.distance import cdist

from bench.evaluation import Protocol
from bench.records import Store
from tests.analysis.making import with_result
from tests.evaluation.naive import naive_map
from tests.grid import FAULTS, Grid, Output, run_command
from tests.records import making
from tests.shared import shared
from tests.wording import mentions

QUERY = ("query", "gallery")
DENOMINATORS = ("hits", "min", "relevant")
IT, TI = ("image", "text"), ("text", "image")


def explained(*words: object) -> dict[str, Any]:
    output = run_command("explain", *words, "--format", "json").check(0, silent=True)
    answer: dict[str, Any] = json.loads(output.out)
    return answer


def value(answer: dict[str, Any], direction: tuple[str, str], protocol: str) -> float:
    """Return the value of a convention for the whole gallery."""
    (number,) = [
        row["value"]
        for row in answer["readings"]
        if (row["query"], row["gallery"], row["protocol"], row["share"]) == (*direction, protocol, "1")
        and row["similarity"] == "cosine"
    ]
    return float(number)


@pytest.mark.parametrize(
    ("arrays", "cutoffs", "protocols"),
    [
        (
            "",
            "1,5,50",
            {
                "map_all": "map@all/argsort",
                "map_at50": "map@50/hits/argsort",
                "map_at5": "map@5/hits/argsort",
                "map_at1": "map@1/hits/argsort",
            },
        ),
        (
            "_multihot",  # queries without hits are left out
            "5,33,50",
            {
                "ml_map_all": "map@all/skip",
                "ml_map_at50": "map@50/hits/skip",
                "ml_map_at5": "map@5/hits/skip",
                "ml_map_default_k": "map@33/hits/skip",
            },
        ),
    ],
)
def test_the_numbers_of_the_released_evaluator_are_among_the_values(
    arrays: str, cutoffs: str, protocols: dict[str, str]
) -> None:
    file = shared("golden/drcl_eval.npz")
    files = [f"{name}={file}:{name}:{name}{arrays}" for name in QUERY] if arrays else [file]
    words = [word for path in files for word in ("--embeddings", path)]
    answer = explained(*words, "--cutoffs", cutoffs, "--galleries", "1")
    with np.load(file) as golden:
        for key, protocol in protocols.items():
            assert value(answer, QUERY, protocol) == pytest.approx(float(golden[key]), abs=1e-6)


def explain(results: Path, *words: object) -> Output:
    return run_command("explain", *words, "--results", results, "--plugin", FAULTS)


# Exact expectations of mAP@all and mAP@50 of the embeddings that DRCL's authors released.
EXPECTED = {
    IT: {"map@all": 0.561914, "map@50/hits": 0.559908},
    TI: {"map@all": 0.537586, "map@50/hits": 0.684775},
}


def test_the_released_embeddings_show_their_numbers() -> None:
    """The order in which NumPy's unstable sort leaves 21 repeated rows depends on the processor."""
    released = [shared(f"data/drcl_wikipedia_outputs/wiki_{view}.mat") for view in (0, 1)]
    words = ["--galleries", "1", "--cutoffs", "50"]
    for name, file in zip(("image", "text"), released, strict=True):
        words += ["--embeddings", f"{name}={file}:test_fea:test_lab"]
    answer = explained(*words)
    shown = run_command("explain", *words, "--printed", ".538").out
    ranges = re.findall(r"^by convention alone: from ([\d.]+) .* to ([\d.]+) ", shown, re.MULTILINE)
    assert [float(low) < float(high) for low, high in ranges] == [True, True, True]  # and their average
    views = [loadmat(file) for file in released]
    for direction, pair in ((IT, views), (TI, views[::-1])):
        ranking = cdist(pair[0]["test_fea"], pair[1]["test_fea"], "cosine").argsort(axis=1)
        wanted, offered = (view["test_lab"].ravel() for view in pair)
        for protocol, expected in EXPECTED[direction].items():
            assert value(answer, direction, protocol) == pytest.approx(expected, abs=1e-6)
            low, by_sort, high = (
                value(answer, direction, f"{protocol}/{ties}")
                for ties in ("pessimistic", "argsort", "optimistic")
            )
            assert low < by_sort < high
        for protocol, k in (("map@all", None), *((f"map@50/{name}", 50) for name in DENOMINATORS)):
            rule = Protocol.parse(protocol)
            ours = value(answer, direction, f"{protocol}/argsort")
            assert ours == pytest.approx(naive_map(ranking, wanted, offered, k, rule.denominator), abs=1e-9)
            if k is None:
                assert f"{ours:.6f}" in shown
    assert [line.split()[:2] for line in shown.splitlines() if "cosine" in line and "0.000" in line] == [
        ["text→image", "map@all"]
    ]


def test_a_recorded_cell_is_fitted_again_and_held_against_its_record(grid: Grid) -> None:
    where = "--results", grid.results, "--plugin", FAULTS
    answer = explained("plain", "small", *where)
    source = answer["source"]
    assert source["cell"] == "plain on small (image+text), seed 0"  # the lowest of two seeds
    assert mentions(source["audit"], "test split ... after fit")
    assert [row["difference"] for row in source["drift"]] == [0.0, 0.0]
    # The commit may change while the tests run.
    assert [words for words in source["changes"] if not words.startswith("commit")] == []
    metrics = grid.record("plain")["result"]["metrics"]
    assert len(metrics) == 8
    for metric in metrics:
        assert value(answer, (metric["query"], metric["gallery"]), metric["protocol"]) == metric["value"]
    table = run_command("explain", "plain", "small", "--seed", 1, *where)
    table.check(0, "plain on small (image+text), seed 1", "the same numbers")


def test_drift_from_the_record_is_reported_with_what_was_different(grid: Grid, tmp_path: Path) -> None:
    cell = ("plain", "small", 0)
    record = next(
        record
        for record in grid.store.records()
        if (record.identity.method, record.identity.dataset, record.identity.seed) == cell
    )
    assert record.result is not None
    moved = [msgspec.structs.replace(metric, value=0.25) for metric in record.result.metrics]
    versions = {**record.environment.versions, "numpy": "0.1"}
    environment = msgspec.structs.replace(record.environment, versions=versions)
    changed = msgspec.structs.replace(with_result(record, metrics=moved), environment=environment)
    Store(tmp_path).write(changed, making.values_of(changed), [], "")
    values = [metric.value for metric in record.result.metrics if metric.protocol == "map@all"]
    drift = f"DRIFT ... {max(abs(value - 0.25) for value in values):.2g}"
    output = explain(tmp_path, "plain", "small")
    output.check(0, drift, f"numpy 0.1 → {np.__version__}", "image→text ... 0.250000")


def embeddings(path: Path, names: tuple[str, ...] = ("image", "text"), **more: Any) -> Path:
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for name in names:
        arrays[name] = random.normal(size=(12, 4))
        arrays[f"{name}_labels"] = np.arange(12) % 3
    np.savez(path, **(arrays | more))
    return path


def test_csv_has_a_row_per_value_in_full_precision(tmp_path: Path) -> None:
    file = embeddings(tmp_path / "a.npz")
    output = run_command("explain", "--embeddings", file, "--format", "csv", "--galleries", "1/2,1")
    rows = list(csv.DictReader(io.StringIO(output.out)))
    assert len(rows) == 3 * (3 * 4 * 2 * 10 + 5 * 2)  # three similarities of ten rules; parts
    answer = explained("--embeddings", file, "--galleries", ".5")
    assert [
        {key: "" if item is None else str(item) for key, item in row.items()} for row in answer["readings"]
    ] == rows


def test_directions_can_be_chosen_and_many_are_averaged(tmp_path: Path) -> None:
    file = embeddings(tmp_path / "a.npz", ("image", "text", "audio", "video"))
    output = run_command("explain", "--embeddings", file, "--galleries", "1")
    assert mentions(output.out, "12 directions ... average")
    assert "→" not in output.out.partition("average over")[2].replace("by", "")
    chosen = run_command(
        "explain", "--embeddings", file, "--query", "audio", "--gallery", "video", "--printed", "3.33"
    )
    chosen.check(0, "audio→video ... 12 queries ... 12", "3.33")
    assert "average" not in chosen.out


def test_a_cell_without_embeddings_or_not_one_cell_is_one_sentence(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for variant in ("full", "without_fa"):
        store.write(making.record(variant=variant), making.per_query(), making.TRACE, "")
    explain(tmp_path, "drcl", "emoji").check(2, "2 cells", "--variant full", "--variant without_fa")
    # the settings of these made-up records are not those of the method
    explain(tmp_path, "drcl", "emoji", "--variant", "full").check(2, "drcl has")


def test_codes_and_ids_of_a_file_show_hamming_distances_and_recall_by_instance(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for name in ("image", "text"):
        arrays |= {name: numbers.integers(0, 2, (12, 8)), f"{name}_ids": np.arange(12)}
    arrays["image"][:7] = 0  # too many rows of zeros for the cosine, ordinary codes otherwise
    file = embeddings(tmp_path / "a.npz", **arrays)
    assert run_command("explain", "--embeddings", file).status == 2
    answer = explained("--embeddings", file, "--similarity", "hamming", "--galleries", "1", "--printed", "1")
    assert {row["similarity"] for row in answer["readings"]} == {"hamming", "dot", "euclidean"}
    assert {"recall@10", "medr", "mrr", "ndcg@all"} <= {row["protocol"] for row in answer["readings"]}
    wrong = embeddings(tmp_path / "b.npz", **arrays | {"text_ids": np.arange(11)})
    run_command("explain", "--embeddings", wrong, "--similarity", "hamming").check(2, "text_ids")
