"""The overview of the page: methods, data, machines and status of the cells, and the best methods."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from bench.analysis.groups import CLEAN, by_data, harness_for_clean
from bench.analysis.labels import EARLIER
from bench.analysis.tables import AVERAGE
from bench.records.schema import Record
from bench.report.cells import number_cell
from bench.report.exhibit import Cell, Line, TableExhibit, data_subject, plain_table
from bench.report.report_data import ReportData
from bench.report.text import dataset_title, made_by, measure_name

_LEADERS: Final = 3
_RULES: Final = {
    "best": "chosen on validation data, test split sealed until then",
    "last": "the last epoch",
    "oracle": "chosen on the test split",
}


class Overview(NamedTuple):
    """The content of the overview."""

    counts: list[tuple[str, str]]  # number and what it counts, most important first
    facts: list[tuple[str, list[str]]]  # properties of the records: name and values
    line: list[str]  # date, commit and computing time
    warnings: list[str]  # sentences to show before any number
    exhibits: list[TableExhibit]  # the data of the records, and the best methods


def overview_of(data: ReportData) -> Overview:
    """Return the overview of a report."""
    exhibits = [exhibit for exhibit in (_data_table(data), _best_methods(data)) if exhibit.lines]
    counts, facts = list(_counts(data.records)), list(_facts(data))
    return Overview(counts, facts, list(_line(data.records)), list(_warnings(data)), exhibits)


def _counts(records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    statuses = Counter(record.status for record in records)
    yield str(statuses.pop("done", 0)), f"of {len(records)} cells done"
    yield from ((str(count), status.replace("-", " ")) for status, count in sorted(statuses.items()))
    groups = by_data(records)
    kinds = Counter(kind for kind, _ in {(data.kind, data.dataset) for data in groups})
    conditions = {data.condition for data in groups} - {CLEAN}
    counted = (
        (len({record.identity.method for record in records}), "method"),
        (kinds["real"], "real dataset"),
        (kinds["look-alike"], "look-alike"),
        (len({record.identity.seed for record in records}), "seed"),
        (len(conditions), "condition"),
    )
    yield from ((str(count), word if count == 1 else f"{word}s") for count, word in counted if count)
    harnesses = {harness_for_clean(data) for data in groups}
    if len(harnesses) > 1:
        yield str(len(harnesses)), "versions of the harness, which share no table"


def _warnings(data: ReportData) -> Iterator[str]:
    kinds = {record.identity.data_kind for record in data.records}
    if "look-alike" in kinds:
        which = "Everything here is from" if kinds == {"look-alike"} else "Some of these tables are from"
        yield (
            f"{which} look-alikes: generated data that only has a benchmark's shape. Their numbers say "
            "nothing about the benchmark."
        )
    if any(record.identity.profile == "quick" for record in data.records):
        yield (
            "The quick profile trains small networks for few epochs: its numbers compare methods under one "
            "small budget, and are not those of the papers."
        )
    if data.selection == "oracle":
        yield "These numbers were selected on the test split (oracle): they are not results."
    if len({record.identity.seed for record in data.records}) == 1:
        yield "Everything rests on one seed: how much numbers vary from seed to seed is not known."


def _facts(data: ReportData) -> Iterator[tuple[str, list[str]]]:
    def commit(record: Record) -> str:
        run = record.environment
        return (run.commit[:12] or "no checkout") + (" with uncommitted changes" if run.dirty else "")

    def machine(record: Record) -> str:
        host = record.environment.host
        cores = f"{host['cores']} cores" if host.get("cores") else ""
        return ", ".join(filter(None, (host.get("name"), host.get("processor"), cores))) or "unknown"

    records = data.records
    yield "Selection", [f"{data.selection}: {_RULES.get(data.selection, 'as the records say')}"]
    yield "Protocols", list(data.protocols)
    yield "Seeds", [_seeds(records).text]
    yield "Profiles", _distinct(records, lambda record: record.identity.profile)
    yield "Commits", _distinct(records, commit)
    versions: dict[str, set[str]] = defaultdict(set)
    for name, version in (item for record in records for item in record.environment.versions.items()):
        versions[name].add(version)
    yield "Versions", [f"{name} {', '.join(sorted(found))}" for name, found in sorted(versions.items())]
    yield "Machines", _distinct(records, machine)
    yield "Harness", _distinct(records, lambda record: record.identity.harness or EARLIER)
    yield "Devices", _distinct(records, lambda record: record.environment.device)


def _line(records: Sequence[Record]) -> Iterator[str]:
    runs = [record.environment for record in records]
    days = sorted(run.started[:10] for run in runs)
    if days:
        yield f"Run {days[0]}" if days[0] == days[-1] else f"Run {days[0]} to {days[-1]}"
    commits = {run.commit for run in runs if run.commit}
    if commits:
        dirty = ", with uncommitted changes" if any(run.dirty for run in runs) else ""
        yield (f"commit {min(commits)[:8]}" if len(commits) == 1 else f"{len(commits)} commits") + dirty
    seconds = sum(run.seconds.get("total", 0.0) for run in runs)
    hours, minutes = divmod(round(seconds / 60), 60)
    spent = f"{seconds:.0f} s" if seconds < 90 else f"{hours} h {minutes} min" if hours else f"{minutes} min"
    yield f"{spent} of computing"


def _data_table(data: ReportData) -> TableExhibit:
    lines = []
    for one, members in by_data(data.records).items():
        present = dict.fromkeys(name for record in members for name in record.identity.modalities)
        known = [name for name in data.labels.modalities(one.dataset) if name in present]
        done = sum(record.status == "done" for record in members)
        methods = len({record.identity.method for record in members})
        modalities, made = ", ".join(dict.fromkeys([*known, *present])), made_by(one.device, one.harness)
        about = map(Cell, (one.kind, one.profile, modalities, one.fingerprint[:8], made))
        counts = (number_cell(done, "d"), number_cell(len(members) - done, "d"))
        cells = (*about, number_cell(methods, "d"), _seeds(members), *counts)
        lines.append(Line(dataset_title(one.dataset, one.condition), cells, subject=data_subject(one)))
    headings = ("Dataset", "Kind", "Profile", "Modalities", "Data", "Made by", "Methods", "Seeds")
    return plain_table("what-was-run", "What was run", (*headings, "Done", "Not done"), lines)


def _best_methods(data: ReportData) -> TableExhibit:
    protocol = data.protocols[0]
    lines = []
    for table in data.first_tables:
        one, sign = table.data, 1 if table.lower_is_better else -1
        entries = [(row.label, row.entries[AVERAGE]) for row in table.competing]
        known = [(sign * mean, label, entry) for label, entry in entries if (mean := entry.mean) is not None]
        cells = [*map(Cell, (one.kind, one.profile, one.fingerprint[:8], made_by(one.device, one.harness)))]
        for _, label, entry in sorted(known, key=lambda item: item[0])[:_LEADERS]:
            cells += [Cell(label), number_cell(entry.mean, ".3f", entry.records)]
        cells += [Cell("—")] * (4 + 2 * _LEADERS - len(cells))
        if known:
            lines.append(Line(one.dataset, tuple(cells), subject=data_subject(one)))
    number = measure_name(protocol)
    ranking = [word for name in ("Best", "Second", "Third") for word in (name, number)]
    note = f"Average {protocol} over directions and seeds. Whether the differences hold is under Statistics."
    headings = ("Dataset", "Kind", "Profile", "Data", "Made by", *ranking)
    return plain_table("leaders", "Highest averages", headings, lines, text=(note,))


def _distinct(records: Sequence[Record], value: Callable[[Record], str]) -> list[str]:
    """Return the values, the most frequent first; several with the number of their records."""
    counts = Counter(map(value, records))
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    return [name if len(ordered) == 1 else f"{name} ({counts[name]})" for name in ordered]


def _seeds(records: Iterable[Record]) -> Cell:
    """Return the number of seeds and their indices: ``1 (seed 0)``, ``3 (0-2)``, ``3 (0-1, 4)``."""
    seeds = sorted({record.identity.seed for record in records})
    runs = [[seed for _, seed in run] for _, run in groupby(enumerate(seeds), lambda one: one[1] - one[0])]
    ranges = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    which = f"seed {ranges}" if len(seeds) == 1 else ranges
    return Cell(f"{len(seeds)} ({which})" if seeds else "0", number=float(len(seeds)))
