"""The head of the page: what was run, on what, where, how much of it came out, and who leads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.analysis.groups import by_data
from bench.analysis.labels import EARLIER
from bench.analysis.tables import AVERAGE, Entry, Table
from bench.records.schema import Record
from bench.report.material import Material
from bench.report.page.exhibits import Exhibit, about_data, number, plain_sheet
from bench.report.tables import Cell, Line
from bench.report.text import made_by

_LEADERS = 3


@dataclass(frozen=True)
class Overview:
    """What the head of the page says.

    Attributes:
        counts: number and what it counts, most important first.
        facts: what the records have in common, or all that they have: name and values.
        line: when, with which state of the harness, and how long it took.
        warnings: sentences that a reader must see before any number.
        exhibits: what was run, and who leads.
    """

    counts: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    line: tuple[str, ...]
    warnings: tuple[str, ...]
    exhibits: tuple[Exhibit, ...]


def overview_of(material: Material) -> Overview:
    """Return the overview of a report."""
    return Overview(
        tuple(_counts(material)),
        tuple(_facts(material)),
        tuple(_line(material.records)),
        tuple(_warnings(material)),
        tuple(exhibit for exhibit in (_what_was_run(material), _leaders(material)) if exhibit.sheet.lines),
    )


def _counts(material: Material) -> Iterable[tuple[str, str]]:
    records = material.records
    statuses = Counter(record.status for record in records)
    done = statuses.pop("done", 0)
    yield f"{done}", f"of {len(records)} cells done"
    for status, count in sorted(statuses.items()):
        yield f"{count}", status.replace("-", " ")
    methods = {record.identity.method for record in records}
    kinds = Counter(data.kind for data in by_data(records))
    yield f"{len(methods)}", _plural("method", len(methods))
    for kind, word in (("real", "real dataset"), ("look-alike", "look-alike")):
        if kinds[kind]:
            yield f"{kinds[kind]}", _plural(word, kinds[kind])
    seeds = {record.identity.seed for record in records}
    yield f"{len(seeds)}", _plural("seed", len(seeds))
    harnesses = {data.harness for data in by_data(records)}
    if len(harnesses) > 1:
        yield f"{len(harnesses)}", "versions of the harness, which share no table"


def _warnings(material: Material) -> Iterable[str]:
    kinds = {record.identity.data_kind for record in material.records}
    if "look-alike" in kinds:
        yield (
            ("Everything here is from" if kinds == {"look-alike"} else "Some of these tables are from")
            + " look-alikes: generated data that only has a benchmark's shape. Their numbers say nothing "
            "about the benchmark."
        )
    if any(record.identity.profile == "quick" for record in material.records):
        yield (
            "The quick profile trains small networks for few epochs: its numbers compare methods under one "
            "small budget, and are not those of the papers."
        )
    if material.selection == "oracle":
        yield "These numbers were selected on the test split (oracle): they show what peeking would give."
    if len({record.identity.seed for record in material.records}) == 1:
        yield "Everything rests on one seed: how much numbers vary from seed to seed is not known."


def _facts(material: Material) -> Iterable[tuple[str, tuple[str, ...]]]:
    records = material.records
    runs = [record.environment for record in records]
    yield "Selection", (f"{material.selection}: {_RULES.get(material.selection, 'as the records say')}",)
    yield "Protocols", tuple(material.protocols)
    yield "Seeds", (_seeds(records).text,)
    yield "Profiles", _distinct(records, lambda record: record.identity.profile)
    yield "Commits", _distinct(records, _commit)
    names = sorted({name for run in runs for name in run.versions})
    yield (
        "Versions",
        tuple(
            f"{name} {', '.join(sorted({run.versions[name] for run in runs if name in run.versions}))}"
            for name in names
        ),
    )
    yield "Machines", _distinct(records, _machine)
    yield "Harness", _distinct(records, lambda record: record.identity.harness or EARLIER)
    yield "Devices", _distinct(records, lambda record: record.environment.device)


def _line(records: Sequence[Record]) -> Iterable[str]:
    runs = [record.environment for record in records]
    days = sorted(run.started[:10] for run in runs)
    if days:
        yield f"Run {days[0]}" if days[0] == days[-1] else f"Run {days[0]} to {days[-1]}"
    commits = {run.commit for run in runs if run.commit}
    if commits:
        dirty = ", with uncommitted changes" if any(run.dirty for run in runs) else ""
        yield (f"commit {min(commits)[:8]}" if len(commits) == 1 else f"{len(commits)} commits") + dirty
    yield f"{_duration(sum(run.seconds.get('total', 0.0) for run in runs))} of computing"


_RULES = {
    "best": "chosen on validation data, test split sealed until then",
    "last": "the last epoch",
    "oracle": "chosen on the test split",
}


def _what_was_run(material: Material) -> Exhibit:
    lines, abouts = [], []
    for data, members in by_data(material.records).items():
        present = dict.fromkeys(name for record in members for name in record.identity.modalities)
        known = [name for name in material.labels.modalities(data.dataset) if name in present]
        order = dict.fromkeys([*known, *present])
        done = sum(record.status == "done" for record in members)
        cells = (
            *(Cell(data.kind), Cell(data.profile), Cell(", ".join(order)), Cell(data.fingerprint[:8])),
            Cell(made_by(data.device, data.harness)),
            number(len({record.identity.method for record in members}), 0),
            _seeds(members),
            *(number(done, 0), number(len(members) - done, 0)),
        )
        lines.append(Line(data.dataset, cells))
        abouts.append(about_data(data))
    headings = (
        *("Dataset", "Kind", "Profile", "Modalities", "Data", "Made by"),
        *("Methods", "Seeds", "Done", "Not done"),
    )
    sheet = plain_sheet("what-was-run", headings, lines, "What was run")
    return Exhibit(sheet, title="What was run", abouts=abouts)


def _leaders(material: Material) -> Exhibit:
    protocol = material.protocols[0]
    lines, abouts = [], []
    for table in material.tables:
        best = _best(table)
        if table.protocol != protocol or not best:
            continue
        made = Cell(made_by(table.data.device, table.data.harness))
        cells = [Cell(table.kind), Cell(table.profile), Cell(table.data.fingerprint[:8]), made]
        for label, entry in best:
            cells += [Cell(label), _mean(entry)]
        cells += [Cell("—")] * (4 + 2 * _LEADERS - len(cells))
        lines.append(Line(table.dataset, tuple(cells)))
        abouts.append(about_data(table.data))
    places = [word for name in ("Best", "Second", "Third") for word in (name, "mAP")]
    sheet = plain_sheet(
        "leaders", ("Dataset", "Kind", "Profile", "Data", "Made by", *places), lines, "Highest averages"
    )
    note = f"Average {protocol} over directions and seeds. Whether the differences hold is under Statistics."
    return Exhibit(sheet, title="Highest averages", abouts=abouts, said=(note,))


def _best(table: Table) -> list[tuple[str, Entry]]:
    """Return the competing rows with the highest averages."""
    rows = [row for row in table.competing if row.entries[AVERAGE].mean is not None]
    entries = [(row.label, row.entries[AVERAGE]) for row in rows]
    return sorted(entries, key=lambda item: -(item[1].mean or 0.0))[:_LEADERS]


def _mean(entry: Entry) -> Cell:
    return number(entry.mean, 3, entry.records)


def _commit(record: Record) -> str:
    run = record.environment
    return (run.commit[:12] or "no checkout") + (" with uncommitted changes" if run.dirty else "")


def _machine(record: Record) -> str:
    host = record.environment.host
    cores = f"{host['cores']} cores" if host.get("cores") else ""
    return ", ".join(part for part in (host.get("name"), host.get("processor"), cores) if part) or "unknown"


def _distinct(records: Sequence[Record], value: Callable[[Record], str]) -> tuple[str, ...]:
    """Return each value, the most frequent first, with how many records have it where there are several."""
    counts = Counter(map(value, records))
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    return tuple(name if len(ordered) == 1 else f"{name} ({counts[name]})" for name in ordered)


def _seeds(records: Iterable[Record]) -> Cell:
    """Return how many seeds there are, and which: ``1 (seed 0)``, ``3 (0-2)``."""
    found = {record.identity.seed for record in records}
    which = f"seed {min(found)}" if len(found) == 1 else _ranges(found)
    return Cell(f"{len(found)} ({which})" if found else "0", number=float(len(found)))


def _ranges(numbers: Iterable[int]) -> str:
    """Return numbers in short: ``0-4, 7``."""
    runs: list[list[int]] = []
    for one in sorted(numbers):
        if runs and runs[-1][-1] == one - 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
