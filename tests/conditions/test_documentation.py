"""The page about conditions works: every block of it is executed, in order."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import reduce
from pathlib import Path

from bench.conditions import conditions
from tests.documents import ROOT, blocks, copy_with_methods, execute

PAGE = ROOT / "docs" / "conditions.md"
STUDY = ROOT / "docs" / "study.md"


def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    copy_with_methods(tmp_path, "sm")
    shown = [block for block in blocks(PAGE) if block.language in ("bash", "python")]
    quick = {"bench run ": "bench run --jobs 0 ", "@.2/.4/.6/.8": "@.4"}
    lines = [reduce(lambda text, one: text.replace(*one), quick.items(), block.text) for block in shown]
    printed = execute([replace(block, text=text) for block, text in zip(shown, lines, strict=True)], tmp_path)
    text = "\n".join(printed)
    assert "effective level 0." in text
    assert "label-noise=noise.csv:" in text
    assert "7 passed, 0 failed" in text


def test_the_page_names_every_condition_with_its_variants() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, cls in conditions().items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert [variant for variant in cls.card.variants if f"`{variant}`" not in row] == []


def test_every_number_with_an_interval_in_the_words_of_the_study_is_in_its_tables() -> None:
    words, _, tables = STUDY.read_text(encoding="utf-8").partition("## What was run")
    found = re.findall(r"(\.\d{3})\s±\s(\.\d{3})", words)
    assert len(found) > 50
    assert [pair for pair in found if "0{} ± 0{}".format(*pair) not in tables] == []
