"""Label graphs: what neighbours are, how graphs are normalised, what networks on them may see."""

from __future__ import annotations

import numpy as np
import torch
from numpy.testing import assert_allclose

from bench.contract import Modality, Split
from bench.training import DeviceSplit, LabelNetwork, cooccurrence, correlations, label_scores, normalised

# Class 0 always comes with class 1, which often comes alone; class 3 never occurs.
COUNTS = torch.tensor(
    [[2.0, 2.0, 0.0, 0.0], [2.0, 8.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
)


def test_neighbours_follow_from_the_probability_of_the_second_class_given_the_first() -> None:
    a = correlations(COUNTS, 0.4)
    assert_allclose(a, np.diag([1.5, 1.5, 1.5, 1.0]) + 0.5 * np.outer(np.eye(4)[0], np.eye(4)[1]))


def test_cooccurrence_counts_the_rows_of_all_modalities() -> None:
    one = np.array([[1, 1, 0], [0, 1, 0]])
    other = np.array([[0, 1, 1]])
    split = Split({"a": Modality(np.ones((2, 2)), one), "b": Modality(np.ones((1, 2)), other)}, 3)
    counts = cooccurrence(DeviceSplit(split, "cpu"))
    assert_allclose(counts, [[1, 1, 0], [1, 3, 1], [0, 1, 1]])


def test_a_class_without_any_weight_in_the_graph_leaves_numbers_finite() -> None:
    a = torch.zeros(2, 2, requires_grad=True)
    total = normalised(a).sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


def test_classes_see_their_neighbours_and_nobody_else() -> None:
    torch.manual_seed(0)
    net = LabelNetwork(3, 4, 5, layers=2)
    chain = torch.eye(3) + torch.diag(torch.ones(2), 1)  # 0 looks at 1, 1 looks at 2
    (reached,) = torch.autograd.grad(net(chain)[1].sum(), net.inputs)
    assert reached[0].abs().sum() == 0
    assert reached[1].abs().sum() > 0
    assert reached[2].abs().sum() > 0


def test_label_scores_are_cosines_and_zero_for_rows_without_direction() -> None:
    scores = label_scores(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[3.0, 4.0], [4.0, -3.0]]))
    assert_allclose(scores, [[1, 0], [0, 0]], atol=1e-6)
