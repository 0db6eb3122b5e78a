"""Figures of variants and settings: every number is there, and nothing is cut or overlaps."""

from __future__ import annotations

import re
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import pytest
from matplotlib.patches import Rectangle

from bench.report import ReportData
from bench.report.figures.settings import setting_figures
from bench.report.figures.variants import variant_figures
from tests.analysis.making import Shelf, with_result
from tests.analysis.studies import LABELS, VARIANTS, add
from tests.report.figuring import drawn, require_legible, texts_of
from tests.report.making import HOSTILE
from tests.wording import mentions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def report_data(shelf: Shelf) -> ReportData:
    return ReportData(shelf.records, labels=LABELS, protocols=["map@all"], per_query=shelf.per_query)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in texts_of(figure)]


def ablated(modalities_: tuple[str, ...] = ("image", "text"), seeds: int = 2) -> Shelf:
    """Return a method with all its variants on data of these modalities."""
    shelf = Shelf()
    quality = {name: 0.5 + index / 50 for index, name in enumerate(modalities_)}
    variants = [name for name in ("full", *VARIANTS) if name != "prior_audio" or "audio" in modalities_]
    for seed, variant in product(range(seeds), variants):
        value = 0.1 if variant == "random" else 0.7 + len(variant) / 1000 + seed / 100
        values = {direction: [value, value + 0.01] for direction in permutations(modalities_, 2)}
        settings = add(Shelf(), variant=variant).identity.settings
        more: dict[str, Any] = {"settings": settings, "modalities": modalities_}
        record = shelf.add(values, method="ours", variant=variant, seed=seed, **more)
        shelf.records[-1] = with_result(record, notes={"quality": quality, "prior": modalities_[-1]})
    return shelf


@pytest.mark.parametrize("names", [("image", "text"), ("image", "text", "audio", "3d", "video")])
def test_bars_show_the_method_first_then_its_variants_and_choices_are_by_quality(
    names: tuple[str, ...],
) -> None:
    data = report_data(ablated(names))
    picture, *_ = variant_figures(data)
    with drawn(picture) as figure:
        require_legible(figure)
        left, right = figure.axes
        rows = [label.get_text() for label in left.get_yticklabels()]
        variants = ["without_both (alpha=0.0, beta=0.0)", "without_alpha (alpha=0.0)"]
        assert rows == ["OURS", *variants, "random (prior=random)"]
        assert left.get_yticklabels()[0].get_fontweight() == "bold"
        bars = 2 if len(names) == 2 else 1
        assert len(left.containers) == 2 * bars * len(rows)  # bars, and error bars on them
        # `random` differs by so much that its difference is a number beside an arrow
        assert "\N{MINUS SIGN}0.609" in words(figure)
        assert right.get_xlim()[1] < 0.2
    *_, picture = variant_figures(data)
    with drawn(picture) as figure:
        require_legible(figure)
        rows = [label.get_text().partition(" (")[0] for label in figure.axes[0].get_yticklabels()]
        assert rows == [name for name in reversed(names) if name in ("image", "text", "audio")]
        assert any("(selected)" in text for text in words(figure))
    assert f"{names[-1]} in 2" in picture.caption


def grid(shelf: Shelf, alphas: tuple[float, ...], betas: tuple[float, ...]) -> None:
    for alpha, beta in product(alphas, betas):
        if (alpha, beta) != (1.0, 3.0):
            add(shelf, 0.5 + alpha / 9 + beta / 50, alpha=alpha, beta=beta)


def test_a_heat_map_prints_every_number_and_frames_the_usual() -> None:
    shelf = Shelf()
    grid(shelf, (0.01, 0.1, 1.0), (1.0, 2.0, 3.0))
    (picture,) = setting_figures(report_data(shelf))
    assert mentions(picture.alt, "0.651 ... alpha=1.0, beta=2.0 ... 0.521 ... alpha=0.01, beta=1.0")
    with drawn(picture) as figure:
        require_legible(figure)
        assert {"alpha=0.1", "beta=1.0", "—"} <= set(words(figure))
        for alpha, beta in product((0.01, 0.1, 1.0), (1.0, 2.0, 3.0)):
            assert (f"{0.5 + alpha / 9 + beta / 50:.3f}" in words(figure)) == ((alpha, beta) != (1.0, 3.0))
        frames = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
        assert [(int(frame.get_x()), int(frame.get_y())) for frame in frames] == [(0, 1)]
    large = Shelf()
    grid(large, tuple(10.0**power for power in range(-4, 5)), tuple(float(beta) for beta in range(1, 13)))
    (picture,) = setting_figures(report_data(large))
    with drawn(picture) as figure:
        require_legible(figure)
        assert figure.get_figwidth() <= 7.2


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ((0.001, 0.01, 0.1, 1.0), "log"),
        (tuple(2.0**power for power in range(14)), "log"),
        ((0.0, 0.01, 0.1, 1.0, 10.0), "symlog"),
        ((0.1, 0.2, 0.3, 0.5), "linear"),
        ((1.0, 1.01, 1.02, 7.0), "linear"),
    ],
)
def test_lines_have_the_scale_of_their_values_and_ticks_at_them(
    values: tuple[float, ...], scale: str
) -> None:
    shelf = Shelf()
    for alpha in values:
        add(shelf, 0.5, alpha=alpha)
    (picture,) = setting_figures(report_data(shelf))
    with drawn(picture) as figure:
        require_legible(figure)
        axis = figure.axes[0]
        assert axis.get_xscale() == scale
        ticks = [float(label.get_text()) for label in axis.get_xticklabels()]
        assert set(ticks) <= {float(f"{value:g}") for value in values}
        assert len(ticks) >= 2
        usual = [line for line in axis.lines if line.get_label() == "usual value"]
        assert len(usual) == (0.1 in values)


@pytest.mark.parametrize(("seeds", "output"), [(1, "1 seed"), (2, "2 seeds")])
def test_captions_say_how_many_seeds_there_are_and_what_error_bars_are(seeds: int, output: str) -> None:
    shelf = Shelf()
    for alpha, seed in product((0.1, 1.0, 10.0), range(seeds)):
        add(shelf, 0.5 + seed / 10, alpha=alpha, seed=seed)
    curve, *_ = setting_figures(report_data(shelf))
    parts, *_ = variant_figures(report_data(ablated(seeds=seeds)))
    for picture in (curve, parts):
        assert re.search(rf"\b{output}\b", picture.caption)
        assert ("Error bars: deviation over seeds" in picture.caption) is (seeds > 1)


def test_settings_of_a_method_share_a_figure_and_words_stand_side_by_side() -> None:
    shelf = Shelf()
    add(shelf)
    for alpha in (1.0, 10.0):
        add(shelf, alpha=alpha)
    for prior in ("random", HOSTILE):
        add(shelf, prior=prior)
    add(shelf, mix=0.9)  # two points make no line
    (picture,) = setting_figures(report_data(shelf))
    with drawn(picture) as figure:
        first, second = figure.axes
        assert (first.get_xlabel(), second.get_xlabel()) == ("alpha", "prior")
        assert len(second.get_xticklabels()) == 3
        require_legible(figure)


def test_what_has_no_number_has_no_figure() -> None:
    assert [*variant_figures(report_data(Shelf())), *setting_figures(report_data(Shelf()))] == []
    shelf = Shelf()
    add(shelf)
    add(shelf, alpha=3.0)
    assert setting_figures(report_data(shelf)) == []
