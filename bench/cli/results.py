"""``results``: the results frame, one row per number."""

from __future__ import annotations

import json
from typing import Final, Literal

from bench.analysis.results import COLUMNS, Filter, frame_of, words_of
from bench.cli.formatting import say, table, write_data
from bench.cli.options import ResultsOption, make_command
from bench.cli.select_records import read_records

PRINTED: Final = tuple(name for name in COLUMNS if name not in ("label", "reason"))
FURTHER: Final = ("fingerprint", "condition", "device", "code", "harness", "threads", "settings")
"""Columns that are mostly the same everywhere."""


@make_command("results")
def command(
    *,
    format_: Literal["table", "csv", "json"] = "table",
    methods: tuple[str, ...] = (),
    datasets: tuple[str, ...] = (),
    protocols: tuple[str, ...] = (),
    selection: Literal["own", "best", "last", "oracle", "every"] = "own",
    folder: ResultsOption,
) -> int:
    """Print one row per cell, direction and protocol.

    A cell without a result has one row without numbers. Exit status 0; 1 if a record is damaged; 2 for
    wrong usage or no records.

    Args:
        format_: Form of the output.
        methods: Only these; names or globs.
        datasets: Only these; names or globs.
        protocols: Only these; ids or globs, such as 'map@50*'.
        selection: Selection rule: each record's own, or another that was recorded.
        folder: of the records.
    """
    records, problems = read_records(folder.results)
    chosen = Filter(methods=words_of(methods), datasets=words_of(datasets))
    frame = frame_of(records, chosen, words_of(protocols), None if selection == "own" else selection)
    plain = frame.astype(object).where(frame.notna(), "")
    if format_ == "csv":
        write_data(plain.to_csv(index=False, lineterminator="\n"))
    elif format_ == "json":
        write_data(json.dumps(plain.to_dict("records"), indent=1))
    else:
        # What all rows share of the further columns is left out: lines are long enough.
        columns = [name for name in PRINTED if name not in FURTHER or plain[name].nunique() > 1]
        values = plain["value"].map(lambda value: value if value == "" else f"{value:.4f}")
        say(*table(plain.assign(value=values)[columns].to_numpy().tolist(), columns))
    return int(bool(problems))
