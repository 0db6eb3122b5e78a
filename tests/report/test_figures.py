"""Figures: nothing overlaps, nothing is mixed, and captions agree with the numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.across_datasets import Block, BlockKey, dataset_tests_of
from bench.analysis.costs import pareto_front, score_and_cost
from bench.analysis.tables import AVERAGE
from bench.report import ReportData
from bench.report.exhibit import FigureExhibit, Part
from bench.report.figures.comparisons import can_distinguish, critical_diagrams, difference_figures
from bench.report.figures.grids import dataset_grids, direction_grids
from bench.report.topics import costs, training
from bench.report.writers import markdown
from tests.analysis.making import Shelf
from tests.analysis.test_tables import LABELS
from tests.records import making
from tests.report.figuring import (
    EXTRAS,
    HOSTILE,
    POINTS,
    ROSTER,
    drawn,
    figures_of,
    report_data,
    texts_of,
    words_of,
)
from tests.wording import mentions


def grids(data: ReportData) -> list[FigureExhibit]:
    return [*dataset_grids(data), *direction_grids(data)]


def convergence_figures(data: ReportData) -> list[FigureExhibit]:
    return figures_of(training.figures(data))


def cost_figures(data: ReportData) -> list[FigureExhibit]:
    return figures_of(costs.figures(data))


KINDS: Sequence[Any] = (grids, difference_figures, critical_diagrams, convergence_figures, cost_figures)


def figures(data: ReportData) -> list[FigureExhibit]:
    return [figure for kind in KINDS for figure in kind(data)]


@pytest.fixture(scope="module")
def five() -> ReportData:
    return report_data((*ROSTER, *EXTRAS, *POINTS), "abc", data_kind="look-alike", device=True)


@pytest.fixture(scope="module")
def hostile() -> ReportData:
    return report_data(("drcl", *HOSTILE), ("a$b$_\x01" + "long" * 12, "b", "c"), seeds=1)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_many_methods_and_of_any_letters_fit_and_overlap_nothing(
    five: ReportData, hostile: ReportData, kind: Any
) -> None:
    many = words_of(kind(five)[0])
    assert any("LOOK-ALIKE" in text and "quick profile" in text for text in many)
    texts = " ".join(words_of(kind(hostile)[0]))
    assert "$" in texts
    assert "_hidden" in texts
    assert "LOOK-ALIKE" not in texts
    assert not re.search("[\x00-\x1f\u202e]", texts)


def test_many_directions_are_shown_in_a_grid_that_fits() -> None:
    data = report_data((*ROSTER, *POINTS), modalities=("image", "text", "audio", "3d model"))
    for kind, size in ((grids, 18 * 13), (difference_figures, 15 * 12)):
        (picture,) = kind(data)
        texts = words_of(picture)
        assert "3d model→audio" in texts
        assert sum(bool(re.fullmatch(r"[+\N{MINUS SIGN}]?\.\d{3}", text)) for text in texts) == size


def test_all_numbers_that_print_as_the_best_are_bold_as_in_tables() -> None:
    shelf, names = Shelf(), ("image", "text", "audio")
    for method, value in (("drcl", 0.7001), ("sdml", 0.7002), ("mars", 0.6)):
        values = {one: np.full(4, value) for one in permutations(names, 2)}
        shelf.add(values, method=method, modalities=names)
    (picture,) = grids(ReportData(shelf.records, labels=LABELS, protocols=["map@all"]))
    with drawn(picture) as figure:
        bold = [text.get_text() for text in texts_of(figure) if text.get_fontweight() == "bold"]
    assert bold == [".700"] * 2 * 7


def test_figures_of_no_one_or_two_methods_fit_too() -> None:
    pictures = figures(report_data(ROSTER[:2], seeds=1, profile="paper"))
    assert [picture.name.split("_")[0] for picture in pictures] == ["differences", "convergence", "costs"]
    for picture in pictures:
        assert not any("profile" in text for text in words_of(picture))
    assert mentions(pictures[0].caption, "intervals ... one seed")
    alone = figures(report_data(ROSTER[:1], epochs=4))
    assert [picture.name.split("_")[0] for picture in alone] == ["convergence"]
    assert mentions(alone[0].alt, "last quarter ... DRCL")
    assert "Pale: DRCL" in alone[0].caption
    assert figures(ReportData([])) == []


def test_kinds_profiles_and_data_versions_never_share_a_figure() -> None:
    groups: list[dict[str, Any]] = [{}, {"data_kind": "look-alike"}, {"profile": "paper"}]
    each = [
        report_data(ROSTER[:4], ("one", "two"), seeds=1, **changes)
        for changes in (*groups, {"fingerprint": "0" * 16})
    ]
    records = [record for one in each for record in one.records]
    mixed = replace(report_data(ROSTER[:4]), records=records)
    pictures = [*grids(mixed), *cost_figures(mixed)]
    assert len({picture.name for picture in pictures}) == len(pictures) == 3 + 8
    assert [picture.subject.dataset for picture in pictures[:3]] == [""] * 3
    unlike = [picture for picture in pictures if "LOOK-ALIKE" in picture.caption]
    assert len(unlike) == 1 + 2
    assert all("LOOK-ALIKE" in picture.title for picture in unlike)
    (versions,) = (one.caption for one in pictures if one.name.startswith("overview_real_quick"))
    assert mentions(versions, "one: ... version ffffffff ... 00000000")


def test_a_method_is_shown_once_as_it_is_usually_set_and_starred_where_it_never_was() -> None:
    usual = making.identity().settings
    both = report_data(ROSTER[:2], seeds=1)
    other = report_data(ROSTER[:3], seeds=1, settings={**usual, "epochs": 99})
    labels = replace(both.labels, usual=lambda _: usual)
    shown = replace(both, records=[*other.records, *both.records], labels=labels)
    assert len(shown.plain_tables[0].rows) == 5
    (picture,) = cost_figures(shown)
    assert mentions(picture.caption, "*: ... settings")
    assert "*:" not in cost_figures(both)[0].caption
    names = set(words_of(picture))
    assert {"DRCL", "MCCA", "GMLDA*"} <= names
    assert not names & {"DRCL*", "MCCA*", "GMLDA"}


def test_the_differences_agree_with_the_tests(five: ReportData) -> None:
    picture = difference_figures(five)[0]
    family = five.families[0]
    points = {five.labels.title(name) for name in POINTS}
    ours = [one for one in family.comparisons if one.second not in points and one.direction != AVERAGE]
    above = sum(one.holds and one.difference > 0 for one in ours)
    assert mentions(picture.alt, f"{len(ours)} differences ... DRCL ... {above} ... above")
    assert "seeds: 2." in picture.caption


def test_ranks_are_drawn_only_where_enough_datasets_could_distinguish_methods(five: ReportData) -> None:
    (picture,) = critical_diagrams(five)
    ((_, tests),) = five.dataset_tests
    assert tests is not None
    assert f"critical difference {tests.critical_difference:.2f}" in picture.caption
    assert "DRCL" in picture.alt
    assert critical_diagrams(report_data(ROSTER, ("a", "b"), seeds=1)) == []
    about = BlockKey("real", "quick", "cpu", "", "map@all", "best")
    for methods, datasets, enough in ((16, 2, False), (16, 3, True), (3, 2, False)):
        scores = np.random.default_rng(0).random((methods, datasets))
        names, sets = (tuple(map(str, range(count))) for count in (methods, datasets))
        found = dataset_tests_of(Block(about, names, "0", sets, scores, (1, 1), ()))
        assert found is not None
        assert can_distinguish(found) is enough


def test_the_stepped_lines_of_costs_begin_at_the_lower_end_of_the_axis() -> None:
    (picture,) = [one for one in figures(report_data(ROSTER, device=True)) if one.name.startswith("costs")]
    with drawn(picture) as figure:
        low, high = figure.axes[0].get_ylim()
        heights = [np.asarray(line.get_ydata(), dtype=float) for line in figure.axes[0].lines]
        points = [float(one[0]) for one in heights if len(one) == 1]
        assert high - low < 1.2 * (max(points) - min(points))
        for axis in figure.axes:
            steps = [line for line in axis.lines if line.get_drawstyle() != "default"]
            assert [float(np.asarray(line.get_ydata())[0]) for line in steps] == [low]


Points = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(Points)
def test_the_front_holds_exactly_what_no_other_beats(points: list[tuple[float, float]]) -> None:
    best = [points[index] for index in pareto_front(*zip(*points, strict=True))]
    for cost, score in points:
        beaten = any(other[0] <= cost and other[1] >= score and other != (cost, score) for other in points)
        assert ((cost, score) in best) is not beaten
    assert best == sorted(set(best))
    assert [score for _, score in best] == sorted(score for _, score in best)


def test_the_price_of_all_directions_is_the_sum_over_the_pairs_of_a_seed() -> None:
    pairs = (("image", "text"), ("image", "audio"), ("text", "audio"))
    records = [
        record for pair in pairs for record in report_data(("acmr",), seeds=2, modalities=pair).records
    ]
    shown = ReportData(records, labels=LABELS, protocols=["map@all"])
    (table,) = shown.plain_tables
    price = score_and_cost(table.rows[0], {record.digest: record for record in records})
    assert price is not None
    sums = [
        sum(record.environment.seconds["fit"] for record in records if record.identity.seed == seed)
        for seed in (0, 1)
    ]
    assert price.fit == pytest.approx(sum(sums) / 2)
    assert price.score == table.rows[0].entries[AVERAGE].mean
    assert price.memory == max(record.environment.peak_memory or 0 for record in records)
    assert price.device_memory is None


@pytest.mark.parametrize(
    ("losses", "ends"),
    [((3.0, 2.0, 1.0), (0.97, 0.03)), ((-5.0, 0.0, 7.0), (0.03, 0.97)), ((1.0, np.inf, 0.5), (0.97, 0.03))],
)
def test_losses_of_any_sign_run_from_their_lowest_to_their_highest(
    losses: tuple[float, ...], ends: tuple[float, float]
) -> None:
    scaled = training._scaled(losses, 0.0, 1.0)
    assert (scaled[0], scaled[-1]) == pytest.approx(ends)
    assert training._scaled((2.0, 2.0), 0.0, 1.0) == []


def test_a_long_curve_keeps_its_ends_and_its_highest_point() -> None:
    values = [float(number % 89) for number in range(500)]
    percents, shown = training._points(values, 80, 88)
    assert (percents[0], percents[-1]) == (0.2, 100.0)
    assert (shown[0], shown[-1]) == (values[0], values[-1])
    assert 88.0 in shown
    assert len(shown) in (80, 81)
    assert training._points(values[:80], 80)[1] == values[:80]


def test_the_page_of_figures_leads_to_every_file_and_escapes_names(hostile: ReportData) -> None:
    pictures = figures(hostile)
    page = markdown.page([("Figures", [Part(exhibits=pictures)])])
    for picture in pictures:
        for ending in ("svg", "pdf", "png"):
            assert f"](figures/{picture.name}.{ending})" in page
        assert re.fullmatch(r"[A-Za-z0-9.@_-]+", picture.name)
    assert "<script>" not in page
