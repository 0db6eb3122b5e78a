"""Figures of snapshots: curves, the common space and galleries; readable, and the same bytes every time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from bench.analysis.labels import Labels
from bench.analysis.snapshots import mean_curves, space_examples
from bench.contract import DataError
from bench.records.snapshot import Curves, Gallery, RowDetails, Snapshot, Space
from bench.report import ReportData
from bench.report.exhibit import FigureExhibit
from bench.report.figures.saving import draw
from bench.report.topics import curves, gallery, space
from tests.analysis.making import Shelf, with_result
from tests.report.figuring import drawn, figures_of, require_legible, texts_of
from tests.report.making import HOSTILE
from tests.wording import mentions

SETTINGS = {"epochs": 1}
ROSTER = ["ours", *(f"m{number:02}" for number in range(15))]
LABELS = Labels(
    title=lambda method: HOSTILE if method == "hostile" else method.upper(),
    order=lambda method: (ROSTER.index(method) if method in ROSTER else 99, method),
    role=lambda method: "reference" if method == "chance" else "baseline",
    usual=lambda _: SETTINGS,
    modalities=lambda _: (),
    reference="ours",
)
RANKS, LEVELS = np.array([1, 2, 5], np.int32), np.array([0.0, 0.5, 1.0])


def curves_at(level: float, query: str, shown: str) -> Curves:
    return Curves(
        query, shown, RANKS, level * np.array([1.0, 0.9, 0.5]), LEVELS, level * np.array([1, 0.8, 0.2])
    )


def view_at(
    level: float,
    modalities: Sequence[str] = ("image", "text"),
    rows: int = 20,
    items: bool = False,
    common: bool = True,
) -> Snapshot:
    """Return a snapshot of which all precisions are in proportion to ``level``; three classes by turns."""
    numbers = np.arange(rows, dtype=np.int32)
    classes = (numbers % 3).astype(np.int32)
    random = np.random.default_rng(round(1000 * level))
    points = {
        name: (np.eye(3)[classes] + 0.1 * random.standard_normal((rows, 3))).astype(np.float32)
        for name in modalities
    }
    directions = list(permutations(modalities, 2))
    results = np.tile(numbers[:10], (3, 1))
    right = classes[:3, None] == classes[results]
    galleries = [Gallery(*one, numbers[:3], np.full(3, level), results, right) for one in directions]
    details = {name: RowDetails(numbers, classes) for name in modalities}
    if items:
        texts = tuple(f"{HOSTILE} {number} " + "word " * number for number in numbers)
        details["text"] = msgspec.structs.replace(details["text"], texts=texts)
        pixels = (numbers[:, None, None] * np.ones((1, 4, 6), np.uint8)).astype(np.uint8)
        palette = np.stack([np.arange(20, dtype=np.uint8) * 12] * 3, axis=1)
        details["image"] = msgspec.structs.replace(details["image"], pixels=pixels, palette=palette)
    names = ("first", "second", HOSTILE) if items else ()
    curved = tuple(curves_at(level, *one) for one in directions)
    space = Space(dict.fromkeys(modalities, numbers), dict.fromkeys(modalities, classes), points, 0.9)
    kept, reason = (space, "") if common else (None, "it has none")
    sizes = dict.fromkeys(modalities, rows)
    return Snapshot(sizes, 3, names, curved, kept, reason, tuple(galleries), details)


@dataclass
class Cells(Shelf):
    """Records with their snapshots."""

    views: dict[str, Snapshot | None] = field(default_factory=dict)

    def put(self, method: str, level: float, view: Snapshot | None, closed: bool = False, **more: Any) -> str:
        """Add a finished cell whose mAP is ``level``; ``closed``: it has no epochs."""
        modalities = more.pop("modalities", ("image", "text"))
        values = {one: np.full(4, level) for one in permutations(modalities, 2)}
        record = self.add(values, method=method, modalities=modalities, settings=SETTINGS, **more)
        if closed:
            assert record.result is not None
            metrics = [msgspec.structs.replace(one, selection="none") for one in record.result.metrics]
            self.records[-1] = with_result(record, selection="none", selected=[], metrics=metrics)
        self.views[record.digest] = view
        return record.digest

    def data(
        self, selection: str = "best", view: Callable[[str], Snapshot | None] | None = None
    ) -> ReportData:
        more: dict[str, Any] = {"protocols": ["map@all"], "snapshot": view or self.views.get}
        return ReportData(self.records, labels=LABELS, selection=selection, **more)


def roster() -> Cells:
    """Return 16 methods and chance; the second is the best, every third has no epochs."""
    cells = Cells()
    for index, method in enumerate(ROSTER):
        level = 0.9 - 0.03 * index + (0.1 if index == 1 else 0.0)
        cells.put(method, level, view_at(level), closed=index % 3 == 0 and index > 0)
    cells.put("chance", 0.02, view_at(0.02), closed=True)
    return cells


def curve_figure(data: ReportData) -> FigureExhibit:
    """Return the only figure of curves."""
    (picture,) = figures_of(curves.figures(data))
    return picture


def test_curves_are_means_over_seeds_at_the_heights_of_the_records() -> None:
    cells = Cells()
    for seed, level in enumerate((0.8, 0.6)):
        cells.put("ours", level, view_at(level), seed=seed)
    picture = curve_figure(cells.data())
    assert "2 seeds" in picture.caption
    with drawn(picture) as figure:
        assert [axes.get_title() for axes in figure.axes] == 2 * ["image→text", "text→image"]
        recall, rank = figure.axes[0].lines[0], figure.axes[2].lines[0]
        np.testing.assert_allclose(_points(recall), np.stack([LEVELS, [0.7, 0.56, 0.14]], axis=1))
        np.testing.assert_allclose(_points(rank), np.stack([RANKS, [0.7, 0.63, 0.35]], axis=1))


def _points(line: Line2D) -> Any:
    return np.stack([np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)], axis=1)


def test_sixteen_methods_are_distinguishable_and_chance_does_not_stretch_the_axes() -> None:
    with drawn(curve_figure(roster().data())) as figure:
        require_legible(figure)
        lines = figure.axes[0].lines
        faces = [to_hex(str(line.get_markerfacecolor())) for line in lines]
        looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines]
        assert len({*zip(looks, faces, strict=True)}) == len(lines) == 16
        assert figure.axes[0].get_ylim()[0] > 0.05
        assert "CHANCE (below)" in {text.get_text() for text in texts_of(figure)}


def test_many_directions_are_shown_by_their_mean_at_the_ranks_that_all_galleries_have() -> None:
    cells, three = Cells(), ("image", "text", "audio")
    cells.put("ours", 0.5, view_at(0.5, three), modalities=three)
    with drawn(curve_figure(cells.data())) as figure:
        assert [axes.get_title() for axes in figure.axes] == 2 * ["mean over 6 directions"]
    short = msgspec.structs.replace(curves_at(1.0, "a", "b"), ranks=RANKS[:2], precision=np.array([0.5, 0.4]))
    mean = mean_curves([short, curves_at(1.0, "b", "a")])
    assert mean.ranks.tolist() == [1, 2]
    np.testing.assert_allclose(mean.precision, [0.75, 0.65])


def test_records_without_a_readable_snapshot_are_named_and_other_selections_have_no_figures() -> None:
    cells = Cells()
    cells.put("ours", 0.5, view_at(0.5))
    cells.put("older", 0.6, None)
    broken = cells.put("broken", 0.6, None)

    def read(digest: str) -> Snapshot | None:
        if digest == broken:
            raise DataError("here/view.npz has layout version 2")
        return cells.views[digest]

    caption = curve_figure(cells.data(view=read)).caption
    assert re.search("keeps no curves: .*OLDER", caption)
    assert mentions(caption, "Left out ... here/view.npz ... version 2")
    assert len(figures_of(space.figures(cells.data(view=read)))) == 1
    for kind in (curves, space, gallery):
        assert figures_of(kind.figures(cells.data(selection="last"))) == []
        assert figures_of(kind.figures(Cells().data())) == []


def test_real_data_and_look_alikes_have_separate_figures() -> None:
    cells = Cells()
    for kind in ("real", "look-alike"):
        cells.put("ours", 0.5, view_at(0.5, items=True), data_kind=kind)
    for topic in (curves, space, gallery):
        found = figures_of(topic.figures(cells.data()))
        assert {one.subject.kind for one in found} == {"real", "look-alike"}
        assert len({one.name for one in found}) == len(found)


def spaces(cells: Cells) -> list[tuple[str, str]]:
    data = cells.data()
    records = {record.digest: record for record in data.records}
    (table,) = data.plain_tables
    found = space_examples(table, table.rows, data.snapshots, records, LABELS.reference)
    return [(shown.row.method, shown.why) for shown in found]


def test_spaces_are_chosen_by_rule_and_need_a_sample_of_all_modalities() -> None:
    rule = ["the reference", "highest mAP of the others", "highest of the rest without epochs"]
    assert spaces(roster()) == list(zip(["ours", "m00", "m02"], rule, strict=True))
    cells = Cells()
    cells.put("learned", 0.9, view_at(0.9, common=False))
    rows = dict.fromkeys(("image", "text"), np.zeros(1, np.int32))
    tiny = Space(rows, rows, dict.fromkeys(rows, np.zeros((1, 2), np.float32)), 1.0)
    cells.put("few", 0.9, msgspec.structs.replace(view_at(0.9), space=tiny))
    cells.put("other", 0.6, view_at(0.6))
    cells.put("chance", 0.7, view_at(0.7), closed=True)
    assert spaces(cells) == [("other", rule[1])]
    assert spaces(Cells([*cells.records[:2]], views=cells.views)) == []
    three, cells = ("image", "text", "audio"), Cells()
    cells.put("ours", 0.5, view_at(0.5, three), modalities=three)
    for pair in combinations(three, 2):  # a method for two modalities at a time has no map of three
        cells.put("pairs", 0.6, view_at(0.6, pair), modalities=pair)
    assert [method for method, _ in spaces(cells)] == ["ours"]


def test_the_map_is_the_same_twice_and_keeps_classes_together() -> None:
    sample = view_at(0.5).space
    assert sample is not None
    points = np.concatenate(list(sample.points.values()))
    plane = space.laid_out(points)
    np.testing.assert_array_equal(plane, space.laid_out(points))
    classes = np.tile(np.arange(20) % 3, 2)
    middles = np.stack([plane[classes == number].mean(axis=0) for number in range(3)])
    nearest = np.linalg.norm(plane[:, None] - middles[None], axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, classes)
    for degenerate in (np.zeros((10, 1)), np.ones((12, 5)), np.eye(11)):
        assert np.isfinite(space.laid_out(degenerate.astype(np.float32))).all()


def test_the_spaces_share_classes_and_name_them() -> None:
    cells = Cells()
    for method, level in (("ours", 0.5), ("hostile", 0.6)):
        cells.put(method, level, view_at(level, items=True))
    (picture,) = figures_of(space.figures(cells.data()))
    assert mentions(picture.caption, "OURS ... reference ... seed 0 ... 3 dimensions ... 90% ... variance")
    with drawn(picture) as figure:
        words = {text.get_text() for text in texts_of(figure)}
        assert {"image", "text", "1 first", "2 second", "OURS · mAP 0.500"} <= words
        require_legible(figure)
    several = tuple("abcdefg")
    more = Cells()
    more.put("ours", 0.5, view_at(0.5, several), modalities=several)
    (picture,) = figures_of(space.figures(more.data()))
    with drawn(picture) as figure:
        (legend,) = figure.legends
        left = {text.get_text(): text.get_window_extent().x0 for text in legend.get_texts()}
        classes = [x for name, x in left.items() if name.startswith("class ")]
        assert classes
        assert max(left[name] for name in several) < min(classes)


def test_a_gallery_is_of_the_reference_and_marks_right_and_wrong_without_colour() -> None:
    cells = Cells()
    cells.put("better", 0.9, view_at(0.9, items=True))
    cells.put("ours", 0.5, view_at(0.5, items=True))
    found = figures_of(gallery.figures(cells.data()))
    assert all(one.title.startswith("First results of OURS") for one in found)
    assert [one.name.rsplit("_", 2)[1:] for one in found] == [["image", "text"], ["text", "image"]]
    assert mentions(found[0].alt, "first results ... 10 of 30")
    for picture, images in zip(found, (3, 30), strict=True):  # of the queries, of the results
        with drawn(picture) as figure:
            require_legible(figure)
            axes = figure.axes[0]
            frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
            assert len(frames) == 30
            assert sum(frame.get_linestyle() in ("-", "solid") for frame in frames) == 10
            assert len({(f.get_linestyle(), f.get_linewidth()) for f in frames}) == 2
            assert len(axes.images) == images
            if images == 30:
                assert np.asarray(axes.images[5].get_array())[0, 0].tolist() == [60, 60, 60]
    bare = Cells()
    bare.put("ours", 0.5, view_at(0.5))
    assert figures_of(gallery.figures(bare.data())) == []


def test_files_have_the_same_bytes_twice_and_take_no_text_for_markup() -> None:
    cells = Cells()
    cells.put("hostile", 0.5, view_at(0.5, items=True))
    for picture in [curve_figure(cells.data()), figures_of(gallery.figures(cells.data()))[0]]:
        files = draw(picture, ["svg"])
        assert files == draw(picture, ["svg"])
        svg = ElementTree.fromstring(files[f"{picture.name}.svg"])
        assert {one.tag.split("}")[1] for one in svg.iter()} <= {
            *("svg", "g", "defs", "path", "use", "text", "clipPath", "rect", "image", "tspan"),
            *("style", "title", "metadata", "RDF", "Work"),
        }
