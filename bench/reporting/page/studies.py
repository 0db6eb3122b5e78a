"""What was found out about methods one by one: their parts and settings."""

from __future__ import annotations

from bench.reporting.ablations.components import choice_sheet, component_sheet
from bench.reporting.ablations.page import missing
from bench.reporting.ablations.sensitivity import sensitivity_sheet
from bench.reporting.material import Material
from bench.reporting.page.exhibits import About, Exhibit, about_data
from bench.reporting.page.section import Part, Section
from bench.reporting.tables import Sheet


def ablations(material: Material) -> Section:
    """Return the section of variants and settings, and what is missing of it."""
    naming = material.naming
    components = [
        _exhibit(component_sheet(one, naming), about_data(one.data, one.protocol), one.label)
        for one in material.ablations
    ]
    choices = [
        _exhibit(sheet, about_data(one.data, one.protocol), one.label)
        for one in material.ablations
        if (sheet := choice_sheet(one, naming)) is not None
    ]
    settings = [
        _exhibit(sensitivity_sheet(one), about_data(one.data, one.protocol), one.title)
        for one in material.sensitivities
        if one.protocol == material.protocols[0]
    ]
    found = (("Components", components), ("Choices among modalities", choices), ("Settings", settings))
    parts = [Part(title, exhibits=exhibits) for title, exhibits in found if exhibits]
    gaps = missing(material)
    if gaps:
        parts.append(Part(lists=[("What was not run, and how to run it", gaps)]))
    return Section("ablations", "Ablations and settings", parts)


def _exhibit(sheet: Sheet, about: About, method: str) -> Exhibit:
    return Exhibit(
        sheet,
        title=sheet.caption,
        about=about,
        methods=[f"{method} {line.label}" for line in sheet.lines],
    )
