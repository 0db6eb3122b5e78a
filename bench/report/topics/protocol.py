"""The protocol as text for a paper, in Markdown and LaTeX, from the records alone."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bench import registry
from bench.analysis.across_datasets import Block
from bench.analysis.groups import CLEAN, Data, RowGroup, harness_for_clean
from bench.analysis.labels import EARLIER, cards_of
from bench.analysis.statistics import ALPHA, LEVEL, PERMUTATIONS, REGION, RESAMPLES
from bench.conditions.names import validation_rows
from bench.plural import counted
from bench.records.protocols import base_of, is_rank
from bench.records.schema import Record, Rows
from bench.report.exhibit import Part, Topic
from bench.report.report_data import ReportData
from bench.report.text import dataset_title
from bench.report.topics.methods import bibliography
from bench.report.writers import latex

_CITATION: Final = re.compile(r"\0([^\0\s{}%\\]+)\0")
_MEASURES: Final = {
    "map": "mean average precision",
    "recall": "recall",
    "precision": "precision",
    "ndcg": "normalised discounted cumulative gain",
    "mrr": "mean reciprocal rank",
    "medr": "median rank",
    "meanr": "mean rank",
}
_DENOMINATORS: Final = {
    "hits": "the number of relevant items found there",
    "min": "the smaller of that rank and the number of relevant items",
    "relevant": "the number of relevant items",
}
_HOST: Final = ("processor", "gpu", "platform")
_PAIRING: Final = {
    "natural": "training rows correspond as the data state",
    "partial": "some of the training rows correspond as the data state",
    "class-matched": "training rows without correspondence were matched by class once per cell",
    "none": "training rows were not paired",
}


Setup = Data  # what the numbers of one protocol text share: without dataset, fingerprint and condition
Paragraph = tuple[str, str]
"""Title and text. Keys to cite are between NUL: LaTeX prints them, other formats leave them out."""


def parts(data: ReportData) -> list[Part]:
    """Return a part per setup, with a paragraph per title."""
    found = []
    for setup, paragraphs in protocols_of(data):
        text = [f"{title}. {_CITATION.sub('', text)}" for title, text in paragraphs]
        found.append(Part(_setup_name(setup), text, kind=setup.kind))
    return found


def files(data: ReportData) -> dict[str, str]:
    """Return the same text as LaTeX, with citations of ``citations.bib``."""
    pieces = ["% Citations: citations.bib. Every statement is computed from the records of this report."]
    for setup, paragraphs in protocols_of(data):
        pieces.append(f"% {_setup_name(setup)}")
        pieces += [rf"\paragraph{{{latex.escape(title)}.}} {_latex(text)}" for title, text in paragraphs]
    return {"protocol.tex": "\n\n".join(pieces) + "\n"}


def protocols_of(data: ReportData) -> list[tuple[Setup, list[Paragraph]]]:
    """Return the paragraphs of each setup, in the order of the tables."""
    groups: dict[Setup, dict[Data, list[RowGroup]]] = defaultdict(dict)
    for key, rows in data.results.groups.items():
        common = {"dataset": "", "fingerprint": "", "condition": CLEAN, "harness": harness_for_clean(key)}
        groups[key._replace(**common)][key] = rows
    return [(setup, list(_paragraphs(data, setup, members))) for setup, members in groups.items()]


def _paragraphs(
    data: ReportData, setup: Setup, groups: Mapping[Data, Sequence[RowGroup]]
) -> Iterator[Paragraph]:
    records = [record for rows in groups.values() for group in rows for record in group.records]
    done = [record for record in records if record.result is not None]
    yield "Data", " ".join(_data(groups))
    yield "Methods", " ".join(_methods(data, setup, groups))
    if done:
        yield "Selection", " ".join(_selection(data, done))
        yield "Evaluation", " ".join(_evaluation(data, done))
    yield "Seeds", " ".join(_seeds(groups, done))
    if statistics := " ".join(_statistics(data, set(groups))):
        yield "Statistics", statistics
    yield "Environment", " ".join(_environment(setup, records))


def _data(groups: Mapping[Data, Sequence[RowGroup]]) -> Iterator[str]:
    known, entries = registry.registered().datasets, bibliography()
    pairing: Counter[str] = Counter()
    for key, rows in groups.items():
        results = [one.result for group in rows for one in group.records if one.result is not None]
        pairing.update(one.pairing for one in results)
        citation = known[key.dataset].card.citation if key.dataset in known else ""
        kind = "" if key.kind == "real" else ", a LOOK-ALIKE: generated data, not the benchmark,"
        name = f"{dataset_title(key.dataset, key.condition)}{kind}{_cite(citation, entries)}"
        if not results:
            yield f"{name} (fingerprint {key.fingerprint[:8]}): no cell has a result."
            continue
        sizes: dict[str, list[Rows]] = defaultdict(list)
        for modality, size in (item for result in results for item in result.rows.items()):
            sizes[modality].append(size)
        effective = {one.effective for one in results if one.effective is not None}
        facts = [f"fingerprint {key.fingerprint[:8]}", *sorted({f"split {one.split}" for one in results})]
        facts += [f"effective level {_span(effective)}"] if effective else []
        facts += filter(None, [validation_rows(key.condition)])
        yield f"{name} ({', '.join(facts)}): {_all_sizes(sizes)}."
    if pairing:
        words = (
            f"{_PAIRING.get(name, name)} ({counted(number, 'cell')})"
            for name, number in sorted(pairing.items())
        )
        yield f"Correspondence: {'; '.join(words)}."


def _all_sizes(sizes: Mapping[str, Sequence[Rows]]) -> str:
    """Return the sizes of all modalities; those of the same sizes together."""
    members: dict[str, list[str]] = defaultdict(list)
    for modality, found in sizes.items():
        width = _span({one.dimension for one in found})
        members[_sizes(found)].append(f"{modality} ({width} dimensions)")
    each = len(members) == 1 and len(sizes) > 1
    return "; ".join(
        f"{_listed(names)}{',' if each else ''} {'each ' if each else ''}{words}"
        for words, names in members.items()
    )


def _sizes(sizes: Sequence[Rows]) -> str:
    """Return the sizes of a modality; they may differ between cells, such as those of given embeddings."""
    counts = {
        "training": {one.given or one.train for one in sizes},
        "validation": {one.validation for one in sizes},
        "test": {one.test for one in sizes},
        "gallery": {one.gallery for one in sizes},
    }
    parts = [f"{_span(found)} {name}" for name, found in counts.items() if name != "gallery" or any(found)]
    unlabelled = {one.unlabelled for one in sizes}
    lacking = f", of the training rows {_span(unlabelled)} without label" if any(unlabelled) else ""
    return f"with {_listed(parts)} rows{lacking}"


def _methods(data: ReportData, setup: Setup, groups: Mapping[Data, Sequence[RowGroup]]) -> Iterator[str]:
    rows = [group for members in groups.values() for group in members]
    known, entries = cards_of(data.records), bibliography()
    first = {group.key.method: group for group in reversed(rows)}  # the first row of each method
    order = sorted(first, key=data.labels.order)
    for role, words in (("", "Compared are"), ("reference", "Reference points, which do not compete, are")):
        names = [name for name in order if (data.labels.role(name) == "reference") == (role == "reference")]
        if names:
            keys = [known[name].citation if name in known else "" for name in names]
            cited = [first[name].title + _cite(key, entries) for name, key in zip(names, keys, strict=True)]
            yield f"{words} {', '.join(cited)}."
    yield f"Settings are those of the {setup.profile} profile."
    changed = dict.fromkeys(group.label for group in rows if not group.usual)
    if changed:
        yield f"Rows of variants, other settings or other code: {'; '.join(changed)}."
    given = dict.fromkeys(group.label for group in rows if group.identity.given)
    if given:
        yield f"Not trained here, but computed by other programs: {'; '.join(given)}."


def _selection(data: ReportData, done: Sequence[Record]) -> Iterator[str]:
    criteria: dict[str, set[str]] = defaultdict(set)
    for record in done:
        assert record.result is not None
        chosen = [one for one in record.result.selected if one.rule == data.selection]
        title = data.labels.title(record.identity.method)
        if record.identity.given:
            criteria["unknown, as another program computed the embeddings"].add(title)
        elif chosen:
            criteria[chosen[0].criterion].add(title)
        elif not record.result.selected:
            criteria["nothing, in closed form"].add(title)
    words = _grouped(criteria)
    yield f"The numbers are those of the state that the rule {data.selection} selects, by: {words}."
    audits = Counter(re.sub(r" \(.*\)", "", one.result.audit) for one in done if one.result is not None)
    for audit, number in audits.most_common():
        yield f"The records of {number} of {counted(len(done), 'cell')} state: {audit}."


def _evaluation(data: ReportData, done: Sequence[Record]) -> Iterator[str]:
    ids = {metric.protocol for one in done if one.result is not None for metric in one.result.metrics}
    shown = [name for base in data.protocols for name in sorted(ids) if base_of(name) == base_of(base)]
    yield f"Reported are {_listed([_measure(name) for name in shown]) or 'no measures'}."
    if any(name.endswith("/gallery") for name in shown):
        split = "queries are the test rows and items are a separate gallery split"
        yield f"Where an id ends in /gallery, {split}."
    if any(not name.endswith("/gallery") for name in shown):
        yield "Queries are the test rows of one modality, and items are the test rows of another."
    yield "Tied items count by the exact expectation over their orders."
    skipping = [name for name in shown if "/skip" in name]
    ranks = {is_rank(name) for name in shown if name not in skipping}
    rules = ["counts 0"] if False in ranks else []
    rules += ["has the rank after the last item"] if True in ranks else []
    if rules:
        yield f"A query without a relevant item {', or '.join(rules)}."
    kinds: dict[str, set[str]] = defaultdict(set)
    for one in done:
        if one.method is not None:
            title = data.labels.title(one.identity.method)
            kinds[str(one.method.card.get("similarity", "cosine"))].add(title)
    if kinds:
        words = next(iter(kinds)) if len(kinds) == 1 else _grouped(kinds)
        yield f"Similarity by the methods' cards: {words}."
    results = [one.result for one in done if one.result is not None]
    if zeros := [one for one in results if one.zero_rows.get(one.selection)]:
        split = " or gallery" if any(rows.gallery for one in zeros for rows in one.rows.values()) else ""
        where = f"In {counted(len(zeros), 'cell')} some test{split} embeddings are zero"
        yield f"{where}: their similarity to everything counts as 0."


def _measure(protocol: str) -> str:
    """Return the name of a measure with its rules, and its id."""
    head, *rest = base_of(protocol).split("/")
    name, _, cut = head.partition("@")
    words = _MEASURES.get(name, name)
    if cut == "all":
        words += " over the whole ranking"
    elif "first" in rest:
        words += f" over the first {cut} relevant items of a query, at any rank"
    elif cut:
        words += f" at rank {cut}"
    divided = next((_DENOMINATORS[part] for part in rest if part in _DENOMINATORS), "")
    return f"{words}{f', divided by {divided}' if divided else ''} ({protocol})"


def _seeds(groups: Mapping[Data, Sequence[RowGroup]], done: Sequence[Record]) -> Iterator[str]:
    per_row = [
        {one.identity.seed for one in group.records if one.result is not None}
        for rows in groups.values()
        for group in rows
    ]
    counts = {len(seeds) for seeds in per_row if seeds}
    if counts:
        seeds = sorted({one.identity.seed for one in done})
        plural, listed = "" if counts == {1} else "s", _listed(map(str, seeds))
        if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
            listed = f"{seeds[0]} to {seeds[-1]}"
        yield f"A row of a table has {_span(counts)} seed{plural}: {listed}."
        if max(counts) > 1:
            yield "Numbers are the mean and the sample standard deviation over seeds."
        if min(counts) == 1:
            yield "A number of one seed has no deviation."
    cells = [one for rows in groups.values() for group in rows for one in group.records]
    lacking = Counter(one.status for one in cells if one.result is None)
    if lacking:
        words = ", ".join(f"{number} {status}" for status, number in sorted(lacking.items()))
        yield f"Of {len(cells)} cells {sum(lacking.values())} have no result: {words}."


def _statistics(data: ReportData, members: set[Data]) -> Iterator[str]:
    families = [one for one in data.families if one.table.data in members and one.comparisons]
    if families:
        references = _listed(sorted({one.reference for one in families if one.reference}))
        yield (
            f"Rows are compared with {references} by a two-sided permutation test of the differences per "
            f"query ({PERMUTATIONS:,} draws of signs, or all where there are fewer), with Holm's adjustment "
            f"over the comparisons of one direction or average of one table, at the level {ALPHA:g}."
        )
        yield (
            f"Intervals at {LEVEL:.0%} come from a two-level bootstrap over seeds and queries "
            f"({RESAMPLES:,} draws).".replace("%", " %")
        )
        queries = {one.queries for family in families for one in family.comparisons}
        yield f"A comparison has {_span(queries)} queries."
    over = [block for block in data.blocks if block.testable and members.intersection(block.data)]
    if over:
        yield _over_datasets(over)


def _over_datasets(blocks: Sequence[Block]) -> str:
    """Return which tests over datasets were made."""
    against = [block for block in blocks if block.reference]
    shares = [block for block in against if not is_rank(block.about.protocol)]
    tests = [
        "Friedman's test" if any(len(block.methods) > 2 for block in blocks) else "",
        "average ranks with Nemenyi's critical difference",
        "Wilcoxon's signed-rank test with Holm's adjustment" if against else "",
        "the Bayesian signed-rank test, in which differences up to "
        f"{REGION:g} are equivalent in practice{' (not for ranks)' if shares != against else ''}"
        if shares
        else "",
    ]
    return (
        f"Over {_span({len(block.datasets) for block in blocks})} datasets: {_listed(filter(None, tests))}."
    )


def _environment(setup: Setup, records: Sequence[Record]) -> Iterator[str]:
    yield f"Versions of the benchmark's code: {setup.harness or EARLIER}."
    codes = {one.identity.code for one in records if one.identity.code and not one.identity.given}
    if codes:
        yield f"Versions of the methods' code: {'; '.join(sorted(codes))}."
    versions: dict[str, set[str]] = defaultdict(set)
    for one in records:
        for name, version in one.environment.versions.items():
            versions[name].add(version)
    software = (f"{name} {' and '.join(sorted(found))}" for name, found in sorted(versions.items()))
    yield f"Software: {', '.join(software)}."
    commits = {
        f"{one.environment.commit[:8]}{' with changes' if one.environment.dirty else ''}"
        for one in records
        if one.environment.commit
    }
    if commits:
        yield f"Commit: {_listed(sorted(commits))}."
    # without the machine's name
    named = ([one.environment.host.get(name, "") for name in _HOST] for one in records)
    hosts = {", ".join(filter(None, words)) for words in named}
    threads = _span({one.identity.threads for one in records})
    yield (
        f"Device: {setup.device or 'unknown'}; CPU threads of a fit: {threads}; "
        f"machines: {_listed(sorted(hosts - {''})) or 'unknown'}."
    )
    seconds = sum(one.environment.seconds.get("total", 0.0) for one in records)
    days = sorted(one.environment.started[:10] for one in records)
    when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    took = f"{seconds / 3600:,.1f} hours" if seconds >= 3600 else f"{seconds:,.0f} seconds"
    yield f"{counted(len(records), 'cell')} took {took} in all ({when})."


def _setup_name(setup: Setup) -> str:
    kind = "Real data" if setup.kind == "real" else "LOOK-ALIKES, generated data"
    versions = setup.harness or EARLIER
    return f"{kind}, {setup.profile} profile, {setup.device or 'unknown device'}, {versions}"


def _cite(key: str, entries: Mapping[str, str]) -> str:
    """Return a citation if the bibliography has the key."""
    return f"\0{key}\0" if key in entries else ""


def _latex(text: str) -> str:
    # `escape` drops the spaces at the ends of a text
    pieces = [latex.escape(f"x{piece}x")[1:-1] for piece in _CITATION.split(text)]
    pieces[1::2] = [rf"~\cite{{{key}}}" for key in _CITATION.findall(text)]
    return "".join(pieces)


def _listed(words: Iterable[str]) -> str:
    """Return words as a list in a sentence."""
    *first, last = [*words] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _grouped(titles: Mapping[str, Iterable[str]]) -> str:
    """Return properties, each with the titles of its methods."""
    return "; ".join(f"{what} ({', '.join(sorted(of))})" for what, of in sorted(titles.items()))


def _span(numbers: Iterable[Any]) -> str:
    """Return the smallest and the largest of numbers or other values."""
    values = sorted(set(numbers), key=lambda value: (isinstance(value, str), value))
    words = [
        value if isinstance(value, str) else f"{value:,.3g}" if isinstance(value, float) else f"{value:,}"
        for value in values
    ]
    return words[0] if len(words) == 1 else f"{words[0]} to {words[-1]}"


TOPIC: Final = Topic("protocol", "Protocol of these results", parts, files=files, order=130)
