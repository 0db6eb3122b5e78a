"""Ablations: what each variant changes and costs, and how good each choice of a modality is."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from bench.analysis.ablations import Ablation, Component, Difference, unablated
from bench.analysis.comparisons import HOLDS, MODELS_ONLY
from bench.analysis.groups import Data, by_data
from bench.analysis.labels import Labels
from bench.analysis.statistics import ALPHA
from bench.analysis.tables import AVERAGE, Direction, Row, direction_name
from bench.report.cells import (
    STUDY_FIELDS,
    changes_text,
    data_values,
    digests,
    entry_cell,
    entry_values,
    number_cell,
    seeds_cell,
    setting_text,
    shown_columns,
    spread_cell,
    top_two,
)
from bench.report.exhibit import Cell, Column, Line, Listing, Part, TableExhibit, Topic, Values, data_subject
from bench.report.figures.settings import setting_figures
from bench.report.figures.variants import ablation_stem, choice_figures, component_figures
from bench.report.report_data import ReportData
from bench.report.text import data_name
from bench.report.topics import sensitivity

COMPONENT_FIELDS: Final = (
    *(*STUDY_FIELDS, "variant", "changes", "query", "gallery", "mean", "deviation", "seeds"),
    *("difference", "difference_deviation", "shared_seeds"),
    *("p", "p_holm", "low", "high", "effect", "significance", "reason", "records"),
)
CHOICE_FIELDS: Final = (
    *(*STUDY_FIELDS, "setting", "modality", "quality", "quality_deviation", "fits", "chosen"),
)
_INTRODUCTION: Final = (
    "What the parts of a method are worth, and how much its settings matter. Each variant is compared "
    "with the method itself on the same data, seeds and other settings; records that differ in one or "
    "two settings only make a curve or a grid. Look-alikes are generated data: their numbers say nothing "
    "about the benchmarks."
)


def parts(data: ReportData) -> list[Part]:
    """Return components, choices among modalities and settings, and what was not run of them."""
    ablations = data.tested_ablations
    found = (
        ("Components", [component_exhibit(one, data.labels) for one in ablations]),
        ("Choices among modalities", [choice_exhibit(one) for one in ablations if one.choices]),
        ("Settings", sensitivity.exhibits(data)),
    )
    gaps = missing(data)
    listings = [Listing("What was not run, and how to run it", gaps)] if gaps else []
    return [
        Part(text=(_INTRODUCTION,)),
        *(Part(title, exhibits=exhibits) for title, exhibits in found if exhibits),
        *([Part(listings=listings)] if listings else []),
    ]


def figures(data: ReportData) -> list[Part]:
    """Return bars of variants, choices among modalities, and lines and grids of settings."""
    charts = [*component_figures(data), *choice_figures(data), *setting_figures(data)]
    return [Part("Charts", exhibits=charts)] if charts else []


def component_exhibit(ablation: Ablation, labels: Labels) -> TableExhibit:
    """Return every variant's numbers, and how far they are from those of the method itself.

    Of many directions the average alone is shown, and in how many others a variant is significantly below
    and above.
    """
    shown = shown_columns(ablation.columns)
    wide = AVERAGE in shown and len(shown) == 1
    rows = [ablation.full, *(component.row for component in ablation.components)]
    tops = {column: top_two((row.entries[column] for row in rows), ablation.protocol)[:1] for column in shown}
    numbers = [*_numbers(ablation.full, None, shown, tops), *([Cell("")] * 2 if wide else [])]
    itself = (Cell(""), *numbers, seeds_cell(ablation.full.entries.values()))
    lines = [Line("the method itself", itself, search=ablation.label)]
    for one in ablation.components:
        numbers = [*_numbers(one.row, one, shown, tops), *(_told_apart(one) if wide else [])]
        cells = (Cell(changes_text(one.changes)), *numbers, seeds_cell(one.row.entries.values()))
        lines.append(Line(one.variant, cells, search=f"{ablation.label} {one.variant}"))
    told = map(Column, ("below", "above")) if wide else ()
    return TableExhibit(
        name=ablation_stem("components", ablation),
        caption=f"{ablation.label}, its components — {_about(ablation)}",
        corner="Variant",
        columns=(Column("changes"), *_columns(shown), *told, Column("seeds")),
        lines=tuple(lines),
        notes=tuple(_notes(ablation, labels, wide=wide)),
        subject=data_subject(ablation.data, ablation.protocol),
        values=(Values("ablations/components.csv", COMPONENT_FIELDS, list(_component_values(ablation))),),
    )


def choice_exhibit(ablation: Ablation) -> TableExhibit:
    """Return what each fixed choice of a modality gives against the method's own."""
    shown = shown_columns(ablation.columns)
    rows = [ablation.full, *(component.row for component in ablation.choices)]
    tops = {column: top_two((row.entries[column] for row in rows), ablation.protocol)[:1] for column in shown}
    setting, own = ablation.choice
    fits = max((spread.seeds for spread in ablation.quality.values()), default=0)
    records = ablation.full.entries[AVERAGE].records
    itself = (Cell(""), Cell(""), *_numbers(ablation.full, None, shown, tops))
    lines = [Line(setting_text(own), itself, search=ablation.label)]
    for one in ablation.choices:
        chosen = f"{ablation.chosen.get(one.modality, 0)} of {fits}" if ablation.chosen else ""
        quality = spread_cell(ablation.quality.get(one.modality), ".3f", records, "not noted")
        cells = (quality, Cell(chosen), *_numbers(one.row, one, shown, tops))
        lines.append(Line(one.modality, cells, search=f"{ablation.label} {one.variant}"))
    head = (*data_values(ablation.data), ablation.protocol, ablation.selection, ablation.method)
    values = [
        (
            *(*head, ablation.label, setting, name, *(ablation.quality.get(name) or (None, None, None))),
            ablation.chosen.get(name, 0) if ablation.chosen else None,
        )
        for name in dict.fromkeys([*ablation.quality, *(one.modality for one in ablation.choices)])
    ]
    return TableExhibit(
        name=ablation_stem("choices", ablation),
        caption=f"{ablation.label}, one modality against its own choice — {_about(ablation)}",
        corner=setting,
        columns=(Column("quality S_k"), Column("chosen"), *_columns(shown)),
        lines=tuple(lines),
        notes=(
            f"quality S_k: what {ablation.label} goes by when it chooses, noted in its records; chosen: in "
            "how many of its fits; diff.: minus its own choice, paired by seed.",
        ),
        subject=data_subject(ablation.data, ablation.protocol),
        values=(Values("ablations/choices.csv", CHOICE_FIELDS, values),),
    )


def missing(data: ReportData) -> list[str]:
    """Return which ablations and sweeps were not run and the command that runs them, in sentences."""
    labels = data.labels
    alike: dict[tuple[Data, ...], list[str]] = defaultdict(list)
    for method, places in unablated(data.results).items():
        for group in _by_profile(places):
            alike[group].append(method)
    sentences = [
        f"No variants of {', '.join(map(labels.title, methods))} on {_where(group)}: "
        f"{command('ablate', ' '.join(methods), group, labels)}"
        for group, methods in alike.items()
    ]
    shown = {(one.data, one.method) for one in data.sensitivities}
    run = by_data(record for record in data.records if record.identity.method == labels.reference)
    bare = [one for one in run if (one, labels.reference) not in shown]
    return sentences + [
        f"One choice of settings alone of {labels.title(labels.reference)} on {_where(group)}: "
        f"{command('sweep', f'{labels.reference} --param NAME=VALUE,VALUE', group, labels)}"
        for group in _by_profile(bare)
    ]


def command(name: str, method: str, data: Sequence[Data], labels: Labels) -> str:
    """Return the command that runs what is missing; a user's own data is given by the path of its file.

    Args:
        name: ``ablate`` or ``sweep``.
        method: registry name, and what else follows it.
        data: all of one profile.
        labels: knows the modalities of registered datasets.
    """
    datasets = [one.dataset if labels.modalities(one.dataset) else f"PATH/{one.dataset}.npz" for one in data]
    words = f"python -m bench {name} {method} --datasets {shlex.quote(','.join(dict.fromkeys(datasets)))}"
    return f"{words} --profile {data[0].profile}"


def _columns(shown: Sequence[Direction]) -> Iterator[Column]:
    for direction in shown:
        name = direction_name(direction)
        yield Column(name, direction=name)
        yield Column("diff.", f"{name}, minus the method itself")


def _numbers(
    row: Row, component: Component | None, shown: Sequence[Direction], tops: Mapping[Direction, Sequence[str]]
) -> Iterator[Cell]:
    for column in shown:
        yield entry_cell(row.entries[column], tops[column])
        difference = None if component is None else component.differences.get(column)
        if difference is None:
            yield Cell("")
            continue
        mark = "" if difference.comparison is None else difference.comparison.mark
        yield spread_cell(difference.spread, "+.3f", row.entries[column].records, mark=mark)


def _told_apart(component: Component) -> list[Cell]:
    found = [
        one.comparison
        for direction, one in component.differences.items()
        if one.comparison is not None and direction != AVERAGE
    ]
    if not found:
        return [Cell("not tested", missing=True)] * 2
    below, above = (sum(one.holds and sign * one.difference > 0 for one in found) for sign in (-1, 1))
    return [number_cell(below, "d"), number_cell(above, "d")]


def _notes(ablation: Ablation, labels: Labels, *, wide: bool) -> Iterator[str]:
    again = command("ablate", ablation.method, [ablation.data], labels)
    differences = [one for part in ablation.components for one in part.differences.values()]
    yield (
        "diff.: the variant minus the method itself, mean and deviation over the seeds that both have."
        + (f" All {len(ablation.columns) - 1} directions: components.csv." if wide else "")
    )
    if any(one.comparison for one in differences):
        significant = f"randomization test over queries, p ≤ {ALPHA} after Holm over the variants of a column"
        yield (
            f"{HOLDS}: the difference is significant ({significant}), and its 95 % interval over seeds "
            f"and queries leaves zero out; {MODELS_ONLY}: these trained models differ, but the interval "
            f"holds zero.{f' below, above: in how many directions it is {HOLDS}.' if wide else ''}"
        )
    if any(one.spread.seeds == 1 for one in differences):
        yield (
            "A difference from one seed is about two trained models, not about the method; run more with: "
            f"{again} --seeds 5"
        )
    same = [one.variant for one in ablation.components if not one.changes]
    if same:
        yield f"The same settings as the method itself here: {', '.join(same)}."
    for one in ablation.components:
        reasons = sorted({entry.reason for entry in one.row.entries.values() if entry.reason})
        yield from (f"{one.variant}: {reason}" for reason in reasons)
    yield from (f"Not tested: {reason}." for reason in ablation.omitted)
    if ablation.missing:
        yield f"Not run: {', '.join(ablation.missing)}; {again}"


def _about(ablation: Ablation) -> str:
    return f"{data_name(ablation.data)}, {ablation.protocol}, selection {ablation.selection}"


def _by_profile(found: Iterable[Data]) -> Iterator[tuple[Data, ...]]:
    for _, members in groupby(sorted(found, key=lambda one: one.profile), lambda one: one.profile):
        yield tuple(members)


def _where(data: Sequence[Data]) -> str:
    return f"{', '.join(dict.fromkeys(one.dataset for one in data))} in the {data[0].profile} profile"


def _component_values(ablation: Ablation) -> Iterator[tuple[object, ...]]:
    head = (*data_values(ablation.data), ablation.protocol, ablation.selection, ablation.method)
    variants: list[tuple[str, str, dict[str, Any], Row, Mapping[Direction, Difference]]] = [
        (ablation.label, "full", {}, ablation.full, {}),
        *((one.label, one.variant, one.changes, one.row, one.differences) for one in ablation.components),
    ]
    for column in ablation.columns:
        for label, variant, changes, row, differences in variants:
            entry, difference = row.entries[column], differences.get(column)
            test = None if difference is None else difference.comparison
            interval = (None, None) if test is None else (test.interval.low, test.interval.high)
            yield (
                *(*head, label, variant, json.dumps(changes, sort_keys=True), *column, *entry_values(entry)),
                *((None,) * 3 if difference is None else difference.spread),
                *((None, None) if test is None else (test.p, test.adjusted)),
                *interval,
                *((None, None) if test is None else (test.effect, test.mark)),
                *(entry.reason, digests(entry.records)),
            )


TOPIC: Final = Topic(
    "ablations", "Ablations and settings", parts, figures, folder="ablations", formats=(".tex",)
)
