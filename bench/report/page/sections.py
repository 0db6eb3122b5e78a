"""The order of the page: its sections, each with the figures that belong to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bench.report.material import Material
from bench.report.page.background import costs, methods, without_result
from bench.report.page.figures import Drawing
from bench.report.page.findings import statistics
from bench.report.page.results import results
from bench.report.page.section import Part, Section
from bench.report.page.studies import ablations, optimism, published

_SECTIONS: Final[Sequence[tuple[Callable[[Material], Section], Mapping[str, str]]]] = (
    (results, {"mAP": "At a glance"}),
    (statistics, {"Differences": "", "Ranks over datasets": ""}),
    (published, {}),
    (optimism, {}),
    (ablations, {"Ablations and settings": "Charts"}),
    (costs, {"Time and memory": "Against mAP"}),
    (methods, {}),
    (without_result, {}),
)
"""What makes each section, and the figures' sections that stand in it with other headings where these are
not their own; the remaining figures have a section for themselves."""

_AFTER: Final = "ablations"
"""Where the figures stand that belong to no section."""


def sections_of(material: Material, drawings: Sequence[Drawing]) -> list[Section]:
    """Return all sections that the records have something for."""
    by_name: dict[str, list[Drawing]] = {}
    for drawing in drawings:
        by_name.setdefault(drawing.section, []).append(drawing)
    found = []
    for make, names in _SECTIONS:
        section = make(material)
        figures = [
            Part(heading or name, drawings=by_name.pop(name))
            for name, heading in names.items()
            if name in by_name
        ]
        found.append(replace(section, parts=[*section.parts, *figures]))
    others = Section("figures", "Figures", [Part(name, drawings=own) for name, own in by_name.items()])
    place = 1 + next(place for place, section in enumerate(found) if section.anchor == _AFTER)
    return [section for section in (*found[:place], others, *found[place:]) if section.parts]
