"""What was found out about methods one by one: their parts and settings, and how they stand to papers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report import ledger as ledger_words
from bench.report import optimism as optimism_words
from bench.report.ablations.components import choice_sheet, component_sheet
from bench.report.ablations.page import missing
from bench.report.ablations.sensitivity import sensitivity_sheet
from bench.report.material import Material
from bench.report.page.exhibits import NOTHING, About, Exhibit, Fold, about_data
from bench.report.page.section import Part, Section
from bench.report.tables import Sheet
from bench.report.text import stem_of

_LONG = 40
"""Lines from which a table opens on request."""


def ablations(material: Material) -> Section:
    """Return the section of variants and settings, and what is missing of it."""
    labels = material.labels
    components = [
        _exhibit(component_sheet(one, labels), about_data(one.data, one.protocol), one.label)
        for one in material.ablations
    ]
    choices = [
        _exhibit(sheet, about_data(one.data, one.protocol), one.label)
        for one in material.ablations
        if (sheet := choice_sheet(one)) is not None
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


def published(material: Material) -> Section:
    """Return the section of published values beside ours."""
    lines = material.ledger
    if not lines:
        return Section("ledger", "Published values", [Part(said=(ledger_words.NOTHING,))])
    found = [line.ours.data for line in lines if line.ours is not None]
    abouts = {f"ledger_{stem_of(data)}": about_data(data) for data in found}
    exhibits = []
    for sheet in ledger_words.ledger_sheets(lines, material.labels):
        about = abouts.get(sheet.name, NOTHING)
        exhibits.append(_exhibit(sheet, about, "", fold="numbers" if len(sheet.lines) > _LONG else ""))
    lists: list[tuple[str, Sequence[str]]] = [
        ("What nobody ran yet, and how to run it", ledger_words.commands(lines)),
        ("Not in this project", ledger_words.absent_names(lines)),
    ]
    part = Part(
        said=(ledger_words.INTRODUCTION,),
        exhibits=exhibits,
        lists=[(name, items) for name, items in lists if items],
    )
    return Section("ledger", "Published values", [part])


def optimism(material: Material) -> Section:
    """Return the section of what choosing the epoch on the test set would have added."""
    found = material.optimism
    keys = dict.fromkeys((one.data, one.protocol) for one in found)
    exhibits = [
        _exhibit(sheet, about_data(*key), "")
        for sheet, key in zip(optimism_words.optimism_sheets(found), keys, strict=True)
    ]
    said = (optimism_words.INTRODUCTION, *(() if found else (optimism_words.NOTHING,)))
    return Section("optimism", "Selection optimism", [Part(said=said, exhibits=exhibits)])


def _exhibit(sheet: Sheet, about: About, method: str, fold: Fold = "") -> Exhibit:
    return Exhibit(
        sheet,
        title=sheet.caption,
        about=about,
        methods=[f"{method} {line.label}" for line in sheet.lines],
        fold=fold,
    )
