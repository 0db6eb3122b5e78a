"""Conditions: mAP by level, drop from clean data, and which methods accept which condition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bench.analysis.ablations import Ablation
from bench.analysis.comparisons import HOLDS, MODELS_ONLY
from bench.analysis.condition_levels import (
    Drop,
    LevelSeries,
    Taken,
    clean_of,
    differences_of,
    flexibility,
)
from bench.analysis.groups import CLEAN, Data, condition_order
from bench.analysis.statistics import ALPHA
from bench.analysis.tables import ABSENT, AVERAGE, NOT_RUN
from bench.conditions.names import SAME
from bench.report.cells import DATA_FIELDS, data_values, entry_cell, number_cell, spread_cell
from bench.report.exhibit import Cell, Line, Part, TableExhibit, Topic, Values, data_table
from bench.report.figures.condition_levels import (
    columns_of,
    drop_grid,
    drops_by_data,
    level_figure,
    methods_of,
    with_half_width,
)
from bench.report.report_data import ReportData
from bench.report.text import CONFIDENCE, data_name, data_stem, file_stem
from bench.signed import signed

FIELDS: Final = (
    *(*DATA_FIELDS, "effective", "protocol", "selection", "method", "label"),
    *("mean", "deviation", "seeds", "clean", "reason", "records"),
)
_INTRODUCTION: Final = (
    "A condition changes training data before any method sees them; the test stays clean, but for those "
    "about the test. All methods meet the same rows, and what is changed at one level is changed at every "
    f"higher one. Validation data stay clean unless the condition says {SAME}. Levels are nominal; notes say "
    "what was reached where it differs. Clean cells are those of the same dataset, "
    "fingerprint, profile, device and versions. mAP is the average over directions."
)
_DROP_NOTE: Final = (
    "Drop: clean minus under the condition (of ranks the reverse), on the same seeds, ± half its "
    f"{CONFIDENCE} t interval over seeds. clean: mean ± deviation over seeds."
)
_CHOICE_NOTE: Final = (
    "S_k: the quality that the method chooses by; chosen: in how many fits; alone: mAP with that modality "
    f"fixed; minus chosen: paired by seed, ± half its {CONFIDENCE} t interval. Other numbers: mean ± "
    "deviation over seeds."
)
_LEVEL_NOTE: Final = (
    "Mean over the levels, of seeds with all of them; drop: clean minus that mean (of ranks the reverse), on "
    "the same seeds, also in per cent of the clean number; mean and drop ± the deviation over seeds. Ranks, "
    "1 is best: of the best mean, and of the smallest drop in per cent; reference points, and methods that "
    "lack a level, are not ranked."
)
_FLEXIBLE_NOTE: Final = (
    "native: trained on the rows as they are; in part: on those of them that it can use, such as rows with a "
    "partner; pseudo-pairs: on rows that were matched by class; otherwise how the cells ended."
)
_TEST_NOTE: Final = (
    f"Average over directions: the reference minus the method. {HOLDS}: differs over queries "
    f"(Holm-adjusted p ≤ {ALPHA}), and the {CONFIDENCE} interval over seeds and queries excludes zero; "
    f"{MODELS_ONLY}: these trained models differ, but the interval includes zero. "
    "p-values and intervals: statistics.md."
)
_OPTIMISM: Final = (
    "mAP with clean validation data minus mAP where validation data got the same treatment: the gain of a "
    "selection on data that is not available in practice. Paired by seed."
)


def parts(data: ReportData) -> list[Part]:
    """Return the tables of all conditions; nothing for clean data alone."""
    if not data.drops:
        return []
    flexible = [_flexible_exhibit(*item, data) for item in flexibility(data.results).items()]
    levels = [_level_exhibit(*one) for one in data.drops]
    tests = [one for series, _ in data.drops if (one := _test_exhibit(series, data)) is not None]
    optimism = list(_optimism_exhibits(data))
    return [
        Part(text=(_INTRODUCTION,)),
        Part("What each method loses", exhibits=list(_drop_exhibits(data)), notes=(_DROP_NOTE,)),
        Part("Levels and drop from clean data", exhibits=levels, notes=(_LEVEL_NOTE,)),
        Part("Which methods take which condition", exhibits=flexible, notes=(_FLEXIBLE_NOTE,)),
        Part("Paired tests by level", exhibits=tests, notes=(_TEST_NOTE,)),
        Part("Choices among modalities", exhibits=[*_choice_exhibits(data)], notes=(_CHOICE_NOTE,)),
        *([Part("Optimism of clean validation", (_OPTIMISM,), optimism)] if optimism else []),
    ]


def _exhibit(
    kind: str, series: LevelSeries, caption: str, headings: Sequence[str], lines: list[Line], **more: object
) -> TableExhibit:
    """Return a table about one series, which is named in its file's name, caption and subject."""
    return data_table(
        file_stem(kind, series.name, data_stem(series.data)),
        f"{series.name}: {caption}, {series.protocol} — {data_name(series.data)}",
        series.data,
        headings,
        lines,
        title=f"{series.data.dataset}: {series.name}",
        protocol=series.protocol,
        **more,
    )


def _drop_exhibits(data: ReportData) -> Iterator[TableExhibit]:
    """Return a table per data: the drops of methods at every level of every condition."""
    for about, conditions in drops_by_data(data).items():
        columns, lines = columns_of(conditions), []
        for method, one in methods_of(conditions).items():
            cells = [entry_cell(one.entries[CLEAN])]
            for _, level, by_method in columns:
                found = by_method.get(method)
                entry = ABSENT if found is None else found.entries[level]
                drop = None if found is None else found.drops.get(level)
                lacks = "no clean cell" if found is None or found.comparable else "other test rows"
                brief = entry.brief or (lacks if entry.mean is not None else NOT_RUN)
                cells.append(spread_cell(with_half_width(drop), "+.3f", entry.records, brief))
            lines.append(Line(one.row.label, tuple(cells), search=f"{one.row.label} {method.method}"))
        protocol = conditions[0][0].protocol
        heads = (series.levels[level].data.condition for series, level, _ in columns)
        yield data_table(
            file_stem("drops", data_stem(about)),
            f"Drop from clean data, {protocol} — {data_name(about)}",
            about,
            ("Method", CLEAN, *heads),
            lines,
            protocol=protocol,
            notes=_reached([series for series, _ in conditions]),
        )


def _reached(found: Sequence[LevelSeries]) -> tuple[str, ...]:
    """Return a note on the levels that the training rows reached, where these are not the nominal ones."""
    reached = [
        f"{table.data.condition} {table.effective}"
        for series in found
        for level, table in series.levels.items()
        if table.reached and not _is_nominal(table.reached, level)
    ]
    return (f"Levels that the training rows reached: {'; '.join(reached)}.",) if reached else ()


def _is_nominal(reached: Sequence[float | str], level: str) -> bool:
    """Return whether a level was reached but for the rounding to whole rows; it may be a modality's name."""
    try:
        return all(abs(float(value) - float(level)) < 0.005 for value in reached)
    except ValueError:  # names of modalities, or of a file's level
        return reached == (level,)


def _choice_exhibits(data: ReportData) -> Iterator[TableExhibit]:
    """Yield a table per data and method that chooses among modalities: numbers of every choice."""
    groups: dict[tuple[Data, str], list[Ablation]] = defaultdict(list)
    for one in data.ablations:
        if one.choices and one.usual and data.is_first(one.protocol):
            groups[clean_of(one.data), one.method].append(one)
    for (about, method), members in groups.items():
        if all(one.data.condition == CLEAN for one in members):
            continue
        members.sort(key=lambda one: condition_order(one.data.condition))
        names, lines = list(dict.fromkeys(part.modality for one in members for part in one.choices)), []
        for one in members:
            fixed = {part.modality: part for part in one.choices}
            chosen = ", ".join(f"{name} {count}" for name, count in one.chosen.items())
            cells = [Cell(chosen), entry_cell(one.full.entries[AVERAGE])]
            for name in names:
                part = fixed.get(name)
                difference = part.differences.get(AVERAGE) if part else None
                spread = with_half_width(difference.spread if difference else None)
                cells += [
                    spread_cell(one.quality.get(name), ".3f", (), "not recorded"),
                    entry_cell(part.row.entries[AVERAGE] if part else ABSENT),
                    spread_cell(spread, "+.3f", (), "no pair"),
                ]
            lines.append(Line(one.data.condition, tuple(cells), search=one.label))
        label, protocol = members[0].label, members[0].protocol
        heads = [head for name in names for head in (f"S_k {name}", f"{name} alone", f"{name} minus chosen")]
        yield data_table(
            file_stem("choices-by-condition", method, data_stem(about)),
            f"{label}, one modality against its choice, {protocol} — {data_name(about)}",
            about,
            ("condition", "chosen (fits)", label, *heads),
            lines,
            title=f"{about.dataset}: {label}",
            protocol=protocol,
        )


def _level_exhibit(series: LevelSeries, by_method: Sequence[Drop]) -> TableExhibit:
    ranked = [one for one in by_method if one.mean is not None and one.row.role != "reference"]
    lower = next(iter(series.levels.values())).lower_is_better
    means = sorted((one.mean.mean for one in ranked if one.mean is not None), reverse=not lower)
    drops = sorted(one.percent for one in ranked if one.percent is not None)
    lines, several = [], len(series.levels) > 1
    for one in by_method:
        entries = one.entries.values()
        behind = tuple(dict.fromkeys(digest for entry in entries for digest in entry.records))
        rank = means.index(one.mean.mean) + 1 if one in ranked and one.mean else None
        percent = drops.index(one.percent) + 1 if one in ranked and one.percent is not None else None
        mean = spread_cell(one.mean, ".3f", behind, "not all levels")
        cells = (*map(entry_cell, entries), *([mean] if several else []), number_cell(rank, "d"))
        if series.clean is not None:
            cells += (
                spread_cell(one.drop, "+.3f", behind, "no pair" if one.comparable else "other test rows"),
                number_cell(one.percent, "+.1f", behind),
                number_cell(percent, "d"),
            )
        lines.append(Line(one.row.label, cells, search=f"{one.row.label} {one.key.method}"))
    drop = () if series.clean is None else ("drop", "drop in %", "its rank")
    headings = ("Method", *series.tables, *(["mean over levels"] if several else []), "rank", *drop)
    values = (Values("conditions/levels.csv", FIELDS, list(_values(series, by_method))),)
    notes = [*_reached([series])]
    if series.clean is None:
        notes.append("No clean cell of the same data and protocol is recorded.")
    elif not all(one.comparable for one in by_method):
        notes.append(
            "The test rows are others than those of clean data: the difference is no drop, and not shown."
        )
    return _exhibit("levels", series, "by level", headings, lines, values=values, notes=tuple(notes))


def _values(series: LevelSeries, by_method: Sequence[Drop]) -> Iterator[tuple[object, ...]]:
    for one in by_method:
        clean = one.entries.get(CLEAN, ABSENT).mean
        for level, table in series.levels.items():
            entry = one.entries[level]
            yield (
                *(*data_values(table.data), table.effective, table.protocol, table.selection),
                *(one.key.method, one.row.label, entry.mean, entry.deviation, entry.seeds, clean),
                *(entry.reason, " ".join(entry.records)),
            )


def _flexible_exhibit(
    about: Data, methods: Mapping[str, Mapping[str, Taken]], data: ReportData
) -> TableExhibit:
    names = list(dict.fromkeys(name for taken in methods.values() for name in taken if name != CLEAN))
    lines, reasons = [], defaultdict[str, dict[str, None]](dict)
    for method, taken in methods.items():
        cells, title = [], data.labels.title(method)
        for name in (CLEAN, *names):
            found = taken.get(name, Taken({}, (), ()))
            words = [*found.how]
            if len(words) > 1:
                words = [f"{word} at {', '.join(levels)}" for word, levels in found.how.items()]
            missing = not found.how.keys() <= {"native", "native, in part", "pseudo-pairs"}
            cells.append(Cell("; ".join(words) or NOT_RUN, missing=missing, records=found.records))
            for why in found.reasons:
                reasons[f"{name}: {why.removeprefix(f'{title} ')}"][title] = None
        lines.append(Line(title, tuple(cells), search=f"{title} {method}"))
    notes = tuple(f"{why} ({', '.join(titles)})" for why, titles in reasons.items())
    name, caption = file_stem("flexibility", data_stem(about)), f"Methods by conditions — {data_name(about)}"
    return data_table(name, caption, about, ("Method", CLEAN, *names), lines, notes=notes)


def _test_exhibit(series: LevelSeries, data: ReportData) -> TableExhibit | None:
    """Return the tests of the reference against each method by level; None without any."""
    cells, reference = defaultdict[str, dict[str, Cell]](dict), ""
    tables = {table.data: level for level, table in series.levels.items()}
    for family in data.families:
        level = tables.get(family.table.data)
        if level is None or family.table.protocol != series.protocol:
            continue
        usual = {row.label for row in series.rows[level].values()}
        for one in family.comparisons:
            if one.direction == AVERAGE and one.second in usual:
                reference = one.first
                shown = Cell(signed(one.difference, "+.3f"), mark=one.mark, number=one.difference)
                cells[one.second][level] = shown
    if not cells:
        return None
    none = Cell("—")
    lines = [
        Line(label, tuple(found.get(level, none) for level in series.levels), search=label)
        for label, found in cells.items()
    ]
    return _exhibit("tests", series, f"{reference} minus each method", ("Method", *series.levels), lines)


def _optimism_exhibits(data: ReportData) -> Iterator[TableExhibit]:
    known = {(series.data, series.name): (series, by_method) for series, by_method in data.drops}
    for series, _ in data.drops:
        base, by_method = known.get((series.data, series.name.removesuffix(f"/{SAME}")), (series, []))
        if base is series:
            continue
        levels, lines = [level for level in base.levels if level in series.levels], []
        differences = differences_of(base, series, data.results)
        for one in by_method:
            if found := differences.get(one.key):
                cells = tuple(spread_cell(found.get(level), "+.3f", (), "no pair") for level in levels)
                lines.append(Line(one.row.label, cells, search=f"{one.row.label} {one.key.method}"))
        yield _exhibit("clean-validation", base, "clean minus same validation", ("Method", *levels), lines)


def figures(data: ReportData) -> list[Part]:
    """Return a grid of drops per data, and a figure per data and condition of several levels."""
    grids = [drop_grid(*each, data) for each in drops_by_data(data).items()]
    levels = [level_figure(*each, data) for each in data.drops if len(each[0].levels) > 1]
    return [Part("What is lost", exhibits=grids), Part("mAP against the level", exhibits=levels)]


TOPIC: Final = Topic(
    "conditions",
    "Conditions",
    parts,
    figures,
    "conditions/index.md",
    "conditions",
    formats=(".tex",),
    order=60,
)
