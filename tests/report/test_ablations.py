"""The page about variants and settings, and its files: the numbers of the records, and what is missing."""

from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import replace
from itertools import permutations, product
from typing import Any

import pytest

from bench.report import ReportData
from bench.report.report import topic_files
from bench.report.topics import ablations
from bench.report.topics.ablations import missing
from tests.analysis.making import Shelf
from tests.analysis.studies import LABELS, add
from tests.records import making
from tests.report.figuring import figures_of
from tests.wording import mentions


def report_data(shelf: Shelf, **more: Any) -> ReportData:
    labels = more.pop("labels", LABELS)
    return ReportData(shelf.records, labels=labels, protocols=["map@all"], per_query=shelf.per_query, **more)


def files_of(data: ReportData) -> dict[str, str]:
    """Return what the topic writes, by the names of its files."""
    written = topic_files([ablations.TOPIC], {"ablations": ablations.parts(data)}, data)
    return {path.removeprefix("ablations/"): text for path, text in written.items()}


def page_of(data: ReportData) -> str:
    return files_of(data)["ablations.md"]


def studied(seeds: int = 2) -> Shelf:
    """Return a method with all its variants, a grid and a curve."""
    shelf = Shelf()
    for seed in range(seeds):
        notes = {"quality": {"image": 0.5, "text": 0.7}, "prior": "text"}
        add(shelf, 0.6 + seed / 100, seed=seed, notes=notes)
        for number, variant in enumerate(("without_both", "without_alpha", "random", "prior_image")):
            add(shelf, 0.5 + number / 100 + seed / 50, variant, seed)
        for alpha, beta in product((0.01, 0.1, 1.0), (1.0, 2.0)):
            if (alpha, beta) != (0.1, 1.0):
                add(shelf, 0.5 + alpha / 20 + beta / 30, seed=seed, alpha=alpha, beta=beta)
        add(shelf, 0.55, seed=seed, mix=0.9)
    return shelf


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def row(page: str, start: str) -> list[str]:
    """Return the cells of the first row of a table that starts so."""
    (found, *_) = (line for line in page.splitlines() if line.startswith(f"| {start} "))
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_the_page_shows_variants_choices_grids_and_curves_with_their_numbers() -> None:
    page = page_of(report_data(studied()))
    assert row(page, "the method itself")[-3:] == ["**0.605 ± 0.007**", "", "2"]
    variant = row(page, r"without\_both")
    assert variant[1] == "alpha=0.0, beta=0.0"
    assert variant[-3:] == ["0.510 ± 0.014", "-0.095 ± 0.007", "2"]
    assert mentions(page, r"Not run ... prior\_text ... bench ablate ours --datasets PATH/emoji.npz")
    assert row(page, "prior ")[1:3] == [r"quality S\_k", "chosen"]
    assert row(page, "selected")[-2] == "**0.605 ± 0.007**"
    assert row(page, "image")[1:3] == ["0.500 ± 0.000", "0 of 2"]
    assert row(page, "alpha")[1:] == ["beta=1.0", "beta=2.0"]
    assert row(page, "0.1 ")[1:] == ["0.605 ± 0.007<sup>u</sup>", "0.572 ± 0.000"]
    assert row(page, "0.5 (usual)")[-3:] == ["**0.605 ± 0.007**", "*not traced*", "2"]
    assert "u: the usual settings." in page


def test_combinations_without_a_run_are_marked() -> None:
    shelf = Shelf()
    for alpha, beta in product((0.01, 0.1, 1.0), (1.0, 2.0, 3.0)):
        if (alpha, beta) != (1.0, 2.0):
            add(shelf, alpha=alpha, beta=beta)
    assert row(page_of(report_data(shelf)), "1.0 ")[1:] == ["**0.500**", "*not run*", "**0.500**"]


def test_csv_files_have_every_number_in_full_with_its_records() -> None:
    shelf = studied()
    files = files_of(report_data(shelf))
    components = lines(files["components.csv"])
    variants = {"full", "without_both", "without_alpha", "random", "prior_image"}
    assert {line["variant"] for line in components} == variants
    by_digest = {record.digest: record for record in shelf.records}
    for line in components:
        records = [by_digest[digest] for digest in line["records"].split()]
        assert {record.identity.variant for record in records} == {line["variant"]}
        metrics = [metric for record in records if record.result for metric in record.result.metrics]
        values = [one.value for one in metrics if line["query"] in (one.query, "average")]
        assert float(line["mean"]) == pytest.approx(sum(values) / len(values), abs=1e-12)
        assert bool(line["p_holm"]) == (line["variant"] != "full")
    points = lines(files["sensitivity.csv"])
    assert {(line["setting"], line["other_setting"]) for line in points} == {("alpha", "beta"), ("mix", "")}
    usual = [line for line in points if line["usual"] and line["query"] == "average"]
    assert [json.loads(line["value"]) for line in usual] == [0.1, 0.5]
    choices = [(one["modality"], one["quality"], one["chosen"]) for one in lines(files["choices.csv"])]
    assert choices == [("image", "0.5", "0"), ("text", "0.7", "2")]
    random.Random(1).shuffle(shelf.records)
    assert files_of(report_data(shelf)) == files


def test_many_directions_are_counted_and_written_to_the_file_alone() -> None:
    shelf, modalities = Shelf(), ("image", "text", "audio")
    for variant, drop in (("full", 0.0), ("without_alpha", 0.3)):
        settings = add(Shelf(), variant=variant).identity.settings
        values = {
            direction: [0.5 + number / 100 - (drop if index < 4 else 0) for number in range(20)]
            for index, direction in enumerate(permutations(modalities, 2))
        }
        shelf.add(values, method="ours", variant=variant, settings=settings, modalities=modalities)
    files = files_of(report_data(shelf))
    page = files["ablations.md"]
    assert "image→text" not in page
    assert row(page, r"without\_alpha")[-3:] == ["4", "0", "1"]
    assert mentions(page, "6 directions ... components.csv")
    assert len(lines(files["components.csv"])) == 2 * 7


def test_real_data_and_look_alikes_profiles_and_versions_never_share_a_table_or_figure() -> None:
    shelf = Shelf()
    changes: list[dict[str, Any]] = [{}, {"data_kind": "look-alike"}, {"profile": "paper"}]
    for change in [*changes, {"fingerprint": "0" * 16}]:
        for variant, alpha in (("full", 0.1), ("without_alpha", 0.0), ("full", 2.0), ("full", 3.0)):
            add(shelf, variant=variant, alpha=alpha, **change)
    data = report_data(shelf)
    sheets = [sheet for part in ablations.parts(data) for sheet in part.tables]
    for found in (sheets, figures_of(ablations.figures(data))):
        assert len({one.caption for one in found}) == len({one.name for one in found}) == len(found) == 8
        assert all(one.subject.dataset for one in found)
        assert sum("LOOK-ALIKE" in one.caption for one in found) == 2


def test_what_is_missing_comes_with_the_command_that_makes_it() -> None:
    shelf = Shelf()
    add(shelf)
    add(shelf, dataset="other")
    add(shelf, method="theirs")
    add(shelf, dataset="emoji", profile="paper")
    known = replace(LABELS, reference="ours", modalities=lambda name: ("image",) if name == "emoji" else ())
    found = [sentence.split(": python -m bench ") for sentence in missing(report_data(shelf, labels=known))]
    both, sweep = "emoji,PATH/other.npz", "sweep ours --param NAME=VALUE,VALUE"
    assert [command for _, command in found] == [
        "ablate ours --datasets emoji --profile paper",
        f"ablate ours --datasets {both} --profile quick",
        f"{sweep} --datasets emoji --profile paper",
        f"{sweep} --datasets {both} --profile quick",
    ]
    assert all("OURS on emoji" in what for what, _ in found)


def test_notes_name_one_seed_failures_and_variants_with_the_same_settings() -> None:
    shelf = Shelf()
    settings = {**add(shelf).identity.settings, "alpha": 0.0}
    add(shelf, variant="prior_image", prior="selected")
    fields: dict[str, Any] = {"method": "ours", "variant": "without_alpha", "settings": settings}
    shelf.records.append(making.record(status="failed", reason="why", **fields))
    page = page_of(report_data(shelf))
    for key in (
        "one seed ... two trained models",
        r"same settings ... prior\_image",
        r"without\_alpha ... failed: why",
    ):
        assert mentions(page, key)
    assert row(page, r"without\_alpha")[-3] == "*failed*"


def test_without_records_of_variants_there_is_a_page_and_no_file() -> None:
    files = files_of(report_data(Shelf()))
    assert [*files] == ["ablations.md"]
    assert files["ablations.md"].startswith("# Ablations and settings")
