"""``results``: the results frame, one row per number."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final, Literal

from bench.analysis.results import COLUMNS, Filter, frame_of, words_of
from bench.atomic import is_stream, write_output
from bench.cli.formatting import bytes_of, print_lines, table, write_data
from bench.cli.options import FilePath, ResultsOption, make_command
from bench.cli.select_records import condition_words, read_records, with_queries
from bench.contract.errors import UsageError
from bench.plural import counted
from bench.records.store import Store

if TYPE_CHECKING:
    import pandas as pd

PRINTED: Final = tuple(name for name in COLUMNS if name not in ("label", "reason"))
FURTHER: Final = ("fingerprint", "condition", "device", "code", "harness", "threads", "settings")
"""Columns that are mostly the same everywhere."""


@make_command("results", plugins="none")
def command(
    *,
    format_: Literal["table", "csv", "json", "parquet"] = "table",
    output: Annotated[Path | None, FilePath()] = None,
    methods: tuple[str, ...] = (),
    datasets: tuple[str, ...] = (),
    conditions: tuple[str, ...] = (),
    protocols: tuple[str, ...] = (),
    selection: Literal["recorded", "best", "last", "oracle", "every"] = "recorded",
    folder: ResultsOption,
) -> int:
    """Print one row per cell, direction and protocol.

    A cell without a result has one row without numbers. Exit status 0; 1 if a record is damaged; 2 for
    wrong usage or no records.

    Args:
        format_: Output format; parquet needs --output and a library for it (fastparquet or pyarrow).
        output: File to write instead of printing.
        methods: Only these methods; names or globs.
        datasets: Only these datasets; names or globs.
        conditions: Only these conditions: clean, names, groups, ids or globs, such as 'label-noise@*'.
        protocols: Only these protocols; ids or globs, such as 'map@50*'.
        selection: Selection rule; recorded: the rule of each record (best, or none in closed form).
    """
    readable, problems = read_records(folder.results)
    records, _, contradictory = with_queries(Store(folder.results), readable, lambda _: True)
    only = condition_words(conditions, records)
    chosen = Filter(methods=words_of(methods), datasets=words_of(datasets), conditions=only)
    frame = frame_of(records, chosen, words_of(protocols), None if selection == "recorded" else selection)
    if format_ == "parquet":
        _write_parquet(frame, output)
    elif output is not None:
        write_output(output, _text(frame, format_))
    elif format_ == "table":
        print_lines(*_text(frame, format_).splitlines())
    else:
        write_data(_text(frame, format_))
    if output is not None:
        print_lines(f"wrote {output}: {counted(len(frame), 'row')}", err=is_stream(output))
    if format_ == "table":
        models = Store(folder.results).models
        kept, size, _ = models.totals({*frame["record"]})
        print_lines(
            *([f"stored models: {kept} of these cells, {bytes_of(size)} in {models.root}"] if kept else [])
        )
    return int(bool(problems or contradictory))


def _text(frame: pd.DataFrame, form: Literal["table", "csv", "json"]) -> str:
    """Return the frame as text; what does not apply is empty."""
    plain = frame.astype(object).where(frame.notna(), "")
    if form == "csv":
        return plain.to_csv(index=False, lineterminator="\n")
    if form == "json":
        return json.dumps(plain.to_dict("records"), indent=1) + "\n"
    # What all rows share of the further columns is left out: lines are long enough.
    columns = [name for name in PRINTED if name not in FURTHER or plain[name].nunique() > 1]
    values = plain["value"].map(lambda value: value if value == "" else f"{value:.4f}")
    rows = plain.assign(value=values)[columns].to_numpy().tolist()
    return "\n".join(table(rows, columns)) + "\n"


def _write_parquet(frame: pd.DataFrame, output: Path | None) -> None:
    """Write the frame as a Parquet file; raises `UsageError`."""
    if output is None:
        raise UsageError("--format parquet needs --output FILE: the format is not text")
    if find_spec("pyarrow") is None and find_spec("fastparquet") is None:
        raise UsageError(
            "to write Parquet files, install a library for them: pip install 'cross-modal-bench[parquet]'"
        )
    with TemporaryDirectory() as folder:
        file = Path(folder) / "frame.parquet"
        frame.to_parquet(file, index=False)
        write_output(output, file.read_bytes())
