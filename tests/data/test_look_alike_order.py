"""The order of methods on look-alikes: the table of the page, and the families' order."""

from __future__ import annotations

import re
from statistics import fmean, median

import pytest

from bench import registry
from bench.contract import Context
from bench.data import load_dataset
from bench.evaluation import evaluate
from tests.benchmarks.look_alike_order import DATASETS, kendall, printed
from tests.documents import ROOT

PAGE = ROOT / "docs/look-alikes.md"
UNSUPERVISED, LINEAR, DEEP = ("mcca",), ("gmlda", "mvda_vc"), ("dscmr", "sdml", "drcl", "mars")
ALL_DEEP = (*DEEP, "rono", "man", "gnn4cmr", "drsl", "algcn", "acmr", "elrcmr", "mrl")


def page_values(dataset: str) -> tuple[float, dict[str, float], dict[str, float]]:
    """Return the page's tau, and by method its means on the look-alike and the values in print."""
    text = PAGE.read_text(encoding="utf-8").split(f"{dataset}: tau = ")[1]
    tau, rows = re.split("\n\n", text, maxsplit=1)
    names = {description.card.title: name for name, description in registry.registered().methods.items()}
    means, paper = {}, {}
    for title, mean, value in re.findall(
        r"^\| (\S+) \| (0\.\d+) \| (0\.\d+)? ?\|$", rows.split("\n\n")[0], re.M
    ):
        means[names[title]] = float(mean)
        if value:
            paper[names[title]] = float(value)
    return float(tau), means, paper


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_page_s_rank_correlation_is_that_of_its_table_with_the_published_one(dataset: str) -> None:
    tau, means, paper = page_values(dataset)
    assert paper == pytest.approx(printed(dataset), abs=0.001)
    assert len(paper.keys() & means.keys()) == (12 if dataset == "wikipedia" else 11)
    assert kendall(means, printed(dataset)) == pytest.approx(tau, abs=0.05)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_page_s_families_are_in_the_order_of_published_tables(dataset: str) -> None:
    tau, means, _ = page_values(dataset)
    unsupervised, linear, deep = (
        fmean(means[name] for name in names) for names in (UNSUPERVISED, LINEAR, DEEP)
    )
    assert unsupervised < linear < means["sm"] < deep
    deep_means = [means[name] for name in ALL_DEEP]
    assert means["sm"] < min(fmean(deep_means), median(deep_means))
    assert tau >= 0.5


def test_only_methods_that_both_orders_have_count() -> None:
    assert kendall({"a": 1.0, "b": 2.0, "c": 0.0}, {"a": 1.0, "b": 2.0, "d": 9.0}) == pytest.approx(1)


def mean_map(name: str, dataset: str) -> float:
    """Return the mean over directions of a method's mAP on a look-alike, one seed."""
    data = load_dataset(dataset)
    assert data.kind == "look-alike"
    settings = registry.resolve_settings(registry.method(name), kind="look-alike", dataset=dataset)
    method = registry.instantiate(name, settings)
    method.fit(data.train, data.validation, Context(scope=(dataset,)))
    found = evaluate(method, data.test)
    return fmean((found["image", "text"].map(), found["text", "image"].map()))


@pytest.mark.slow
@pytest.mark.parametrize("dataset", DATASETS)
def test_families_of_methods_stand_in_the_order_of_published_tables(dataset: str) -> None:
    unsupervised, linear, deep = (
        fmean(mean_map(name, dataset) for name in family) for family in (UNSUPERVISED, LINEAR, DEEP)
    )
    assert unsupervised < linear < mean_map("sm", dataset) < deep
