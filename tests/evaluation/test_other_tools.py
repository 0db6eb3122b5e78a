"""Agreement with ranx and trec_eval where their definitions are ours: no ties, zero for empty queries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.evaluation import average_precision, precision_at_k, precision_recall

CLOSE: dict[str, Any] = {"atol": 1e-9, "rtol": 0.0}


class Case(NamedTuple):
    """Random embeddings without ties, and the same as dictionaries of judgements and scores."""

    arguments: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
    judgements: dict[str, dict[str, int]]
    run: dict[str, dict[str, float]]

    def values(self, results: dict[str, dict[str, float]], name: str) -> NDArray[Any]:
        return np.array([results[f"q{i}"][name] for i in range(len(self.arguments[0]))])

    def query(self, i: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        queries, gallery, wanted, offered = self.arguments
        return queries[i : i + 1], gallery, wanted[i : i + 1], offered


@pytest.fixture(scope="module")
def case() -> Case:
    rng = np.random.default_rng(0)
    queries, gallery = rng.standard_normal((25, 6)), rng.standard_normal((180, 6))
    wanted, offered = rng.integers(0, 4, 25), rng.integers(0, 4, 180)
    cosines = (queries @ gallery.T) / np.linalg.norm(gallery, axis=1)
    judgements = {f"q{i}": {f"d{j}": int(offered[j] == wanted[i]) for j in range(180)} for i in range(25)}
    run = {f"q{i}": {f"d{j}": float(cosines[i, j]) for j in range(180)} for i in range(25)}
    return Case((queries, gallery, wanted, offered), judgements, run)


def test_trec_eval_agrees_on_map_cut_map_precision_and_interpolated_precision(case: Case) -> None:
    import pytrec_eval

    wanted = {"map", "map_cut", "P", "iprec_at_recall"}
    results = pytrec_eval.RelevanceEvaluator(case.judgements, wanted).evaluate(case.run)
    np.testing.assert_allclose(average_precision(*case.arguments), case.values(results, "map"), **CLOSE)
    for k in (5, 10, 100):
        ours = average_precision(*case.arguments, k, "relevant")
        np.testing.assert_allclose(ours, case.values(results, f"map_cut_{k}"), **CLOSE)
    precision = precision_at_k(*case.arguments, [5, 30, 1000])
    for column, k in enumerate((5, 30, 1000)):
        np.testing.assert_allclose(precision[:, column], case.values(results, f"P_{k}"), **CLOSE)
    for i in range(len(case.judgements)):
        n_relevant = sum(case.judgements[f"q{i}"].values())
        # trec_eval looks from trunc(level R + .9) hits on, where the definition says ceil(level R).
        levels = [int(tenth / 10 * n_relevant + 0.9) / n_relevant for tenth in range(11)]
        curve = precision_recall(*case.query(i), levels)[0]
        theirs = [results[f"q{i}"][f"iprec_at_recall_{tenth / 10:.2f}"] for tenth in range(11)]
        np.testing.assert_allclose(curve, theirs, **CLOSE)


def test_ranx_agrees_on_map_and_precision(case: Case) -> None:
    """In a process of its own, where numba is told not to compile: the same code, without a minute's wait."""
    metrics = {"map": (None, "relevant"), "map@10": (10, "relevant")}
    script = f"""
import json, sys, ranx
judgements, run = json.load(sys.stdin)
qrels = ranx.Qrels({{q: {{d: r for d, r in docs.items() if r}} for q, docs in judgements.items()}})
names = {[*metrics, "precision@10"]}
results = ranx.evaluate(qrels, ranx.Run(run), names, return_mean=False, make_comparable=True)
json.dump({{name: list(map(float, values)) for name, values in results.items()}}, sys.stdout)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([case.judgements, case.run]),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    results = json.loads(done.stdout)
    order = [int(name[1:]) for name in sorted(case.run)]  # ranx sorts query ids as text
    for name, (k, denominator) in metrics.items():
        ours = average_precision(*case.arguments, k, denominator)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours[order], results[name], **CLOSE)
    ours = precision_at_k(*case.arguments, [10])[order, 0]
    np.testing.assert_allclose(ours, results["precision@10"], **CLOSE)
