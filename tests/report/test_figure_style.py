"""How figures look: methods differ without colours, texts stay texts, the same bytes anywhere."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ElementTree
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.analysis.labels import registry_labels
from bench.report.exhibit import FigureExhibit, Subject
from bench.report.figures import saving
from bench.report.figures.style import (
    COLOURS,
    _round_numbers,
    apart,
    fitted,
    fitted_apart,
    legend,
    look,
    look_number,
    panels,
    shortened,
    width_of,
)
from bench.report.text import visible
from tests.report.figuring import EXTRAS, POINTS, ROSTER

SIGHT = {
    "normal": np.eye(3),
    # Machado, Oliveira and Fernandes 2009, severity 1.0
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
HARD = r"a_b & $x^2$ <i>~{y}%"


def linear(colours: tuple[str, ...]) -> NDArray[np.float64]:
    """Return linear red, green and blue."""
    values = np.array([[int(one[index : index + 2], 16) / 255 for index in (1, 3, 5)] for one in colours])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return CIELAB coordinates of linear red, green and blue."""
    to_xyz = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
    root = np.cbrt(np.clip(light, 1e-4, 1) @ to_xyz.T / to_xyz.sum(axis=1))
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def figure_of(label: str) -> Any:
    figure, (axis,) = panels(1)
    axis.plot(range(40), [number % 7 / 7 for number in range(40)], **look_number(9).line)
    axis.bar([3], [1.0], hatch="//", facecolor="white")
    axis.set(xlabel=label, ylabel="y")
    legend(figure, [(label, look_number(index)) for index in range(9)], 3)
    return figure


def picture(label: str = HARD, name: str = "x") -> FigureExhibit:
    subject, draw = Subject("one", "real", "paper"), partial(figure_of, label)
    return FigureExhibit(name, "t", "c", f"alt {label}", subject, draw)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return saving.draw(picture())


def test_methods_differ_without_colour_and_without_marker_and_others_never_look_like_the_roster() -> None:
    labels = registry_labels()
    looks = [look(method, labels) for method in ROSTER]
    for names in (("marker", "filled"), ("colour", "marker"), ("colour", "filled"), ("colour", "dash")):
        assert len({tuple(getattr(one, name) for name in names) for one in looks}) == len(ROSTER)
    markers = {one.marker for one in looks}
    others = [look(method, labels).marker for method in (*EXTRAS[:3], *POINTS)]
    assert not markers & {*others, look("mine", labels).marker}
    assert len(set(others)) == len(others)
    assert look("gone", labels) == look("gone", labels)
    faces = {one.filled: one.points["markerfacecolor"] == "white" for one in looks}
    assert faces == {True: False, False: True}


def test_colours_are_distinguishable_with_any_sight_and_in_grey_and_show_on_white() -> None:
    light = linear(COLOURS)
    for sight in SIGHT.values():
        seen = lab(light @ sight.T)
        apart_by = np.linalg.norm(seen[:, None] - seen, axis=2)
        assert apart_by[np.triu_indices(len(COLOURS), 1)].min() > 20
    assert np.diff(np.sort(lab(light)[:, 0])).min() > 5
    luminance = light @ [0.2126, 0.7152, 0.0722]
    assert (1.05 / (luminance + 0.05)).min() > 2.3


@given(st.text())
@settings(max_examples=30)
def test_literal_texts_stay_in_one_line_and_hold_no_control_characters(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in shown)
    assert len(shown.splitlines()) <= 1
    if text.isprintable():
        assert shown == " ".join(text.split())
    assert len(shortened(text, 5)) <= 5
    assert visible("a\x00b") == "a\N{REPLACEMENT CHARACTER}b"


def test_texts_fit_into_their_room_and_those_that_are_shortened_to_the_same_are_numbered() -> None:
    long = ["a long name of a method, one", "a long name of a method, two", "short"]
    assert apart(long, 12) == ["a long na… 1", "a long na… 2", "short"]
    shown = fitted_apart(long, 0.5)
    assert len(set(shown)) == 3
    assert shown[2] == "short"
    for text in ("W" * 50, "i" * 50, "short", ""):
        shown_text = fitted(text, 0.7)
        assert width_of(shown_text) <= 0.7
        assert shown_text == text or shown_text.endswith("…")
    assert fitted("short", 0.7) == "short"
    assert 1.9 < width_of("WWWW", 14) / width_of("WWWW", 7) < 2.1


@given(st.floats(1e-4, 1e4), st.floats(4.5, 1e8))
def test_logarithmic_axes_have_one_to_four_plain_numbers(low: float, span: float) -> None:
    numbers = _round_numbers(low, low * span)
    assert 1 <= len(numbers) <= 4
    assert all(low <= number <= low * span for number in numbers)


def test_letters_stay_letters_and_no_file_names_the_time_or_the_program(files: dict[str, bytes]) -> None:
    root = ElementTree.fromstring(files["x.svg"])
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("}text")]
    assert texts.count(HARD) == 10
    assert b"sans-serif" in files["x.svg"]
    assert root.findtext("{http://www.w3.org/2000/svg}title") == f"alt {HARD}"
    assert b"/FontFile2" in files["x.pdf"]
    assert b"/Type3" not in files["x.pdf"]
    assert files["x.png"].startswith(b"\x89PNG")
    for content in files.values():
        assert not re.search(b"Date|atplotlib v|Producer", content)


def test_the_same_figure_gives_the_same_bytes_in_any_process(files: dict[str, bytes]) -> None:
    code = (
        "import hashlib; from bench.report.figures.saving import draw; "
        "from tests.report.test_figure_style import picture; "
        "print(hashlib.sha256(repr(sorted(draw(picture()).items())).encode()).hexdigest())"
    )
    here = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    command, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONHASHSEED": "17"}
    output = subprocess.check_output(command, cwd=Path(__file__).parents[2], env=environment, text=True)
    assert output.strip() == here


def test_fonts_that_were_cut_for_other_figures_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "_GLYPHS", {})
    alone = saving.draw(picture("fi Ω"), ("pdf",))
    for text in ("abc", "ÅΩ 0.5"):
        saving.draw(picture(text), ("pdf",))
    assert saving.draw(picture("fi Ω"), ("pdf",)) == alone


def test_coordinates_are_rounded_and_letters_are_not() -> None:
    drawing = saving.draw(picture("1.23456"), ("svg",))["x.svg"]
    assert b">1.23456</text>" in drawing
    assert re.search(rb'<path d="M \d+\.\d\d ', drawing)
    assert not re.search(rb' (?:d|x|y|points)="[^"]*\d\.\d{3}', drawing)
