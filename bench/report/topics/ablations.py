"""Ablations and settings: effects of variants, of choices among modalities and of values of settings."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final

from bench.analysis.ablations import Ablation, Component, unablated, with_tests
from bench.analysis.comparisons import HOLDS, MODELS_ONLY
from bench.analysis.groups import Data, by_data
from bench.analysis.labels import Labels
from bench.analysis.sensitivity import Sensitivity
from bench.analysis.statistics import ALPHA
from bench.analysis.tables import ABSENT, AVERAGE, Direction, direction_name
from bench.report.cells import (
    STUDY_FIELDS,
    changes_text,
    data_values,
    entry_cell,
    entry_values,
    number_cell,
    seeds_cell,
    setting_text,
    shown_columns,
    spread_cell,
    tops_of,
)
from bench.report.exhibit import Cell, Column, Line, Listing, Part, TableExhibit, Topic, Values, data_subject
from bench.report.figures.settings import heading, sensitivity_stem, setting_figures, uneven_seeds
from bench.report.figures.variants import ablation_stem, variant_figures
from bench.report.report_data import ReportData
from bench.report.text import data_name

COMPONENT_FIELDS: Final = (
    *(*STUDY_FIELDS, "variant", "changes", "query", "gallery", "mean", "deviation", "seeds"),
    *("difference", "difference_deviation", "shared_seeds"),
    *("p", "p_holm", "low", "high", "effect", "significance", "reason", "records"),
)
CHOICE_FIELDS: Final = (
    *(*STUDY_FIELDS, "setting", "modality", "quality", "quality_deviation", "fits", "chosen"),
)
SETTING_FIELDS: Final = (
    *(*STUDY_FIELDS, "setting", "value", "other_setting", "other_value", "usual"),
    *("query", "gallery", "mean", "deviation", "seeds", "validation_map", "validation_deviation"),
    *("reason", "records"),
)
_USUAL: Final = "u"
_NONE: Final = Cell("")
_INTRODUCTION: Final = (
    "What the parts of a method are worth, and how much its settings matter. Each variant is compared "
    "with the method itself on the same data, seeds and other settings; records that differ in one or "
    "two settings only make a curve or a grid. Look-alikes are generated data: their numbers say nothing "
    "about the benchmarks."
)


def parts(data: ReportData) -> list[Part]:
    """Return components, choices among modalities and settings, and commands for those without a run."""
    ablations = [with_tests(one, data.per_query_tables) for one in data.ablations]
    components = [_components(one, data.labels) for one in ablations]
    gaps = missing(data)
    return [
        Part(text=(_INTRODUCTION,)),
        Part("Components", exhibits=components),
        Part("Choices among modalities", exhibits=[_choices(one) for one in ablations if one.choices]),
        Part("Settings", exhibits=_setting_exhibits(data)),
        Part(listings=[Listing("What was not run, and how to run it", gaps)] if gaps else []),
    ]


def figures(data: ReportData) -> list[Part]:
    """Return bars of variants, choices among modalities, and lines and grids of settings."""
    return [Part("Charts", exhibits=[*variant_figures(data), *setting_figures(data)])]


def _components(ablation: Ablation, labels: Labels) -> TableExhibit:
    """Return every variant's numbers, and their differences from those of the method itself.

    Of many directions only the average is shown, with the numbers of directions in which a variant is
    significantly below and above.
    """
    shown = shown_columns(ablation.columns)
    wide = AVERAGE in shown and len(shown) == 1
    variants, lines = [ablation.itself, *ablation.components], []
    tops = tops_of(shown, [one.row.entries for one in variants], ablation.protocol, 1)
    for one in variants:
        label, search = one.variant, f"{ablation.label} {one.variant}"
        changes, counts = Cell(changes_text(one.changes)), _significant(one) if wide else []
        if one is variants[0]:
            label, search, changes, counts = "the method itself", ablation.label, _NONE, [_NONE] * len(counts)
        cells = (changes, *_numbers(one, shown, tops), *counts, seeds_cell(one.row.entries.values()))
        lines.append(Line(label, cells, search=search))
    below_above = map(Column, ("below", "above")) if wide else ()
    return TableExhibit(
        name=ablation_stem("components", ablation),
        caption=f"{ablation.label}, its components — {_about(ablation)}",
        corner="Variant",
        columns=(Column("changes"), *_columns(shown), *below_above, Column("seeds")),
        lines=tuple(lines),
        notes=tuple(_notes(ablation, labels, wide=wide)),
        subject=data_subject(ablation.data, ablation.protocol),
        values=(Values("ablations/components.csv", COMPONENT_FIELDS, list(_component_values(ablation))),),
    )


def _choices(ablation: Ablation) -> TableExhibit:
    """Return the numbers of each fixed choice of a modality beside the method's choice."""
    shown = shown_columns(ablation.columns)
    rows = [one.row.entries for one in (ablation.itself, *ablation.choices)]
    tops = tops_of(shown, rows, ablation.protocol, 1)
    setting, default = ablation.choice
    fits = max((spread.seeds for spread in ablation.quality.values()), default=0)
    records = ablation.full.entries[AVERAGE].records
    itself = (_NONE, _NONE, *_numbers(ablation.itself, shown, tops))
    lines = [Line(setting_text(default), itself, search=ablation.label)]
    for one in ablation.choices:
        chosen = f"{ablation.chosen.get(one.modality, 0)} of {fits}" if ablation.chosen else ""
        quality = spread_cell(ablation.quality.get(one.modality), ".3f", records, "not recorded")
        cells = (quality, Cell(chosen), *_numbers(one, shown, tops))
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
        caption=f"{ablation.label}, fixed modalities against the method's choice — {_about(ablation)}",
        corner=setting,
        columns=(Column("quality S_k"), Column("chosen"), *_columns(shown)),
        lines=tuple(lines),
        notes=(
            f"quality S_k: the value by which {ablation.label} chooses, from its records; chosen: in how "
            "many of its fits; diff.: difference from the method's choice, paired by seed.",
        ),
        subject=data_subject(ablation.data, ablation.protocol),
        values=(Values("ablations/choices.csv", CHOICE_FIELDS, values),),
    )


def missing(data: ReportData) -> list[str]:
    """Return sentences that name ablations and sweeps without a run, with their commands."""
    labels = data.labels
    alike: dict[tuple[Data, ...], list[str]] = defaultdict(list)
    for method, bare in unablated(data.results).items():
        for group in _by_profile(bare):
            alike[group].append(method)
    gaps = [
        (f"No variants of {', '.join(map(labels.title, methods))}", f"ablate {' '.join(methods)}", group)
        for group, methods in alike.items()
    ]
    shown, reference = {(one.data, one.method) for one in data.sensitivities}, labels.reference
    run = by_data(record for record in data.records if record.identity.method == reference)
    bare = [one for one in run if (one, reference) not in shown]
    alone = f"One choice of settings alone of {labels.title(reference)}"
    gaps += [(alone, f"sweep {reference} --param NAME=VALUE,VALUE", each) for each in _by_profile(bare)]
    sentences = []
    for what, words, group in gaps:
        where = f"{', '.join(dict.fromkeys(one.dataset for one in group))} in the {group[0].profile} profile"
        sentences.append(f"{what} on {where}: {command(words, group, labels)}")
    return sentences


def command(words: str, data: Sequence[Data], labels: Labels) -> str:
    """Return the command that runs what is missing on data of one profile; bundles by their files."""
    datasets = [one.dataset if labels.modalities(one.dataset) else f"PATH/{one.dataset}.npz" for one in data]
    options = f"--datasets {shlex.quote(','.join(dict.fromkeys(datasets)))} --profile {data[0].profile}"
    return f"python -m bench {words} {options}"


def _columns(shown: Sequence[Direction]) -> Iterator[Column]:
    for direction in shown:
        name = direction_name(direction)
        yield Column(name, direction=name)
        yield Column("diff.", f"{name}, minus the method itself")


def _numbers(
    one: Component, shown: Sequence[Direction], tops: Mapping[Direction, Sequence[str]]
) -> Iterator[Cell]:
    for column in shown:
        entry, difference = one.row.entries[column], one.differences.get(column)
        yield entry_cell(entry, tops[column])
        if difference is None:
            yield _NONE
        else:
            mark = "" if difference.comparison is None else difference.comparison.mark
            yield spread_cell(difference.spread, "+.3f", entry.records, mark=mark)


def _significant(component: Component) -> list[Cell]:
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
    again = command(f"ablate {ablation.method}", [ablation.data], labels)
    differences = [one for part in ablation.components for one in part.differences.values()]
    yield (
        "diff.: the variant minus the method itself, mean and deviation over the seeds that both have."
        + (f" All {len(ablation.columns) - 1} directions: components.csv." if wide else "")
    )
    if any(one.comparison for one in differences):
        significant = f"permutation test over queries, p ≤ {ALPHA} after Holm over the variants of a column"
        yield (
            f"{HOLDS}: the difference is significant ({significant}), and its 95 % interval over seeds "
            f"and queries excludes zero; {MODELS_ONLY}: these trained models differ, but the interval "
            f"includes zero.{f' below, above: in how many directions it is {HOLDS}.' if wide else ''}"
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


def _component_values(ablation: Ablation) -> Iterator[tuple[object, ...]]:
    head = (*data_values(ablation.data), ablation.protocol, ablation.selection, ablation.method)
    for column in ablation.columns:
        for one in (ablation.itself, *ablation.components):
            entry, difference = one.row.entries[column], one.differences.get(column)
            test = None if difference is None else difference.comparison
            tested: tuple[object, ...] = (None,) * 6
            if test is not None:
                tested = test.p, test.adjusted, test.interval.low, test.interval.high, test.effect, test.mark
            yield (
                *(*head, one.label, one.variant, json.dumps(one.changes, sort_keys=True), *column),
                *(*entry_values(entry), *((None,) * 3 if difference is None else difference.spread)),
                *(*tested, entry.reason, " ".join(entry.records)),
            )


def _setting_exhibits(data: ReportData) -> list[TableExhibit]:
    """Return a table per curve and grid; those of further protocols are in the CSV file alone."""
    first = [one for one in data.sensitivities if data.is_first(one.protocol)]
    found = [_curve(one) if len(one.settings) == 1 else _grid(one) for one in first]
    if found:
        rows = [row for one in data.sensitivities for row in _setting_values(one)]
        found[0] = replace(found[0], values=(Values("ablations/sensitivity.csv", SETTING_FIELDS, rows),))
    return found


def _curve(one: Sensitivity) -> TableExhibit:
    shown, lines = shown_columns(one.columns), []
    tops = tops_of(shown, [point.row.entries for point in one.points], one.protocol, 1)
    for point in one.points:
        entries, average = point.row.entries, point.row.entries[AVERAGE]
        numbers = (entry_cell(entries[column], tops[column]) for column in shown)
        validation = spread_cell(point.validation, ".3f", average.records, "not traced")
        label = setting_text(point.values[0]) + (" (usual)" if point.usual else "")
        lines.append(Line(label, (*numbers, validation, seeds_cell([average]))))
    columns = [Column(direction_name(column), direction=direction_name(column)) for column in shown]
    note = "validation: highest mAP@all on the validation rows along the epochs, mean over directions."
    return _setting_exhibit(
        one, one.settings[0], [*columns, Column("validation"), Column("seeds")], lines, note
    )


def _grid(one: Sensitivity) -> TableExhibit:
    points = {tuple(map(setting_text, point.values)): point for point in one.points}
    tops = tops_of([AVERAGE], [point.row.entries for point in one.points], one.protocol, 1)[AVERAGE]
    across = one.values(1)

    def cell(*values: Any) -> Cell:
        point = points.get(tuple(map(setting_text, values)))
        if point is None:
            return entry_cell(ABSENT)
        return entry_cell(point.row.entries[AVERAGE], tops, _USUAL if point.usual else "")

    lines = [
        Line(setting_text(value), tuple(cell(value, other) for other in across)) for value in one.values(0)
    ]
    columns = [Column(f"{one.settings[1]}={setting_text(value)}", direction="average") for value in across]
    usual = f" {_USUAL}: the usual settings." if any(point.usual for point in one.points) else ""
    return _setting_exhibit(one, one.settings[0], columns, lines, f"Averages over directions.{usual}")


def _setting_exhibit(
    one: Sensitivity, corner: str, columns: Sequence[Column], lines: Sequence[Line], note: str
) -> TableExhibit:
    entries = [point.row.entries[AVERAGE] for point in one.points]
    reasons = sorted({entry.reason for entry in entries if entry.reason})
    return TableExhibit(
        name=sensitivity_stem(one),
        caption=f"{heading(one)} — {data_name(one.data)}, {one.protocol}, selection {one.selection}",
        corner=corner,
        columns=tuple(columns),
        lines=tuple(replace(line, search=one.title) for line in lines),
        notes=tuple(text for text in (note, uneven_seeds(one), *reasons) if text),
        subject=data_subject(one.data, one.protocol),
    )


def _setting_values(one: Sensitivity) -> Iterator[tuple[object, ...]]:
    head = (*data_values(one.data), one.protocol, one.selection, one.method, one.title)
    for point in one.points:
        values = (json.dumps(value, sort_keys=True) for value in point.values)
        settings = [word for pair in zip(one.settings, values, strict=True) for word in pair]
        rest = [None] * (4 - len(settings))  # of a second setting that does not vary
        for column in one.columns:
            entry = point.row.entries[column]
            validation = point.validation if column == AVERAGE else None
            yield (
                *(*head, *settings, *rest, "usual" if point.usual else "", *column, *entry_values(entry)),
                *((None, None) if validation is None else validation[:2]),
                *(entry.reason, " ".join(entry.records)),
            )


TOPIC: Final = Topic(
    "ablations", "Ablations and settings", parts, figures, folder="ablations", formats=(".tex",), order=50
)
