"""Ablations as tables: what each variant changes and costs, and whose choice of a modality is how good."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.analysis.ablations import Ablation, Component
from bench.analysis.comparisons import HOLDS, MODELS_ONLY
from bench.analysis.groups import Data
from bench.analysis.labels import Labels
from bench.analysis.statistics import ALPHA
from bench.analysis.tables import AVERAGE, Direction, Row, Spread
from bench.report.tables.arranging import cell_of, top_two
from bench.report.tables.sheet import Cell, Column, Line, Sheet
from bench.report.text import data_name, file_stem, made_by_stem

FEW = 2
"""Directions up to which a table shows every one beside the average."""

_TOLD_APART = ("below", "above")
"""Columns of a table without single directions: in how many of these a variant is significantly so."""


def component_sheet(ablation: Ablation, labels: Labels) -> Sheet:
    """Return every variant's numbers, and how far they are from those of the method itself."""
    shown = shown_columns(ablation)
    rows = [ablation.full, *(component.row for component in ablation.components)]
    tops = {column: top_two(row.entries[column] for row in rows)[:1] for column in shown}
    blank = [Cell("")] * len(_TOLD_APART) if _wide(ablation) else []
    own = (Cell(""), *_numbers(ablation.full, None, shown, tops), *blank, _seeds(ablation.full))
    lines = [Line("the method itself", own)]
    for one in ablation.components:
        counts = _told_apart(one) if _wide(ablation) else []
        cells = (*_numbers(one.row, one, shown, tops), *counts, _seeds(one.row))
        lines.append(Line(one.variant, (Cell(changes_in_words(one.changes)), *cells)))
    return Sheet(
        name=stem("components", ablation),
        caption=f"{ablation.label}, its components — {_about(ablation)}",
        corner="Variant",
        columns=(
            *(Column("changes"), *_columns(shown)),
            *(map(Column, _TOLD_APART) if _wide(ablation) else ()),
            Column("seeds"),
        ),
        lines=tuple(lines),
        notes=tuple(_notes(ablation, labels)),
    )


def choice_sheet(ablation: Ablation) -> Sheet | None:
    """Return what each fixed choice of a modality gives against the method's own; None without any."""
    if not ablation.choices:
        return None
    shown = shown_columns(ablation)
    rows = [ablation.full, *(component.row for component in ablation.choices)]
    tops = {column: top_two(row.entries[column] for row in rows)[:1] for column in shown}
    setting, own = ablation.choice
    fits = max((spread.seeds for spread in ablation.quality.values()), default=0)
    lines = [Line(in_words(own), (Cell(""), Cell(""), *_numbers(ablation.full, None, shown, tops)))]
    for one in ablation.choices:
        quality = ablation.quality.get(one.modality)
        chosen = f"{ablation.chosen.get(one.modality, 0)} of {fits}" if ablation.chosen else ""
        cells = (
            _quality(quality, ablation.full.entries[AVERAGE].records),
            Cell(chosen),
            *_numbers(one.row, one, shown, tops),
        )
        lines.append(Line(one.modality, cells))
    return Sheet(
        name=stem("choices", ablation),
        caption=f"{ablation.label}, one modality against its own choice — {_about(ablation)}",
        corner=setting,
        columns=(Column("quality S_k"), Column("chosen"), *_columns(shown)),
        lines=tuple(lines),
        notes=(
            f"quality S_k: what {ablation.label} goes by when it chooses, noted in its records; chosen: in "
            "how many of its fits; diff.: minus its own choice, paired by seed.",
        ),
    )


def shown_columns(ablation: Ablation) -> tuple[Direction, ...]:
    """Return the directions that a table has room for, then the average."""
    directions = [column for column in ablation.columns if column != AVERAGE]
    return (*(directions if len(directions) <= FEW else ()), AVERAGE)


def changes_in_words(changes: Mapping[str, Any]) -> str:
    """Return settings as they are typed, or that there are none."""
    return ", ".join(f"{key}={in_words(value)}" for key, value in changes.items()) or "nothing here"


def in_words(value: Any) -> str:
    """Return a setting's value as it is typed."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def command(name: str, method: str, data: Sequence[Data], labels: Labels) -> str:
    """Return the command that fills a gap; data of a user's own is given by the path of its file.

    Args:
        name: ``ablate`` or ``sweep``.
        method: registry name, and what else follows it.
        data: all of one profile.
        labels: knows the modalities of registered datasets.
    """
    places = [one.dataset if labels.modalities(one.dataset) else f"PATH/{one.dataset}.npz" for one in data]
    words = f"python -m bench {name} {method} --datasets {shlex.quote(','.join(dict.fromkeys(places)))}"
    return f"{words} --profile {data[0].profile}"


def _columns(shown: Sequence[Direction]) -> Iterator[Column]:
    for direction in shown:
        name = "average" if direction == AVERAGE else f"{direction[0]}→{direction[1]}"
        yield Column(name)
        yield Column("diff.", f"{name}, minus the method itself")


def _numbers(
    row: Row,
    component: Component | None,
    shown: Sequence[Direction],
    tops: Mapping[Direction, Sequence[str]],
) -> Iterator[Cell]:
    for column in shown:
        yield cell_of(row.entries[column], tops[column])
        yield Cell("") if component is None else _difference(component, column)


def _difference(component: Component, column: Direction) -> Cell:
    difference = component.differences.get(column)
    if difference is None:
        return Cell("")
    mean, deviation, _ = difference.spread
    mark = "" if difference.comparison is None else difference.comparison.mark
    spread = "" if deviation is None else f"{deviation:.3f}"
    return Cell(
        f"{mean:+.3f}",
        mark=mark,
        number=mean,
        records=component.row.entries[column].records,
        spread=spread,
    )


def _told_apart(component: Component) -> list[Cell]:
    found = [
        one.comparison
        for direction, one in component.differences.items()
        if one.comparison is not None and direction != AVERAGE
    ]
    if not found:
        return [Cell("not tested", missing=True)] * 2
    holding = [one.difference for one in found if one.holds]
    counts = sum(one < 0 for one in holding), sum(one > 0 for one in holding)
    return [Cell(str(count), number=count) for count in counts]


def _quality(quality: Spread | None, records: tuple[str, ...]) -> Cell:
    if quality is None:
        return Cell("not noted", missing=True)
    spread = "" if quality.deviation is None else f"{quality.deviation:.3f}"
    return Cell(f"{quality.mean:.3f}", number=quality.mean, records=records, spread=spread)


def _seeds(row: Row) -> Cell:
    counts = sorted({entry.seeds for entry in row.entries.values()})
    return Cell(str(counts[0]) if len(counts) == 1 else f"{counts[0]}-{counts[-1]}")


def _notes(ablation: Ablation, labels: Labels) -> Iterator[str]:
    again = command("ablate", ablation.method, [ablation.data], labels)
    yield (
        "diff.: the variant minus the method itself, mean and deviation over the seeds that both have."
        + (f" All {len(ablation.columns) - 1} directions: components.csv." if _wide(ablation) else "")
    )
    if any(one.comparison for part in ablation.components for one in part.differences.values()):
        significant = f"randomization test over queries, p ≤ {ALPHA} after Holm over the variants of a column"
        yield (
            f"{HOLDS}: the difference is significant ({significant}), and its 95 % interval over seeds "
            f"and queries leaves zero out; {MODELS_ONLY}: these trained models differ, but the interval "
            "holds zero."
            + (f" below, above: in how many directions it is {HOLDS}." if _wide(ablation) else "")
        )
    if any(one.spread.seeds == 1 for part in ablation.components for one in part.differences.values()):
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


def _wide(ablation: Ablation) -> bool:
    return len(ablation.columns) - 1 > FEW


def _about(ablation: Ablation) -> str:
    return f"{data_name(ablation.data)}, {ablation.protocol}, selection {ablation.selection}"


def stem(what: str, ablation: Ablation) -> str:
    """Return the name of files that show ``what`` of an ablation, without an ending; unlike any other's."""
    data, label = ablation.data, ablation.label
    return file_stem(
        *(what, ablation.method, data.dataset, data.kind, data.profile, ablation.protocol),
        *(ablation.selection, data.fingerprint[:8], *made_by_stem(data.device, data.harness)),
        # Two labels may be spelled alike in the name of a file.
        *([] if ablation.usual else [hashlib.sha256(label.encode()).hexdigest()[:6]]),
    )
