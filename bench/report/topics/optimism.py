"""Selection optimism: the gain from choosing the epoch on the test set."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from bench.analysis.optimism import Optimism, optimism_of
from bench.records.protocols import is_rank
from bench.report.cells import DATA_FIELDS, ONE_SEED_NOTE, data_values, number_cells, spread_cell
from bench.report.exhibit import Line, Part, Topic, Values, data_table
from bench.report.report_data import ReportData
from bench.report.text import data_name, data_stem, file_stem

FIELDS: Final = (
    *(*DATA_FIELDS, "protocol", "method", "label", "seeds"),
    *("best", "best_deviation", "last", "last_deviation", "oracle", "oracle_deviation"),
    *("gain", "gain_deviation", "gain_least", "gain_most", "records"),
)
_INTRODUCTION: Final = (
    "What choosing the epoch on the test set would have added, had it been allowed: the oracle's mAP minus "
    "that of the epoch that best chose by validation, average over directions. The oracle takes the epoch "
    "with the highest mean test mAP@all, so under another protocol it may also lose. Its numbers are no "
    "results; no table has them but under the name oracle. Closed-form methods choose no epoch."
)
_RANKS_NOTE: Final = "Lower ranks are better: where oracle - best is above zero, the oracle is worse."
_NOTHING: Final = (
    "No record has a test-oracle trace; make some with: python -m bench run --trace-test "
    "(which runs finished cells without one again)"
)


def parts(data: ReportData) -> list[Part]:
    """Return a table per data and protocol, or the command that makes one."""
    found = optimism_of(data.results, data.protocols)
    headings = ("Method", "best", "last", "oracle", "oracle - best", "least", "most", "seeds")
    exhibits = []
    for (about, protocol), group in groupby(found, lambda one: (one.data, one.protocol)):
        members, lines = list(group), []
        for one in members:
            rules = (one.best, one.last, one.oracle)
            cells = (
                *(spread_cell(spread, ".3f", one.records, "not recorded") for spread in rules),
                spread_cell(one.gain, "+.3f", one.records),
                *number_cells("+.3f +.3f d", *one.range, len(one.seeds)),
            )
            lines.append(Line(one.label, cells, search=one.label))
        name, caption = file_stem("optimism", data_stem(about), protocol), f"{data_name(about)} — {protocol}"
        notes = [ONE_SEED_NOTE] if any(len(one.seeds) == 1 for one in members) else []
        notes += [_RANKS_NOTE] if is_rank(protocol) else []
        values = (Values("optimism.csv", FIELDS, list(map(_values, members))),)
        more = {"notes": tuple(notes), "title": "", "values": values, "protocol": protocol}
        exhibits.append(data_table(name, caption, about, headings, lines, **more))
    return [Part(text=(_INTRODUCTION, *(() if exhibits else (_NOTHING,))), exhibits=exhibits)]


def _values(one: Optimism) -> tuple[object, ...]:
    return (
        *(*data_values(one.data), one.protocol, one.method, one.label, " ".join(map(str, one.seeds))),
        *(*one.best[:2], *(one.last or (None, None))[:2], *one.oracle[:2], *one.gain[:2], *one.range),
        " ".join(one.records),
    )


TOPIC: Final = Topic("optimism", "Selection optimism", parts, csv_files={"optimism.csv": FIELDS}, order=40)
