"""A method's file declares its card and its settings in a line each."""

from __future__ import annotations

import runpy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from bench.contract import MethodCard, PluginError, card, card_of, setting
from bench.registry.code import code_digest

CARDS = """
mine:
  title: Mine
  pairs: unused
  from_paper: [one, two]
  citation: doe2020mine
"""
REFERENCES = """
@article{doe2020mine,
  author  = {Doe, Jane and
             de la Cruz, Ana},
  title   = {Mine},
  journal = {IEEE Transactions on Multimedia},
  shortjournal = {IEEE TMM},
  year    = {2020}
}

@inproceedings{many2021,
  author    = {A, B and C, D and E, F and G, H and I, J and K, L and {M N}, O},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2021},
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cards.yaml").write_text(CARDS)
    (tmp_path / "references.bib").write_text(REFERENCES)
    return tmp_path


def test_a_setting_states_value_meaning_and_source() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Settings:
        lr: float = setting(1e-4, "learning rate", "release")
        rates: dict[str, float] = setting({"image": 1e-4}, "by modality")

    lr, rates = fields(Settings)
    assert Settings().lr == lr.default == 1e-4
    assert dict(lr.metadata) == {"meaning": "learning rate", "source": "release"}
    assert rates.metadata["source"] == ""
    Settings().rates["text"] = 0.0
    assert Settings().rates == {"image": 1e-4}


def test_a_card_comes_from_the_file_beside_the_one_that_names_it(folder: Path) -> None:
    (folder / "mine.py").write_text("from bench.contract import card\n\nMINE = card('mine')\n")
    assert runpy.run_path(str(folder / "mine.py"))["MINE"] == MethodCard(
        name="mine",
        title="Mine",
        authors="Doe, de la Cruz",
        year=2020,
        venue="IEEE TMM",
        pairs="unused",
        from_paper=("one", "two"),
        citation="doe2020mine",
    )


def test_fields_in_the_file_need_no_other_file(folder: Path) -> None:
    assert card("other", pairs="labels") == MethodCard(name="other", title="other", pairs="labels")
    cited = card_of("other", {"citation": "many2021"}, folder)
    assert (cited.authors, cited.venue, cited.year) == ("A, C, E et al.", "CVPR", 2021)


@pytest.mark.parametrize(
    ("fields", "noun"),
    [({}, "no such card"), ({"color": 1}, "color"), ({"pairs": "some"}, "some"), ({"year": "2020"}, "year")],
)
def test_a_card_that_cannot_be_is_refused(fields: dict[str, Any], noun: str, folder: Path) -> None:
    with pytest.raises(PluginError, match=noun):
        card_of("unknown", fields, folder)


def test_words_of_declarations_are_no_part_of_the_code() -> None:
    plain = (
        'lr: float = t.setting(1e-4, "rate", "release")\ncard = t.card("mine", title="Mine", pairs="unused")'
    )
    assert code_digest(plain) == code_digest(
        plain.replace('"rate", "release"', '"speed"').replace("Mine", "M")
    )
    assert code_digest(plain) != code_digest(plain.replace("1e-4", "1e-3"))
    assert code_digest(plain) != code_digest(plain.replace("unused", "needed"))
