"""Table cells and notes that several topics share: means over seeds, counts, marks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from bench.analysis.groups import Data
from bench.analysis.tables import AVERAGE, Direction, Entry, Row, Spread, ZeroRows
from bench.records.protocols import is_rank
from bench.report.exhibit import Cell, Emphasis
from bench.signed import signed

_Key = TypeVar("_Key")

LACKING: Final = "—"
"""Stands for a number that does not exist."""
PSEUDO_PAIRS: Final = "†"
PSEUDO_PAIRS_NOTE: Final = (
    f"{PSEUDO_PAIRS} trained on class-matched pseudo-pairs, since the data has no pairs."
)
GIVEN_NOTE: Final = (
    "Not trained here: another program computed these embeddings or similarities. On which data they were "
    "trained and by what they were selected is unknown, test data not excluded: {}."
)
ONE_SEED_NOTE: Final = (
    "A number from one seed has no deviation: how much it varies from seed to seed is not known; "
    "run more with: python -m bench run --seeds 5"
)
REFERENCE_NOTE: Final = "Reference points do not compete with the methods: {}."
ZERO_MARK: Final = "‡"
"""Marks numbers with embeddings of norm zero among them."""
ZERO_NOTE: Final = (
    f"{ZERO_MARK} the embeddings of some {{}} are zero vectors: their similarity to "
    "everything is 0, and ties count by their expectation. They are {}."
)
DATA_FIELDS: Final = ("dataset", "data_kind", "profile", "fingerprint", "condition", "device", "harness")
STUDY_FIELDS: Final = (*DATA_FIELDS, "protocol", "selection", "method", "label")
FEW_DIRECTIONS: Final = 2
"""Directions up to which tables show each in full; of more they show averages or short headings."""


def data_values(data: Data) -> tuple[str, ...]:
    """Return data as the columns `DATA_FIELDS` of a CSV file."""
    made = data.condition, data.device, data.harness
    return data.dataset, data.kind, data.profile, data.fingerprint, *made


def entry_values(entry: Entry) -> tuple[object, ...]:
    """Return mean, deviation and number of seeds."""
    return entry.mean, entry.deviation, entry.seeds


def number_cell(
    value: float | None, form: str = ",.2f", records: Sequence[str] = (), lacking: str = LACKING
) -> Cell:
    """Return a formatted number, or ``lacking`` without a number."""
    if value is None:
        return Cell(lacking, records=tuple(records))
    return Cell(signed(value, form), number=float(value), records=tuple(records))


def number_cells(forms: str, *values: float | None, records: Sequence[str] = ()) -> list[Cell]:
    """Return several numbers; ``forms`` has a format for each, or one for all."""
    every = forms.split() if " " in forms else [forms] * len(values)
    return [number_cell(value, form, records) for value, form in zip(values, every, strict=True)]


def spread_cell(
    spread: Spread | None, form: str = ".3f", records: Sequence[str] = (), lacking: str = "", mark: str = ""
) -> Cell:
    """Return a mean with its deviation; ``lacking`` is the reason if there is none."""
    if spread is None:
        return Cell(lacking, missing=bool(lacking))
    deviation = "" if spread.deviation is None else format(spread.deviation, form.removeprefix("+"))
    text = signed(spread.mean, form)
    return Cell(text, mark=mark, number=spread.mean, records=tuple(records), spread=deviation)


def tops_of(
    columns: Iterable[_Key], rows: Sequence[Mapping[_Key, Entry]], protocol: str, count: int = 2
) -> dict[_Key, list[str]]:
    """Return the best means of each column as printed: means that are printed alike have the same rank."""
    found = {}
    for column in columns:
        entries = (row[column] for row in rows)
        means = {f"{entry.mean:.3f}": entry.mean for entry in entries if entry.mean is not None}
        found[column] = sorted(means, key=means.__getitem__, reverse=not is_rank(protocol))[:count]
    return found


def entry_cell(entry: Entry, tops: Sequence[str] = (), mark: str = "", form: str = ".3f") -> Cell:
    """Return an entry's cell; ``tops`` are the means to emphasise, none for a row that does not compete."""
    if entry.mean is None:
        return Cell(entry.brief or "no result", missing=True, records=entry.records)
    mean = format(entry.mean, form)
    spread = "" if entry.deviation is None else format(entry.deviation, form)
    mark += ZERO_MARK if entry.zeros else ""
    return Cell(mean, emphasis(mean, tops), mark, number=entry.mean, records=entry.records, spread=spread)


def emphasis(text: str, tops: Sequence[str]) -> Emphasis:
    """Return the emphasis of a printed number; ``tops`` are the best and the second."""
    kinds: tuple[Emphasis, ...] = ("best", "second")
    return kinds[tops.index(text)] if text in tops else ""


def seeds_cell(entries: Iterable[Entry]) -> Cell:
    """Return the number of seeds of entries: ``5``, or ``3-5`` if it differs."""
    counts = sorted({entry.seeds for entry in entries})
    text = str(counts[0]) if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"
    return Cell(text, number=float(counts[-1]))


def zero_embeddings_note(rows: Iterable[Row]) -> list[str]:
    """Return the note on embeddings of norm zero; empty without such embeddings."""
    return zero_rows_note((row.label, row.zeros) for row in rows)


def zero_rows_note(found: Iterable[tuple[str, Sequence[ZeroRows]]]) -> list[str]:
    """Return the same note of zero rows by what they are rows of."""
    having = [(name, zeros) for name, zeros in found if zeros]
    gallery = any(one.gallery for _, zeros in having for one in zeros)
    words = [f"{name}: {', '.join(one.words for one in zeros)}" for name, zeros in having]
    which = "rows of the test split or the gallery" if gallery else "test rows"
    return [ZERO_NOTE.format(which, "; ".join(words))] if words else []


def given_note(files: Iterable[tuple[str, str]]) -> list[str]:
    """Return the note on rows that were computed elsewhere, given as label and digest of the file, if any."""
    found = dict.fromkeys(f"{label}, file SHA-256 {digest}" for label, digest in files if digest)
    return [GIVEN_NOTE.format("; ".join(found))] if found else []


def shown_columns(columns: Sequence[Direction]) -> tuple[Direction, ...]:
    """Return the directions that a table of variants or settings shows, then the average."""
    directions = [column for column in columns if column != AVERAGE]
    return (*(directions if len(directions) <= FEW_DIRECTIONS else ()), AVERAGE)


def setting_text(value: Any) -> str:
    """Return a setting's value as it is typed."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def changes_text(changes: Mapping[str, Any]) -> str:
    """Return settings as they are typed, or a remark that there are none."""
    return ", ".join(f"{key}={setting_text(value)}" for key, value in changes.items()) or "nothing here"
