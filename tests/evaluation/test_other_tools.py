"""Agreement with ranx and trec_eval where their definitions are ours: no ties, zero for empty queries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.evaluation import average_precision, precision_at_k, precision_recall

CLOSE: dict[str, Any] = {"atol": 1e-9, "rtol": 0.0}
RNG = np.random.default_rng(0)
QUERIES, GALLERY = RNG.standard_normal((25, 6)), RNG.standard_normal((180, 6))
WANTED, OFFERED = RNG.integers(0, 4, 25), RNG.integers(0, 4, 180)
ROWS = QUERIES, GALLERY, WANTED, OFFERED
COSINES = (QUERIES @ GALLERY.T) / np.linalg.norm(GALLERY, axis=1)
JUDGEMENTS = {f"q{i}": {f"d{j}": int(OFFERED[j] == WANTED[i]) for j in range(180)} for i in range(25)}
RUN = {f"q{i}": {f"d{j}": float(COSINES[i, j]) for j in range(180)} for i in range(25)}


def test_trec_eval_agrees_on_map_cut_map_precision_and_interpolated_precision() -> None:
    import pytrec_eval

    measures = {"map", "map_cut", "P", "iprec_at_recall"}
    results = pytrec_eval.RelevanceEvaluator(JUDGEMENTS, measures).evaluate(RUN)

    def theirs(name: str) -> NDArray[Any]:
        return np.array([results[f"q{i}"][name] for i in range(25)])

    np.testing.assert_allclose(average_precision(*ROWS), theirs("map"), **CLOSE)
    for k in (5, 10, 100):
        np.testing.assert_allclose(average_precision(*ROWS, k, "relevant"), theirs(f"map_cut_{k}"), **CLOSE)
    precision = precision_at_k(*ROWS, [5, 30, 1000])
    for column, k in enumerate((5, 30, 1000)):
        np.testing.assert_allclose(precision[:, column], theirs(f"P_{k}"), **CLOSE)
    curves = np.stack([theirs(f"iprec_at_recall_{tenth / 10:.2f}") for tenth in range(11)], axis=1)
    for i, curve in enumerate(curves):
        n_relevant = sum(JUDGEMENTS[f"q{i}"].values())
        # trec_eval looks from trunc(level R + .9) hits on, where the definition says ceil(level R).
        levels = [int(tenth / 10 * n_relevant + 0.9) / n_relevant for tenth in range(11)]
        ours = precision_recall(QUERIES[i : i + 1], GALLERY, WANTED[i : i + 1], OFFERED, levels)
        np.testing.assert_allclose(ours[0], curve, **CLOSE)


@pytest.mark.slow
def test_ranx_agrees_on_map_and_precision() -> None:
    """In a process of its own, where numba is told not to compile: the same code, without a minute's wait."""
    script = """
import json, sys, ranx
judgements, run = json.load(sys.stdin)
qrels = ranx.Qrels({q: {d: r for d, r in docs.items() if r} for q, docs in judgements.items()})
names = ["map", "map@10", "precision@10"]
results = ranx.evaluate(qrels, ranx.Run(run), names, return_mean=False, make_comparable=True)
json.dump({name: list(map(float, values)) for name, values in results.items()}, sys.stdout)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([JUDGEMENTS, RUN]),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    results = json.loads(done.stdout)
    order = [int(name[1:]) for name in sorted(RUN)]  # ranx sorts query ids as text
    ours = {
        "map": average_precision(*ROWS, None, "relevant"),
        "map@10": average_precision(*ROWS, 10, "relevant"),
        "precision@10": precision_at_k(*ROWS, [10])[:, 0],
    }
    for name, values in ours.items():
        np.testing.assert_allclose(values[order], results[name], **CLOSE)
