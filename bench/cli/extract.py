"""``data extract``: encode a table of raw pictures, texts and sounds, and write a feature bundle."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from bench.cli.formatting import clock, print_lines
from bench.cli.formatting import table as table_lines
from bench.cli.options import ARGUMENT, Count, Device, FilePath, Words, make_command
from bench.contract import UsageError
from bench.plural import counted

_PATIENCE: Final = 10.0  # seconds between two lines of progress in a log
_USUAL: Final = {
    "image": ("image", "picture", "photo", "path", "file", "filename", "image_path"),
    "text": ("text", "caption", "title", "sentence", "description"),
    "audio": ("audio", "sound", "wav", "audio_path"),
}

Chosen = Annotated[tuple[str, ...], Words("[COLUMN=]ENCODER")]


@dataclass(frozen=True)
class ColumnOptions:
    """Columns of the table that hold labels, splits and ids.

    Attributes:
        labels: Column of the labels.  [default: labels, label, class, category]
        split: Column of the words train, validation and test.  [default: split, part; without one, a fifth
            of the ids is the test split]
        ids: Column of ids: rows with the same id show the same thing.  [default: id; else the row number]
        multi_label: Split labels at ';': a row may have several classes. (Lists need no option.)
    """

    labels: str | None = None
    split: str | None = None
    ids: str | None = None
    multi_label: bool = False


@make_command("extract", plugins="none")
def command(
    *,
    table: Annotated[Path, ARGUMENT, FilePath("file")],
    output: Annotated[Path, FilePath("file")],
    image: Chosen = (),
    text: Chosen = (),
    audio: Chosen = (),
    columns: ColumnOptions,
    batch: Count = 32,
    device: Device = "cpu",
    skip_broken: bool = False,
    allow_outside: bool = False,
    plugin: tuple[Path, ...] = (),
) -> None:
    """Encode the raw data of TABLE (.csv, .tsv, .parquet, .jsonl) and write a feature bundle for `run`.

    An entry of the table is a text, or the path of a picture or sound below the table's folder; an empty
    entry is a missing item. An encoder is NAME or NAME:SETTING=VALUE,...; `python -m bench list encoders`
    lists them. After an interruption, the same command continues.

    Args:
        output: Path of the bundle (.npz).
        image: Encoder of pictures, such as efficientnet-lite0; COLUMN is the column and the modality's name.
            May be repeated.
        text: Encoder of texts, such as minilm or tfidf:terms=chars,longest=3; may be repeated.
        audio: Encoder of sounds, such as mfcc; may be repeated.
        batch: Number of items in a batch.
        device: Device to encode on.
        skip_broken: Leave out pictures and sounds that cannot be read, and count them.
        allow_outside: Accept absolute paths and paths outside of the table's folder.
        plugin: A Python file with your encoders; may be repeated.
    """
    from bench import encoders

    rows_of = encoders.read_table(table)
    given = {"image": image, "text": text, "audio": audio}
    wanted = [_wanted(rows_of, kind, word, plugin, device) for kind in given for word in given[kind]]
    names = [modality.name for modality in wanted]
    if not 2 <= len(names) == len(set(names)):
        what = f"the modalities are {', '.join(names) or 'none'}"
        raise UsageError(f"{what}; name two or more different ones: --image, --text, --audio")
    rows = encoders.read_rows(rows_of, **asdict(columns))
    options = encoders.Options(batch, skip_broken, allow_outside)
    made = encoders.extract(rows_of, rows, wanted, output, options, _Progress())
    for name, (count, reason) in made.skipped.items():
        print_lines(f"{name}: {counted(count, 'item')} left out, the first: {reason}")
    sizes = table_lines([{"part": part, **counts} for part, counts in made.rows.items()])
    print_lines(*encoders.summary_lines(made.card), "", *sizes)
    print_lines(f"wrote {output}; next: python -m bench run --datasets {output}")


def _wanted(rows_of: Any, kind: str, given: str, plugins: Sequence[Path], device: str) -> Any:
    """Return a modality of ``[COLUMN=]ENCODER``."""
    from bench import encoders

    before, separator, after = given.partition("=")
    column, encoder = (before, after) if separator and ":" not in before else (None, given)
    name = column or kind
    if column is None:
        column = rows_of.first_of(_USUAL[kind])
        if column is None:
            raise UsageError(f"{rows_of.path} has no column of {kind}s; name it: --{kind} COLUMN={given}")
    rows_of.column(column)
    made = encoders.create_encoder(kind, encoder, plugins, device)  # type: ignore[arg-type]
    return encoders.Wanted(name, column, made, encoder)


class _Progress:
    """Prints the progress of a modality: in one line on a terminal, every ten seconds in a log."""

    def __init__(self) -> None:
        self._name = ""
        self._began = self._printed = self._first = 0.0

    def __call__(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        if name != self._name:
            self._name, self._began, self._printed, self._first = name, now, now, done
        elapsed = now - self._began
        rate = (done - self._first) / elapsed if elapsed > 0 else 0.0
        left = f", about {clock((total - done) / rate)} left" if rate and done < total else ""
        line = f"{name}: {done}/{total}, {rate:.0f}/s{left}"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if done == total else ""))
            sys.stderr.flush()
        elif done == total or now - self._printed >= _PATIENCE:
            self._printed = now
            print_lines(line, err=True)
