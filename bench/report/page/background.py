"""What else a reader asks: what results cost, what the methods are, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterable

from bench.analysis.costs import Cost, costs_of
from bench.analysis.groups import data_of
from bench.analysis.labels import cards_of
from bench.contract import MethodCard
from bench.records.schema import Record
from bench.report.material import Material
from bench.report.page.exhibits import Exhibit, about_data, number, plain_sheet
from bench.report.page.records import name_of
from bench.report.page.section import Part, Section
from bench.report.tables import Cell, Line
from bench.report.text import data_name, stem_of


def costs(material: Material) -> Section:
    """Return the section of time and memory."""
    exhibits = []
    for data, members in costs_of(material.results).items():
        headings = ("Method", "Cells", "Fit, s", "Evaluate, s", "All, s", "Peak, MiB", "GPU peak, MiB")
        lines = [_cost(cost) for cost in members]
        exhibits.append(
            Exhibit(
                plain_sheet(f"costs_{stem_of(data)}", headings, lines, data_name(data)),
                title=data.dataset,
                about=about_data(data),
                methods=[cost.label for cost in members],
                fold="all",
            )
        )
    said = (
        "Wall-clock seconds in the worker, of whatever ran beside it (median of fitting and evaluating, sum "
        "of all); peak memory is the worker's largest resident size, libraries included."
    )
    return Section("costs", "Time and memory", [Part(said=(said,), exhibits=exhibits)] if exhibits else [])


def methods(material: Material) -> Section:
    """Return the section of what the methods are, by their cards."""
    present = {record.identity.method for record in material.records}
    found = cards_of(material.records)
    cards = [found[name] for name in sorted(present & found.keys(), key=material.labels.order)]
    headings = ("Method", "Authors", "Venue", "Year", "Family", "Role", "Pairs")
    exhibit = Exhibit(
        plain_sheet("method-cards", headings, map(_card, cards), "Methods"),
        methods=[f"{card.title} {card.name}" for card in cards],
    )
    departures = [
        (card.title, [*_from("the paper", card.from_paper), *_from("the released code", card.from_release)])
        for card in cards
        if card.from_paper or card.from_release
    ]
    parts = [Part(exhibits=[exhibit]), Part("Where they depart from their sources", lists=departures)]
    return Section("methods", "Methods", parts if cards else [])


def without_result(material: Material) -> Section:
    """Return the section of what failed, was refused or skipped, and of records that are damaged or stale."""
    failed = [record for record in material.records if record.failure is not None]
    failed.sort(key=lambda record: (record.identity.title, record.digest))
    headings = ("Method", "Status", "Dataset", "Modalities", "Seed", "Reason")
    lines = [_failed(record, name_of(record, material.labels)) for record in failed]
    exhibit = Exhibit(
        plain_sheet("cells-without-result", headings, lines, "Cells without a result"),
        methods=[
            f"{line.label} {record.identity.method}" for line, record in zip(lines, failed, strict=True)
        ],
        abouts=[about_data(data_of(record)) for record in failed],
    )
    damaged = [f"{folder}: {sentence}" for folder, sentence in material.problems]
    parts = [
        Part(exhibits=[exhibit] if failed else ()),
        Part("Records left out", said=damaged) if damaged else Part(),
        Part("Records of other code", said=[*material.stale]) if material.stale else Part(),
    ]
    return Section("failures", "Cells without a result", [part for part in parts if not part.empty])


def _cost(cost: Cost) -> Line:
    seconds = (number(cost.fit), number(cost.evaluate), number(cost.total, 1))
    memory = (_mebibytes(cost.memory), _mebibytes(cost.device_memory))
    return Line(cost.label, (number(cost.cells, 0), *seconds, *memory))


def _mebibytes(size: int | None) -> Cell:
    return number(None if size is None else size / 2**20, 0)


def _card(card: MethodCard) -> Line:
    year = Cell(str(card.year or ""), number=card.year)
    words = (Cell(card.family), Cell(card.role), Cell(card.pairs))
    return Line(card.title, (Cell(card.authors), Cell(card.venue), year, *words))


def _from(origin: str, items: Iterable[str]) -> list[str]:
    return [f"From {origin}: {item}" for item in items]


def _failed(record: Record, name: str) -> Line:
    who = record.identity
    reason = "" if record.failure is None else record.failure.reason
    cells = (
        *(Cell(record.status, records=(record.digest,)), Cell(who.dataset), Cell(" + ".join(who.modalities))),
        *(Cell(str(who.seed), number=who.seed), Cell(reason.partition("\n")[0] or "no reason given")),
    )
    return Line(name, cells)
