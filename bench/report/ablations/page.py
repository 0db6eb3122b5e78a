"""Everything about variants and settings: one page, and a file per table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from bench.analysis.ablations import unablated
from bench.analysis.groups import Data, by_data
from bench.report.ablations.components import choice_sheet, command, component_sheet
from bench.report.ablations.sensitivity import sensitivity_sheet
from bench.report.ablations.values import ablation_values
from bench.report.material import Material
from bench.report.tables.latex import latex
from bench.report.tables.markdown import markdown
from bench.report.tables.sheet import Sheet
from bench.report.text import escape_markdown

_HEADINGS = ("Components", "Choices among modalities", "Settings")


def ablation_sheets(material: Material) -> dict[str, list[Sheet]]:
    """Return all tables under their headings; tables of settings are of the first protocol alone."""
    chosen = [choice_sheet(one) for one in material.ablations]
    first = [one for one in material.sensitivities if one.protocol == material.protocols[0]]
    sheets = (
        [component_sheet(one, material.labels) for one in material.ablations],
        [sheet for sheet in chosen if sheet is not None],
        [sensitivity_sheet(one) for one in first],
    )
    return dict(zip(_HEADINGS, sheets, strict=True))


def ablations_page(material: Material) -> str:
    """Return the page as Markdown: tables, then what is missing and how to get it."""
    parts = [
        "# Ablations and settings",
        "What the parts of a method are worth, and how much its settings matter. Each variant is compared "
        "with the method itself on the same data, seeds and other settings; records that differ in one or "
        "two settings only make a curve or a grid. Look-alikes are generated data: their numbers say nothing "
        "about the benchmarks. Every number: the CSV files in [ablations/](ablations/).",
    ]
    for title, sheets in ablation_sheets(material).items():
        if sheets:
            parts += [f"## {title}", *(markdown(sheet).strip() for sheet in sheets)]
    gaps = [f"- {escape_markdown(sentence)}" for sentence in missing(material)]
    if gaps:
        parts += ["## What is missing", "\n".join(gaps)]
    return "\n\n".join(parts) + "\n"


def ablation_files(material: Material) -> dict[str, str]:
    """Return file name -> content: all numbers as CSV, every table as LaTeX."""
    files = ablation_values(material.ablations, material.sensitivities)
    for sheets in ablation_sheets(material).values():
        files |= {f"{sheet.name}.tex": latex(sheet) for sheet in sheets}
    return files


def missing(material: Material) -> list[str]:
    """Return what is not there and the command that makes it, in sentences of plain text."""
    labels = material.labels
    alike: dict[tuple[Data, ...], list[str]] = defaultdict(list)
    for method, places in unablated(material.results).items():
        for data in _by_profile(places):
            alike[data].append(method)
    sentences = [
        f"No variants of {', '.join(map(labels.title, methods))} on {_where(data)}: "
        f"{command('ablate', ' '.join(methods), data, labels)}"
        for data, methods in alike.items()
    ]
    shown = {(one.data, one.method) for one in material.sensitivities}
    run = by_data(one for one in material.records if one.identity.method == labels.reference)
    bare = [data for data in run if (data, labels.reference) not in shown]
    sentences += [
        f"One choice of settings alone of {labels.title(labels.reference)} on {_where(data)}: "
        f"{command('sweep', f'{labels.reference} --param NAME=VALUE,VALUE', data, labels)}"
        for data in _by_profile(bare)
    ]
    return sentences


def _by_profile(places: Iterable[Data]) -> Iterator[tuple[Data, ...]]:
    for _, members in groupby(sorted(places, key=lambda one: one.profile), lambda one: one.profile):
        yield tuple(members)


def _where(data: Sequence[Data]) -> str:
    names = dict.fromkeys(one.dataset for one in data)
    return f"{', '.join(names)} in the {data[0].profile} profile"
