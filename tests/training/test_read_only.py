"""Deep methods take read-only features, and what they do to their tensors never reaches these."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from torch import Tensor

from bench.conformance.samples import Sample
from bench.contract import Context
from bench.training import DeepMethod, DeviceSplit, Scaling, Stage
from bench.training.settings import DeepSettings
from tests.faults import card


class InPlace(DeepMethod):
    """Changes the tensors that it is given."""

    card = card("in_place", deep=True)

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        for features in train.features.values():
            features.sub_(features.mean(dim=0))
        return iter(())

    def encode(self, modality: str, x: Tensor) -> Tensor:
        return x.sub_(1.0)


@pytest.mark.parametrize("scaling", ["none", "standard", "unit"])
def test_what_is_done_to_tensors_leaves_the_arrays_alone(scaling: Scaling) -> None:
    data, untouched = Sample().dataset(), Sample().dataset()
    method = InPlace(DeepSettings(scaling=scaling))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method.fit(data.train, data.validation, Context())
        for _ in range(2):
            rows = method.embed("image", data.test["image"].features)
    assert np.isfinite(rows).all()
    for part, other in ((data.train, untouched.train), (data.test, untouched.test)):
        assert part["image"].features.tobytes() == other["image"].features.tobytes()
