"""An SVG in the page is shapes and letters, whatever was in it before."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from bench.report.figures.picture import Picture
from bench.report.figures.saving import render
from bench.report.page.drawing import ATTRIBUTES, ELEMENTS, fit_for_page, shape
from tests.report.page.making import HOSTILE, SVG


def elements(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter())


def drawn() -> Figure:
    figure = Figure(figsize=(4, 2))
    left, right, image = figure.subplots(1, 3)
    left.plot([0, 1, 2], [2, 0, 1], marker="o", label="a < b & c")
    left.legend()
    right.bar([0, 1], [1, 2], hatch="//", edgecolor="black")
    right.scatter([0, 1], [2, 3], alpha=0.5)
    image.imshow(np.arange(6.0).reshape(2, 3))
    return figure


def test_nothing_that_runs_or_loads_gets_in() -> None:
    safe = fit_for_page(SVG, "f0")
    for element in elements(safe):
        assert element.tag in ELEMENTS
        assert set(element.attrib) <= ATTRIBUTES | {"id", "href"}
    assert not re.search(r"javascript:|example\.org|alert\([2-7]\)|onload=|onclick=|<style|<script|<a ", safe)
    assert [one.get("href") for one in elements(safe) if one.tag == "image" and one.get("href")] == [
        "data:image/png;base64,iVBORw0KGgo="
    ]


def test_letters_stay_as_they_were() -> None:
    (text,) = (one for one in elements(fit_for_page(SVG, "f0")) if one.tag == "text")
    assert text.text == HOSTILE
    assert text.get("font-size") == "7"


def test_ids_begin_with_the_prefix_and_every_reference_has_its_own() -> None:
    safe = fit_for_page(SVG, "f7")
    ids = {one.get("id") for one in elements(safe)} - {None}
    assert ids == {"f7-0", "f7-1"}
    referred = {one.get("href", "")[1:] for one in elements(safe) if one.tag == "use" and one.get("href")}
    assert referred | set(re.findall(r"url\(#([^)]*)\)", safe)) == ids


def test_a_figure_of_matplotlib_keeps_every_shape_and_letter() -> None:
    svg = render(Picture("p", "s", "t", "c", "a", None, drawn), ["svg"])["p.svg"].decode("utf-8")
    safe = fit_for_page(svg, "f0")
    before = Counter(one.tag.rpartition("}")[2] for one in ElementTree.fromstring(svg.encode("utf-8")).iter())
    after = Counter(one.tag for one in elements(safe))
    for kind in ELEMENTS - {"g", "defs"}:
        assert after[kind] == before[kind], kind
    assert shape(safe) == pytest.approx((288, 144))
    assert "a &lt; b &amp; c" in safe
    drawings = {
        name for name in ("stroke-dasharray", "opacity", "fill", "stroke", "text-anchor") if name in safe
    }
    assert {"fill", "stroke", "text-anchor"} <= drawings


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_any_letters_are_shown_and_never_markup(words: str) -> None:
    text = ElementTree.Element("text")
    text.text = words
    letters = ElementTree.tostring(text, encoding="unicode")
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">{letters}</svg>'
    found = elements(fit_for_page(svg, "f0"))
    assert [one.tag for one in found] == ["svg", "text"]
    assert (found[1].text or "") == words


def test_what_is_no_svg_is_named() -> None:
    with pytest.raises(ValueError, match="a figure is no SVG"):
        fit_for_page("<svg", "f0")
    with pytest.raises(ValueError, match="no view box"):
        shape("<svg></svg>")
