"""Our statistics beside those of scikit-posthocs, autorank and baycomp, where these are installed.

They are oracles only: `make test-all` installs them.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.statistics import (
    bayesian_signed_rank,
    critical_difference,
    holm,
    nemenyi,
    omnibus,
    ranks,
    wilcoxon,
)
from tests.analysis.test_ranking import random_scores

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("methods", "datasets"), [(16, 5), (5, 12), (3, 20)])
def test_nemenyi_is_that_of_scikit_posthocs(methods: int, datasets: int) -> None:
    posthocs = pytest.importorskip("scikit_posthocs")
    scores = random_scores(methods, datasets)
    expected = posthocs.posthoc_nemenyi_friedman(scores.T).to_numpy()
    assert nemenyi(scores) == pytest.approx(expected, abs=1e-9)


def test_wilcoxon_and_holm_are_those_of_scikit_posthocs() -> None:
    posthocs = pytest.importorskip("scikit_posthocs")
    scores = random_scores(4, 12, 1)
    expected = posthocs.posthoc_wilcoxon(list(scores), p_adjust="holm").to_numpy()
    pairs = list(zip(*np.triu_indices(4, 1), strict=True))
    adjusted = holm(np.array([wilcoxon(scores[one], scores[other]) for one, other in pairs]))
    assert adjusted == pytest.approx([expected[pair] for pair in pairs], abs=1e-9)


def test_ranks_and_the_critical_difference_are_those_of_autorank() -> None:
    autorank = pytest.importorskip("autorank")
    pandas = pytest.importorskip("pandas")
    scores = random_scores(6, 15, 2)
    frame = pandas.DataFrame(scores.T, columns=[f"m{number}" for number in range(6)])
    expected = autorank.autorank(frame, alpha=0.05, verbose=False, force_mode="nonparametric")
    average = dict(zip(frame.columns, ranks(scores).mean(axis=1), strict=True))
    assert expected.rankdf["meanrank"].to_dict() == pytest.approx(average, abs=1e-9)
    found = omnibus(scores)
    assert found is not None
    assert found.friedman_p == pytest.approx(expected.pvalue, abs=1e-9)
    # It takes its quantile from a table of five digits.
    assert critical_difference(6, 15) == pytest.approx(expected.cd, rel=2e-5)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("region", [0.01, 0.03])
def test_rope_probabilities_are_those_of_baycomp_within_monte_carlo_error(number: int, region: float) -> None:
    baycomp = pytest.importorskip("baycomp")
    ours, theirs = random_scores(2, 8, 10 + number)
    worse, equivalent, better = baycomp.SignedRankTest(theirs, ours, rope=region, random_state=1).probs()
    (found,) = bayesian_signed_rank(ours, theirs[None], region=region)
    # Two samples of 50,000 each: five standard errors of their difference.
    for mine, other in zip((found[2], found[1], found[0]), (worse, equivalent, better), strict=True):
        assert abs(mine - other) < 5 * np.sqrt(2 * max(other * (1 - other), 1e-4) / 50_000)
