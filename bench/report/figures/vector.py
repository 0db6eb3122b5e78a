"""An SVG as matplotlib writes it, made small and fit to stand in a page among others."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Final

_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "http://www.w3.org/1999/xlink"
_FONTS: Final = "'DejaVu Sans', Verdana, 'Bitstream Vera Sans', Geneva, sans-serif"
"""Widths of letters were taken from the first; the others are as wide or narrower."""
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUMBER: Final = re.compile(r"#[\w-]+|-?\d+\.\d+(?:e-?\d+)?|-?\d+(?:\.\d+)?e-?\d+")
"""Also takes colours and names, for them to stay: ``9e6`` in ``#d9e6f2`` is no number."""
_STEP: Final = re.compile(r"[ML](-?[\d.]+) (-?[\d.]+)")
_LONG: Final = 16
"""Points from which tenths of a point do for a line."""
_REFERENCE: Final = re.compile(r"#([\w.-]+)")
_IDLE_TURN: Final = re.compile(r"^rotate\(-?0(?:\.0+)? [^)]*\)$")
_MEASURES: Final = ("d", "x", "y", "width", "height", "transform", "style", "points", "viewBox")


def compact(svg: str, label: str) -> str:
    """Return the same picture in fewer bytes.

    Coordinates are rounded to hundredths of a point, those of long lines to tenths; fonts get fall-backs,
    and whatever is the same for the whole picture is said once. Style rules and names that nothing refers
    to go: in a page they would meet those of other figures.

    Args:
        svg: as matplotlib writes it, letters as text.
        label: what the picture shows, for those who cannot see it.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(_NOT_IN_XML.sub("", svg))  # noqa: S314 (our own output)
    _drop_unused(root)
    used = {name for value in _values(root) for name in _REFERENCE.findall(value)}
    for element in root.iter():
        _shrink(element, used)
    _unwrap(root)
    _share_styles(root)
    root.set("style", f"font-family:{_FONTS};stroke-linejoin:round;stroke-linecap:butt")
    root.set("role", "img")
    root.set("aria-label", label)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _drop_unused(root: ElementTree.Element) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            name = child.tag.removeprefix(f"{{{_SVG}}}")
            rules = name == "defs" and len(child) == 1 and child[0].tag == f"{{{_SVG}}}style"
            if name == "metadata" or rules:
                parent.remove(child)


def _values(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        yield from (value for key, value in element.attrib.items() if key != "id")


def _shrink(element: ElementTree.Element, used: set[str]) -> None:
    attributes = element.attrib
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    if _IDLE_TURN.match(attributes.get("transform", "")):
        del attributes["transform"]
    for name in _MEASURES:
        if name in attributes:
            attributes[name] = _NUMBER.sub(_rounded, attributes[name])
    if "d" in attributes:
        attributes["d"] = _path(attributes["d"])
    if "style" in attributes:
        rules = [rule.strip() for rule in attributes["style"].split(";")]
        kept = [rule for rule in rules if rule and not rule.startswith("font-family")]
        attributes["style"] = ";".join(rule.replace(": ", ":") for rule in kept)
    if not element.tag.endswith("}text"):
        element.text = None
    element.tail = "\n" if element.tag.endswith("}g") else None


def _path(steps: str) -> str:
    short = re.sub(r"\s*([A-Za-z])\s*", r"\1", steps.strip())
    points = [(float(x), float(y)) for x, y in _STEP.findall(short)]
    if len(points) > _LONG and not re.search("[^ML0-9. -]", short) and short.count("M") == 1:
        return _long_path(points)
    return short if re.search("[^MLz0-9. -]", short) else re.sub(r"(?<=\d)L", " ", short)


def _long_path(points: list[tuple[float, float]]) -> str:
    """Return a line as steps from point to point, which takes half the letters of their places."""
    tenths = [(round(10 * x), round(10 * y)) for x, y in points]
    steps = [(x - was_x, y - was_y) for (was_x, was_y), (x, y) in pairwise(tenths)]
    shown = " ".join(_tenths(number) for step in steps for number in step if any(step))
    return f"M{_tenths(tenths[0][0])} {_tenths(tenths[0][1])}l{shown.replace(' -', '-')}"


def _tenths(number: int) -> str:
    shown = f"{abs(number) / 10:.1f}".removeprefix("0").removesuffix(".0") or "0"
    return f"-{shown}" if number < 0 else shown


def _rounded(match: re.Match[str]) -> str:
    if match.group().startswith("#"):
        return match.group()
    shown = f"{float(match.group()):.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def _unwrap(parent: ElementTree.Element) -> None:
    """Put the content of groups that say nothing in their place."""
    children: list[ElementTree.Element] = []
    for child in parent:
        _unwrap(child)
        if child.tag == f"{{{_SVG}}}g" and not child.attrib:
            children += list(child)
        else:
            children.append(child)
    parent[:] = children


def _share_styles(parent: ElementTree.Element) -> None:
    """Say a style once that several neighbours have; only what children inherit may be in it."""
    children: list[ElementTree.Element] = []
    for style, members in groupby(parent, lambda child: child.get("style", "")):
        run = list(members)
        for child in run:
            _share_styles(child)
        if style and len(run) > 2 and "opacity" not in style:
            group = ElementTree.Element(f"{{{_SVG}}}g", {"style": style})
            for child in run:
                del child.attrib["style"]
            group.extend(run)
            run = [group]
        children += run
    parent[:] = children
