"""A figure's SVG made safe for a page: nothing in it but shapes and letters, and ids like no other figure's.

An SVG that stands in a page shares its ids, its style sheet and its scripts. So each is built anew from lists
of what may draw: scripts, styles, links, event handlers and whatever else is not on them do not get in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from xml.etree import ElementTree

from markupsafe import Markup, escape

ELEMENTS: Final = frozenset(
    (
        *("svg", "g", "defs", "path", "use", "text", "tspan", "clipPath", "rect", "circle", "ellipse"),
        *("line", "polyline", "polygon", "image", "pattern"),
    )
)
ATTRIBUTES: Final = frozenset(
    (
        *("x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "dx", "dy", "width", "height"),
        *("d", "points", "viewBox", "transform", "preserveAspectRatio", "clip-path", "clip-rule"),
        *("clipPathUnits", "patternUnits", "fill", "fill-opacity", "fill-rule", "opacity"),
        *("stroke", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap", "stroke-linejoin"),
        *("stroke-miterlimit", "stroke-opacity", "stroke-width"),
        *("font-size", "font-style", "font-weight", "text-anchor"),
    )
)
_LETTERS: Final = ("text", "tspan")
_REFERENCE: Final = re.compile(r"url\(#([^)\s]+)\)")
_PICTURE: Final = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=\s]+")
_HARMLESS: Final = re.compile(r"[-+#%.,()\w\s]*")
"""Words, numbers, colours, and functions without quotes or addresses."""
_FONT: Final = re.compile(r"(?:(italic|oblique)\s+)?(?:(bold|\d+)\s+)?([\d.]+)(?:px|pt)\b")


def fit_for_page(svg: str | bytes, prefix: str) -> Markup:
    """Return an SVG as an element of an HTML page, without a name: that is for the page to give.

    Args:
        svg: as `bench.report.figures.saving` makes it.
        prefix: begins every id in it; letters and digits.

    Raises:
        ValueError: if it is no SVG.
    """
    try:
        root = ElementTree.fromstring(svg)  # noqa: S314 (made by this program)
    except ElementTree.ParseError as error:
        raise ValueError(f"a figure is no SVG: {error}") from error
    names = {old: f"{prefix}-{place}" for place, old in enumerate(_referred(root))}
    return Markup("").join(_written(root, names))


def shape(drawing: str) -> tuple[float, float]:
    """Return width and height in points that an SVG was drawn with.

    Raises:
        ValueError: if it does not say.
    """
    found = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', drawing)
    if found is None:
        raise ValueError("a figure has no view box")
    return float(found[1]), float(found[2])


def _written(element: ElementTree.Element, names: Mapping[str, str]) -> Iterator[Markup]:
    kind = _local(element.tag)
    if kind not in ELEMENTS:
        return
    attributes = dict(_attributes(element, kind, names))
    lettered = kind in _LETTERS
    inner = escape(element.text or "") if lettered else Markup("")
    for child in element:
        inner += Markup("").join(_written(child, names))
        inner += escape(child.tail or "") if lettered else ""
    if kind in ("g", "defs") and not inner:
        return
    head = Markup("").join(Markup(' {}="{}"').format(name, value) for name, value in attributes.items())
    whole = Markup("<{}{}>{}</{}>").format(kind, head, inner, kind)
    yield whole if inner else Markup("<{}{}/>").format(kind, head)


def _attributes(
    element: ElementTree.Element, kind: str, names: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for raw, value in [*element.attrib.items(), *_declarations(element.get("style", ""))]:
        name = _local(raw)
        if name == "id" and value in names:
            yield "id", names[value]
        elif name == "href" and value[:1] == "#" and value[1:] in names:
            yield "href", f"#{names[value[1:]]}"
        elif name == "href" and kind == "image" and _PICTURE.fullmatch(value):
            yield "href", "".join(value.split())
        elif name in ATTRIBUTES and not (kind == "svg" and name in ("width", "height")):
            safe = _REFERENCE.sub(lambda found: f"url(#{names.get(found[1], '')})", value)
            if _HARMLESS.fullmatch(safe):
                yield name, safe


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    """Return what a ``style`` says as attributes: the page's policy lets no ``style`` through."""
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        font = _FONT.match(value) if name == "font" else None
        if font is not None:
            found = zip(("font-style", "font-weight", "font-size"), font.groups(), strict=True)
            yield from ((part, said) for part, said in found if said)
        else:
            yield name, value


def _referred(root: ElementTree.Element) -> list[str]:
    """Return the ids that something in the drawing points to, each once, in order."""
    known = {element.get("id") for element in root.iter()}
    found = [
        name
        for element in root.iter()
        for key, value in element.attrib.items()
        for name in ([value[1:]] if _local(key) == "href" and value[:1] == "#" else _REFERENCE.findall(value))
    ]
    return [name for name in dict.fromkeys(found) if name in known]


def _local(name: str) -> str:
    return name.rpartition("}")[2]
