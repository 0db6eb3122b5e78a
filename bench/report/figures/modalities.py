"""What a method gains by its choice among modalities: each of them fixed, beside the choice."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from bench.analysis.ablations import Ablation
from bench.analysis.tables import AVERAGE
from bench.report.ablations.components import in_words, stem
from bench.report.figures.lettering import SMALL, shortened
from bench.report.figures.picture import Picture
from bench.report.figures.rows import (
    AROUND,
    ROW,
    SECTION,
    Bar,
    about,
    averaged,
    bare,
    dot,
    name_rows,
    own_bar,
    values_of,
)
from bench.report.figures.style import FAINT, INK, TWO_COLUMNS, Look, look
from bench.report.material import Material
from bench.report.text import data_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pictures(material: Material) -> list[Picture]:
    """Return a figure per method of which variants fix a choice among modalities."""
    return [
        _picture(ablation, look(ablation.method, material.labels), stem("choices", ablation))
        for ablation in material.plain_ablations
        if ablation.protocol == material.protocols[0]
        and any(one.row.entries[AVERAGE].mean is not None for one in ablation.choices)
    ]


def _picture(ablation: Ablation, way: Look, name: str) -> Picture:
    setting, own = ablation.choice
    most = max(ablation.chosen.values(), default=0)
    bars = [
        Bar(
            one.modality
            + (
                f" (chosen {count}\N{MULTIPLICATION SIGN})"
                if (count := ablation.chosen.get(one.modality))
                else ""
            ),
            values_of(one.row, (AVERAGE,)),
            None,
            quality=ablation.quality.get(one.modality),
            chosen=bool(most) and ablation.chosen.get(one.modality) == most,
        )
        for one in ablation.choices
    ]
    # By the quality, so that one sees whether mAP follows it.
    bars.sort(key=lambda bar: -(bar.quality.mean if bar.quality else -1.0))
    itself = own_bar(ablation, in_words(own), (AVERAGE,))
    chosen = ", ".join(f"{name} in {count}" for name, count in ablation.chosen.items()) or "not noted"
    said = [f"{bar.label}: {bar.values[0][0]:.3f}" for bar in bars if bar.values[0] is not None]
    return Picture(
        stem=name,
        section=SECTION,
        title=f"Choice of a modality by {ablation.label}: {data_name(ablation.data)}",
        caption=(
            f"{ablation.label} with one modality's {setting} instead of its own choice "
            f"({in_words(own)}). {about(ablation)} Left: the quality S_k that it chooses by. Right: "
            f"{averaged(ablation)}. Deviations over seeds. Filled: what most of its fits chose ({chosen})."
        ),
        alt=f"mAP by modality, highest quality first: {', '.join(said)}.",
        data=ablation.data,
        draw=partial(_draw, bars, itself, setting, way, ablation.protocol),
    )


def _draw(bars: Sequence[Bar], own: Bar, setting: str, way: Look, protocol: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(TWO_COLUMNS, ROW * len(bars) + AROUND))
    left, right = figure.subplots(1, 2, sharey=True)
    for place, bar in enumerate(bars):
        if bar.quality is not None:
            left.errorbar(bar.quality.mean, place, xerr=bar.quality.deviation, **dot(way, filled=bar.chosen))
        if bar.values[0] is not None:
            mean, deviation = bar.values[0]
            right.errorbar(mean, place, xerr=deviation, **dot(way, filled=bar.chosen))
        else:
            right.text(0.02, place, "no result", transform=right.get_yaxis_transform(), fontsize=SMALL)
    if own.values[0] is not None:
        mean, deviation = own.values[0]
        line = right.axvline(mean, color=INK, linewidth=0.7, label=f"its own choice ({shortened(own.label)})")
        if deviation:
            right.axvspan(mean - deviation, mean + deviation, color=FAINT, zorder=0)
        figure.legend(handles=[line], loc="outside lower right")
    left.set(xlabel="quality S_k", ylabel=shortened(setting))
    right.set_xlabel(f"{protocol}, average")
    name_rows(left, bars)
    bare(right)
    for axis in (left, right):
        axis.margins(x=0.12)
        axis.grid(visible=False, axis="y")
        axis.locator_params(axis="x", nbins=5)
    return figure
