"""On real data, methods without training reach what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from bench.contract import Method
from bench.evaluation import expected_random_ap
from methods.chance import Chance
from methods.gmlda import GMLDA
from methods.mcca import MCCA, MCCASettings
from methods.mvda_vc import MvDAVC
from methods.sm import SM
from tests.methods.real_splits import COMPACT, FULL, emoji, reached, released


@pytest.mark.parametrize("shrinkage", [0, 0.1, 1])
@pytest.mark.parametrize("components", [10, 30])
def test_mcca_reaches_the_reference_runs(shrinkage: float, components: int) -> None:
    method = MCCA(MCCASettings(components=components, shrinkage=shrinkage))
    row = released(f"MCCA_c{shrinkage}_k{components}")[0]
    expected = float(row["i2t"]), float(row["t2i"])
    assert reached(method, *emoji(COMPACT)) == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize(
    ("file", "level"),
    [(COMPACT, (0.737, 0.744)), pytest.param(FULL, (0.767, 0.764), marks=pytest.mark.slow)],
)
def test_semantic_matching_reaches_its_known_level(file: str, level: tuple[float, float]) -> None:
    assert reached(SM(), *emoji(file)) == pytest.approx(level, abs=0.02)


@pytest.mark.parametrize("method", [GMLDA(), MvDAVC()], ids=lambda method: method.card.name)
def test_supervised_linear_methods_stand_far_above_unsupervised_ones(method: Method) -> None:
    assert min(reached(method, *emoji(COMPACT))) > 0.65


def test_the_floor_of_emoji_is_known() -> None:
    train, validation, test = emoji(COMPACT)
    labels = test["image"].labels
    exact = np.mean(expected_random_ap(np.bincount(labels)[labels], len(labels)))
    assert exact == pytest.approx(0.142, abs=0.001)
    assert reached(Chance(), train, validation, test) == pytest.approx((exact, exact), abs=0.005)
