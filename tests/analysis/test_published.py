"""Published values: read as printed, understood by cards and by names that the code does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.analysis.ledger import Names, Published, Value, published_folder, read_published
from bench.analysis.tables import AVERAGE
from bench.contract import DataError

HEADER = "method,dataset,direction,metric,value,source\n"


def value(**changes: str) -> Value:
    fields = {"method": "DRCL", "dataset": "Wikipedia", "direction": "I2T", "metric": "MAP@all"}
    return Value(**(fields | {"source": "DRCL repo logging/wiki.log"} | changes), value=0.5)


@pytest.fixture(scope="module")
def published() -> Published:
    return read_published()


def test_every_value_of_the_project_is_read_and_every_name_is_accounted_for(published: Published) -> None:
    text = (published_folder() / "published_map.csv").read_text(encoding="utf-8")
    assert len(published.values) == len(text.splitlines()) - 1 > 900
    names = published.names
    assert {one.metric for one in published.values} == set(names.metrics)
    assert {one.dataset for one in published.values} - set(names.datasets) == {"PascalSentence"}
    for one in published.values:
        meaning = published.meaning(one)
        assert meaning.direction is not None or not meaning.dataset
        assert bool(meaning.protocol) != bool(names.metrics[one.metric].because)


def test_every_method_and_dataset_that_is_meant_is_registered(published: Published) -> None:
    meant = [published.meaning(one) for one in published.values]
    roster = {"acmr", "algcn", "dccae", "drcl", "drsl", "dscmr", "elrcmr", "gmlda", "gnn4cmr", "man"}
    assert {one.method for one in meant} >= roster | {"mars", "mcca", "mrl", "mvda_vc", "rono", "sdml"}
    assert {name.dataset for name in published.names.datasets.values()} == {
        one.dataset for one in meant if one.dataset
    }


@pytest.mark.parametrize(
    ("dataset", "direction", "meant"),
    [
        ("Wikipedia", "I2T", ("image", "text")),
        ("Wikipedia", "Avg", AVERAGE),
        ("Wikipedia", "I->A", None),
        ("Wikipedia", "I2I", None),
        ("XMediaNet(img-txt)", "T2I", ("text", "image")),
        ("XMedia(5 modalities)", "3D->V", ("3d", "video")),
        ("XMedia(5 modalities)", "Avg20", AVERAGE),
    ],
)
def test_directions_are_read_by_the_modalities_of_the_dataset(
    published: Published, dataset: str, direction: str, meant: tuple[str, str] | None
) -> None:
    meaning = published.meaning(value(dataset=dataset, direction=direction))
    assert meaning.direction == meant
    assert bool(meaning.because) == (meant is None)


def test_a_method_is_known_by_its_title_whatever_the_case_or_by_a_name_of_its_own() -> None:
    names = Names(methods={"Ours (full)": "drcl", "Gone": "never_heard_of"})
    meaning = Published((), names).meaning
    found = [meaning(value(method=name)).method for name in ("mvda-vc", "OURS (FULL)", "Gone", "SCL")]
    assert found == ["mvda_vc", "drcl", "", ""]


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"metric": "MAP@all_NOISE0.2"}, "other training data: a fifth of the labels is wrong on purpose"),
        ({"metric": "NDCG"}, "other protocol: NDCG"),
        ({"source": "JFSE TPAMI Table 4"}, "other split: the table does not state its own"),
        ({"dataset": "NUS-WIDE(MvLDAN protocol)"}, "other split: that of MvLDAN"),
        ({}, ""),
    ],
)
def test_what_can_never_be_compared_says_why(
    published: Published, changes: dict[str, str], because: str
) -> None:
    assert published.meaning(value(**changes)).because == because


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a,b\n", "its columns are a, b; expected method, dataset, direction, metric, value, source"),
        (HEADER + "DRCL,Wikipedia,I2T,MAP@all,0.5\n", "line 2: 5 columns; expected 6"),
        (HEADER + "DRCL,Wikipedia,I2T,MAP@all,high,x\n", "line 2: 'high' is no mAP between 0 and 1"),
        (HEADER + "DRCL,Wikipedia,I2T,MAP@all,56.2,x\n", "line 2: '56.2' is no mAP between 0 and 1"),
        (HEADER + "DRCL,Wikipedia,I2T,MAP@all,nan,x\n", "line 2: 'nan' is no mAP between 0 and 1"),
    ],
)
def test_a_damaged_list_is_one_sentence_with_the_line(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "published_map.csv").write_text(content)
    with pytest.raises(DataError) as raised:
        read_published(tmp_path)
    assert sentence in str(raised.value)
    assert str(tmp_path / "published_map.csv") in str(raised.value)


@pytest.mark.parametrize(
    "content", ["metrics: [1", "metric: {}", "datasets: {X: {modalities: [image]}}", "- 1"]
)
def test_damaged_names_are_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "published_map.csv").write_text(HEADER)
    (tmp_path / "names.yaml").write_text(content)
    with pytest.raises(DataError, match=r"names\.yaml: ") as raised:
        read_published(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_folder_without_values_has_none(tmp_path: Path) -> None:
    assert read_published(tmp_path).values == ()
